"""One call that drafts, scores itself by the criteria and refines.

It costs a third of a loop's first round. What it gives up is a critic of its own: a
model that marks its own draft is no evidence, so its marks are recorded as such and
decide nothing. Verifiers are code, and do: where one gets worse, the draft stays.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
)
from langchain_core.runnables import Runnable
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from langchain_prodpatterns.budget import BudgetMeter
from langchain_prodpatterns.errors import StructuredOutputError
from langchain_prodpatterns.fencing import bare_reply
from langchain_prodpatterns.models import as_messages
from langchain_prodpatterns.refine.acceptance import by_verifiers
from langchain_prodpatterns.refine.checkpoints import checkpointed
from langchain_prodpatterns.refine.criteria import BoundCriteria, CriteriaRequest
from langchain_prodpatterns.refine.drafts import Draft, read_draft
from langchain_prodpatterns.refine.objects import RevisionError, read_json
from langchain_prodpatterns.refine.panel import Critique, Panel
from langchain_prodpatterns.refine.prompts import numbered, task_text
from langchain_prodpatterns.refine.refinement import Plan
from langchain_prodpatterns.refine.results import (
    RefineResult,
    RefineRound,
    Scores,
    StopReason,
)
from langchain_prodpatterns.refine.steps import (
    Announced,
    Outcome,
    Steps,
    invoking,
    making,
)
from langchain_prodpatterns.refine.stopping import good_enough
from langchain_prodpatterns.usage import NO_USAGE, Usage
from langchain_prodpatterns.verdicts import describe_errors, weigh

OWN_MARKS = "the writer's own marks"
"""The note of marks that a model gave to its own draft."""
_TAKES = (
    "RefineChain(mode='single_prompt') takes what a chat model takes, a str, messages "
    "or a prompt value"
)
NOT_JUDGED = "not judged: there was one call"
"""The note of criteria that nobody judged."""


class SelfRefined(BaseModel):
    """What a model answers that drafts, marks and refines in one go."""

    model_config = ConfigDict(extra="forbid")

    draft: str = Field(min_length=1)
    assessments: tuple[dict[str, Any], ...] = ()
    revision: str = Field(min_length=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class SinglePrompt:
    """One input that is drafted, marked and refined by one call."""

    plan: Plan
    """Who writes, whose verifiers check both texts, and whose criteria are marked."""
    value: Any
    """What the model is asked."""
    meter: BudgetMeter
    """The budget."""

    def story(self) -> Steps[RefineResult]:
        """Tell the whole story.

        Returns:
            The result: the draft is round 0, the revision round 1.

        Raises:
            StructuredOutputError: When what the model answers cannot be read, twice.
            Exception: Whatever keeps it from answering.
        """
        began = self.meter.seconds
        task = task_text(self.value)
        answer, reply, used = yield from self._ask()
        draft, revision = (
            read_draft(_with_text(reply, text))
            for text in (answer.draft, answer.revision)
        )
        marks = _own_marks(self.plan.panel.judged, answer, draft, task)
        first = yield from self._check(draft, marks, 0)
        entry = _entry(0, draft, first, used, self.meter.seconds - began)
        rounds = [replace(entry, accepted=True, reason="first draft")]
        yield from self._tell(rounds[0])
        if draft.fingerprint == revision.fingerprint:
            entry = _entry(1, revision, (), NO_USAGE, 0.0)
            rounds.append(replace(entry, reason="unchanged from an earlier draft"))
            reason: StopReason = "unchanged"
        else:
            began = self.meter.seconds
            second = yield from self._check(revision, self._unjudged(), 1)
            worse = by_verifiers(first, second) == "worse"
            entry = _entry(1, revision, second, NO_USAGE, self.meter.seconds - began)
            said = "worse by verifier" if worse else "no verifier got worse"
            rounds.append(replace(entry, accepted=not worse, reason=said))
            best = first if worse else second
            reason = good_enough(best, self.plan.target_score) or "max_rounds"
        yield from self._tell(rounds[1])
        best_draft = revision if rounds[1].accepted else draft
        return RefineResult(best_draft.value, tuple(rounds), reason, used, task)

    def _ask(self) -> Steps[tuple[SelfRefined, Any, Usage]]:
        """Ask once, and once more where the answer cannot be read."""
        messages = [
            *as_messages(self.value, _TAKES),
            HumanMessage(_instructions(self.plan.panel)),
        ]
        outcome = yield from self._call(messages)
        used = outcome.usage
        try:
            return _read(outcome.value), outcome.value, used
        except RevisionError as error:
            problem = str(error)
        if self.meter.spent() is None:
            said = AIMessage(_text_of(outcome.value))
            complaint = (
                f"That answer cannot be used: {problem}. Answer again with the JSON "
                "object that was described, and nothing else."
            )
            again = yield from self._call([*messages, said, HumanMessage(complaint)])
            used += again.usage
            try:
                return _read(again.value), again.value, used
            except RevisionError as error:
                problem, outcome = str(error), again
        msg = f"mode='single_prompt': the model's answer cannot be read: {problem}"
        raise StructuredOutputError(msg, llm_output=_text_of(outcome.value))

    def _call(self, messages: list[BaseMessage]) -> Steps[Outcome]:
        self.meter.begin_attempt()
        writers = self.plan.writers
        model = writers.warmed(cast("Runnable[Any, Any]", writers.generator), 0)
        step = invoking(
            "draft", model, messages, writers.facts(0), **writers.generator_kwargs
        )
        outcome = yield from making(step)
        failure = outcome.error or outcome.spent
        if failure is not None:
            raise failure
        return outcome

    def _tell(self, entry: RefineRound) -> Steps[None]:
        yield from checkpointed(self.plan.checkpoint, entry)
        yield Announced(entry)

    def _check(self, draft: Draft, marks: Scores, number: int) -> Steps[Scores]:
        """Have the verifiers check a text."""
        scores = []
        for verifier in self.plan.panel.verifiers:
            outcome = yield from making(
                verifier.step(draft, "", self.plan.writers.facts(number), self.value)
            )
            scores.append(self.plan.panel.scored(verifier, outcome))
        return (*scores, *marks)

    def _unjudged(self) -> Scores:
        return tuple(bound.unscored(NOT_JUDGED) for bound in self.plan.panel.judged)


def _entry(
    number: int, draft: Draft, scores: Scores, usage: Usage, seconds: float
) -> RefineRound:
    return RefineRound(
        number=number,
        draft=draft.value,
        scores=scores,
        feedback=Critique(scores, NO_USAGE).feedback,
        accepted=False,
        reason="",
        usage=usage,
        seconds=seconds,
    )


def _instructions(panel: Panel) -> str:
    """Say in what form to answer. Nothing in it comes from a user."""
    groups = [bound.criteria for bound in panel.judged]
    forms = "\n".join(
        f"- {criteria.name}: "
        + (
            "a mark from 1 to 5 each"
            if criteria.scale == "1-5"
            else "true or false each"
        )
        for criteria in groups
    )
    assessing = (
        "2. Assess the draft strictly: for each of these groups of criteria an object "
        '{"marks": [one a criterion, in order], "evidence": [the words of the draft '
        'that each mark rests on, or ""], "feedback": "what to change"}\n'
        f"{forms}\n"
        if groups
        else "2. Assess the draft strictly.\n"
    )
    criteria = numbered(panel.texts)
    judged = f"It is judged by these criteria:\n{criteria}\n\n" if groups else ""
    return (
        "Do what was asked above in three steps, within one answer.\n\n"
        f"{judged}"
        "1. Write a draft.\n"
        f"{assessing}"
        "3. Write the revision: the whole text, better where the draft fell short.\n\n"
        "Answer with one JSON object and nothing else: "
        '{"draft": "...", "assessments": [...], "revision": "..."}'
    )


def _read(reply: Any) -> SelfRefined:
    data = read_json(bare_reply(_text_of(reply)))
    try:
        return SelfRefined.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        problem = describe_errors(error, SelfRefined, "answer")
        raise RevisionError(problem) from None


def _own_marks(
    judged: Sequence[BoundCriteria], answer: SelfRefined, draft: Draft, task: str
) -> Scores:
    """Read the marks as those of any judge are read, and say whose they are."""
    request = CriteriaRequest(task=task, draft=draft.text)
    given = (*answer.assessments, *({} for _ in judged))
    scores = []
    for bound, assessment in zip(judged, given, strict=False):
        judgement = weigh(assessment, bound.criteria.verdict_type, request)
        score = bound.read(Outcome(judgement))
        known = score.value is not None
        scores.append(replace(score, note=OWN_MARKS) if known else score)
    return tuple(scores)


def _with_text(reply: Any, text: str) -> AIMessage:
    """Put a text in the place of a reply's content; usage and facts are the reply's."""
    if isinstance(reply, AIMessage):
        return reply.model_copy(update={"content": text, "additional_kwargs": {}})
    return AIMessage(text)


def _text_of(reply: Any) -> str:
    return str(reply.text) if isinstance(reply, BaseMessage) else str(reply)
