"""Criteria: a model judges a draft by them, and code sums the marks up.

A judge that is broken, late or garbled leaves a draft unscored; that is never a zero
and never a crash.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

from langchain_core.runnables import Runnable
from pydantic import BeforeValidator, Field, model_validator

from langchain_prodpatterns.arguments import check_seconds, is_number
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.judging import (
    BoundJudge,
    Judge,
    JudgeLike,
    Judgement,
    JudgeRequest,
    QuoteOf,
    Verdict,
    is_language_model,
)
from langchain_prodpatterns.refine.drafts import Draft
from langchain_prodpatterns.refine.feedback import short, why_none
from langchain_prodpatterns.refine.fields import texts_in
from langchain_prodpatterns.refine.prompts import numbered
from langchain_prodpatterns.refine.results import CriterionMark, Score
from langchain_prodpatterns.refine.steps import Outcome, Step, asking
from langchain_prodpatterns.refine.verifiers import CRITIQUE

Scale = Literal["1-5", "yes/no"]
"""How a judge answers for each criterion."""

TOP = 5
"""The best mark on the scale from 1 to 5."""

SKIPPED = "skipped: a verifier failed"
"""The note of criteria that were not put to a judge."""


class CriteriaRequest(JudgeRequest):
    """What is put before the judge of `Criteria`."""

    task: str
    """What the draft is for; empty where it is unknown."""
    draft: str
    """The draft; JSON for objects."""

    def quotable(self, field: str) -> Any:
        """Return the texts in which a quote of a field must stand.

        Of JSON also the texts in it: who quotes a line break or a quotation mark
        rarely escapes it as JSON does.
        """
        if field != "draft" or not self.draft.startswith(("{", "[")):
            return super().quotable(field)
        try:
            return [self.draft, *texts_in(json.loads(self.draft))]
        except (ValueError, RecursionError):
            return self.draft


def _whole(mark: Any) -> Any:
    if isinstance(mark, bool):
        msg = "a whole number, not true or false"
        raise ValueError(msg)  # noqa: TRY004 - what pydantic reports
    return mark


Mark = Annotated[int, BeforeValidator(_whole), Field(ge=1, le=TOP)]
"""A mark on the scale from 1 to 5. `true` is none: read as 1, it would be a zero."""


class _Assessment(Verdict):
    """What a judge says before the marks: what it sees, then how it marks that."""

    evidence: tuple[Annotated[str, QuoteOf("draft")], ...] = Field(
        default=(),
        description="for each criterion, in their order, the words of the draft that "
        "its mark rests on, copied exactly; an empty text where there are none",
    )
    fields: tuple[str, ...] = Field(
        default=(),
        description="where the draft is JSON, the JSON Pointers of the fields that "
        "must change, such as /title; else nothing",
    )
    feedback: str = Field(default="", description="what to change, in short")

    @model_validator(mode="before")
    @classmethod
    def _take_bare_marks(cls, answer: Any) -> Any:
        """Take what a callable may return instead: the marks, or the only one."""
        if isinstance(answer, int):
            return {"marks": [answer]}
        return {"marks": answer} if isinstance(answer, list | tuple) else answer


class Marks(_Assessment):
    """A judge's marks on the scale from 1 to 5."""

    marks: tuple[Mark, ...] = Field(
        description="one whole number from 1 (not at all) to 5 (fully) a criterion, "
        "in their order"
    )


class Checks(_Assessment):
    """A judge's yes or no to each criterion."""

    marks: tuple[bool, ...] = Field(
        description="true or false a criterion, in their order"
    )


class Criteria:
    """Criteria that a model judges, and code sums up.

    ```python
    Criteria("engaging", "friendly", weight=2.0)
    Criteria("under 280 characters", "names the product", scale="yes/no")
    ```

    The judge gives one bounded mark a criterion, the words of the draft that each rests
    on, and short feedback; the score is the mean of the marks, from 0 to 1. Marks that
    are missing, too many or out of bounds are no score, nor are those that rest on
    words which are not in the draft.
    """

    def __init__(
        self,
        first: str,
        *more: str,
        model: Runnable[Any, Any] | None = None,
        judge: JudgeLike | None = None,
        scale: Scale = "1-5",
        weight: float = 1.0,
        timeout: float | None = 30.0,
        fields: Sequence[str] = (),
    ) -> None:
        """Name the criteria.

        Args:
            first: A criterion in a few words. Trusted: never a user's text.
            *more: More criteria, judged in the same call.
            model: The chat model that judges; by default the chain's reviser.
            judge: Instead of a model, a Runnable or callable from `CriteriaRequest`
                to `{"marks": [...], "feedback": "..."}` or to the marks alone (of one
                criterion, the bare number or `bool`), or a `Judge` of `Marks` (`Checks`
                for yes/no).
            scale: `1-5`, or `yes/no` for what either holds or does not.
            weight: The weight beside other `Criteria`, above 0.
            timeout: Seconds for a verdict; `None` waits for ever.
            fields: Where the draft is an object: the places in its JSON that the
                criteria are about, such as `"title"` or `"/lines/0/text"`. Only these
                are revised on their behalf; by default the judge names them.

        Raises:
            ConfigurationError: When an argument cannot work.
        """
        self.texts: tuple[str, ...] = (first, *more)
        self.scale: Scale = scale
        self.weight = weight
        self.timeout = timeout
        self.fields: tuple[str, ...] = (
            tuple(fields) if isinstance(fields, Iterable) else (fields,)
        )
        self.judge: JudgeLike | None = judge if judge is not None else model
        check_seconds("timeout", timeout)
        self._check(model, judge, fields)

    def _check(self, model: Any, judge: Any, fields: Any) -> None:
        problem = None
        if not all(isinstance(text, str) and text.strip() for text in self.texts):
            shown = ", ".join(map(repr, self.texts))
            problem = f"takes texts that are not empty, ('fun', 'short'), got {shown}"
        elif self.scale not in get_args(Scale):
            problem = f"takes scale='1-5' or 'yes/no', got {self.scale!r}"
        elif not (is_number(self.weight) and self.weight > 0):
            problem = f"takes a weight above 0, got {self.weight!r}"
        elif isinstance(fields, str) or not all(map(_is_place, self.fields)):
            problem = f"takes fields=['title', ...], got {fields!r}"
        elif model is not None and judge is not None:
            problem = "takes model= or judge=, not both"
        elif model is not None and not is_language_model(model):
            kind = type(model).__name__
            problem = f"takes a chat model as model=, got {kind}; use judge= for it"
        elif isinstance(judge, Judge) and judge.verdict_type is not self.verdict_type:
            wanted = self.verdict_type.__name__
            problem = f"takes a Judge of {wanted}, got {judge.verdict_type.__name__}"
        if problem is not None:
            msg = f"Criteria {problem}"
            raise ConfigurationError(msg)

    @property
    def name(self) -> str:
        """The criteria in one line."""
        return ", ".join(self.texts)

    @property
    def verdict_type(self) -> type[Marks] | type[Checks]:
        """What a judge answers."""
        return Marks if self.scale == "1-5" else Checks

    def __repr__(self) -> str:
        texts = ", ".join(repr(text) for text in self.texts)
        return f"Criteria({texts}, scale={self.scale!r}, weight={self.weight})"


class BoundCriteria:
    """Criteria with the judge they are put to."""

    def __init__(
        self, criteria: Criteria, default_model: Runnable[Any, Any] | None
    ) -> None:
        """Bind criteria to their own judge, or else to the chain's model.

        Raises:
            ConfigurationError: When there is neither.
        """
        judge = criteria.judge if criteria.judge is not None else default_model
        if judge is None:
            msg = (
                f"{criteria!r} has no model to judge it, since neither the reviser nor "
                "the generator is a chat model: give it model= or judge="
            )
            raise ConfigurationError(msg)
        self.criteria = criteria
        self.judge: BoundJudge[CriteriaRequest, Marks | Checks] = BoundJudge(
            judge,
            question=_question(criteria),
            verdict_type=criteria.verdict_type,
            timeout=criteria.timeout,
            name="refine:criteria",
        )

    @property
    def name(self) -> str:
        """The criteria in one line."""
        return self.criteria.name

    def step(
        self, draft: Draft, task: str, facts: Mapping[str, Any], given: Any = None
    ) -> Step:
        """Return the step that has a draft judged.

        Args:
            draft: The draft.
            task: What it is for.
            facts: Of which round it is.
            given: What it was made from; not used, as `task` says it in words.
        """
        request = CriteriaRequest(task=task, draft=draft.text)
        return asking(CRITIQUE, self.judge, request, facts)

    def read(self, outcome: Outcome) -> Score:
        """Read the score from what came of the step."""
        judgement: Judgement[Marks | Checks] | None = outcome.value
        if judgement is None:
            return self.unscored(why_none(outcome))
        if judgement.verdict is None:
            failure = judgement.failure
            return self.unscored(failure.kind if failure else "unparseable")
        return self._weigh(judgement.verdict)

    def _weigh(self, verdict: Marks | Checks) -> Score:
        criteria = self.criteria
        values = _values(verdict, len(criteria.texts))
        if values is None:
            return self.unscored("unparseable")
        value = sum(values) / len(values)
        met = value == 1.0
        return Score(
            critic=criteria.name,
            kind="criteria",
            value=value,
            weight=criteria.weight,
            feedback="" if met else short(_describe_marks(criteria, verdict)),
            marks=_with_evidence(criteria, verdict),
            fields=() if met else criteria.fields or verdict.fields,
        )

    def unscored(self, note: str) -> Score:
        """Return the score that is none."""
        criteria = self.criteria
        return Score(criteria.name, "criteria", None, criteria.weight, note=note)


def _is_place(field: Any) -> bool:
    return isinstance(field, str) and bool(field.strip("/ "))


def _question(criteria: Criteria) -> str:
    return (
        "Judge how well the draft meets each criterion, given the task it is for:\n"
        f"{numbered(criteria.texts)}"
    )


def _values(verdict: Marks | Checks, expected: int) -> list[float] | None:
    """Return the marks from 0 to 1, or nothing if they are not what was asked for."""
    if len(verdict.marks) != expected:
        return None
    if isinstance(verdict, Checks):
        return [float(mark) for mark in verdict.marks]
    return [(mark - 1) / (TOP - 1) for mark in verdict.marks]


def _with_evidence(
    criteria: Criteria, verdict: Marks | Checks
) -> tuple[CriterionMark, ...]:
    """Pair each mark with the words it rests on, as far as the judge gave them."""
    quotes = (*verdict.evidence, *("" for _ in criteria.texts))
    return tuple(
        CriterionMark(text, mark, quote)
        for text, mark, quote in zip(
            criteria.texts, verdict.marks, quotes, strict=False
        )
    )


def _describe_marks(criteria: Criteria, verdict: Marks | Checks) -> str:
    marks = [
        f"{text}: {_mark(mark)}"
        for text, mark in zip(criteria.texts, verdict.marks, strict=True)
    ]
    return f"{'; '.join(marks)}. {verdict.feedback.strip()}".strip()


def _mark(mark: int) -> str:
    if isinstance(mark, bool):
        return "yes" if mark else "no"
    return f"{mark} of {TOP}"
