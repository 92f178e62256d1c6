"""Critics: verifiers check a draft by code, criteria have it judged by a model.

A critic that is broken, late or garbled leaves a draft unscored; that is never a zero
and never a crash.
"""

import asyncio
import inspect
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal, get_args

from langchain_core.messages import BaseMessage
from langchain_core.output_parsers import BaseOutputParser
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from langchain_prodpatterns.arguments import is_number
from langchain_prodpatterns.budget import Ticket
from langchain_prodpatterns.deadlines import call_with_deadline
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.judging import (
    BoundJudge,
    Judge,
    JudgeLike,
    Judgement,
    JudgeRequest,
    Verdict,
    is_language_model,
)
from langchain_prodpatterns.refine.drafts import Draft, encodable
from langchain_prodpatterns.refine.prompts import numbered
from langchain_prodpatterns.refine.results import Score
from langchain_prodpatterns.refine.steps import Outcome, Step, asking, invoking

Scale = Literal["1-5", "yes/no"]
"""How a judge answers for each criterion."""

CriticLike = (
    Runnable[Any, Any]
    | Callable[[Any], Any]
    | Callable[[Any], Awaitable[Any]]
    | type[BaseModel]
)
"""What `critics=` takes as a verifier beside `Criteria`."""

TOP = 5
"""The best mark on the scale from 1 to 5."""

MAX_FEEDBACK = 1_000
"""Characters of one critic's feedback that are kept: prompts must stay bounded. The
middle is left out, since test runners say what is wrong at the end."""


_LEFT_OUT = "\n[...]\n"

SKIPPED = "skipped: a verifier failed"
"""The note of criteria that were not put to a judge."""


class CriteriaRequest(JudgeRequest):
    """What is put before the judge of `Criteria`."""

    task: str
    """What the draft is for; empty where it is unknown."""
    draft: str
    """The draft; JSON for objects."""


def _whole(mark: Any) -> Any:
    if isinstance(mark, bool):
        msg = "a whole number, not true or false"
        raise ValueError(msg)  # noqa: TRY004 - what pydantic reports
    return mark


Mark = Annotated[int, BeforeValidator(_whole), Field(ge=1, le=TOP)]
"""A mark on the scale from 1 to 5. `true` is none: read as 1, it would be a zero."""


class Marks(Verdict):
    """A judge's marks on the scale from 1 to 5."""

    marks: tuple[Mark, ...] = Field(
        description="one whole number from 1 (not at all) to 5 (fully) a criterion, "
        "in their order"
    )
    feedback: str = Field(default="", description="what to change, in short")


class Checks(Verdict):
    """A judge's yes or no to each criterion."""

    marks: tuple[bool, ...] = Field(
        description="true or false a criterion, in their order"
    )
    feedback: str = Field(default="", description="what to change, in short")


class Criteria:
    """Criteria that a model judges, and code sums up.

    ```python
    Criteria("engaging", "friendly", weight=2.0)
    Criteria("under 280 characters", "names the product", scale="yes/no")
    ```

    The judge gives one bounded mark a criterion and short feedback; the score is the
    mean of the marks, from 0 to 1. Marks that are missing, too many or out of bounds
    are no score.
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
    ) -> None:
        """Name the criteria.

        Args:
            first: A criterion in a few words. Trusted: never a user's text.
            *more: More criteria, judged in the same call.
            model: The chat model that judges; by default the chain's reviser.
            judge: Instead of a model, a Runnable or callable from `CriteriaRequest`
                to `{"marks": [...], "feedback": "..."}`, or a `Judge` of `Marks`
                (`Checks` for yes/no).
            scale: `1-5`, or `yes/no` for what either holds or does not.
            weight: The weight beside other `Criteria`, above 0.
            timeout: Seconds for a verdict; `None` waits for ever.

        Raises:
            ConfigurationError: When an argument cannot work.
        """
        self.texts = (first, *more)
        self.scale: Scale = scale
        self.weight = weight
        self.timeout = timeout
        self.judge = judge if judge is not None else model
        self._check(model, judge)

    def _check(self, model: Any, judge: Any) -> None:
        problem = None
        if not all(isinstance(text, str) and text.strip() for text in self.texts):
            problem = f"takes texts that are not empty, got {self.texts!r}"
        elif self.scale not in get_args(Scale):
            problem = f"takes scale='1-5' or 'yes/no', got {self.scale!r}"
        elif not (is_number(self.weight) and self.weight > 0):
            problem = f"takes a weight above 0, got {self.weight!r}"
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

    def step(self, draft: Draft, task: str, name: str) -> Step:
        """Return the step that has a draft judged."""
        return asking(name, self.judge, CriteriaRequest(task=task, draft=draft.text))

    def read(self, outcome: Outcome) -> Score:
        """Read the score from what came of the step."""
        judgement: Judgement[Marks | Checks] | None = outcome.value
        if judgement is None:
            return self.unscored(_why_none(outcome))
        if judgement.verdict is None:
            failure = judgement.failure
            return self.unscored(failure.kind if failure else "unparseable")
        values = _values(judgement.verdict, len(self.criteria.texts))
        if values is None:
            return self.unscored("unparseable")
        feedback = _describe_marks(self.criteria, judgement.verdict)
        return self._score(sum(values) / len(values), feedback=feedback)

    def unscored(self, note: str) -> Score:
        """Return the score that is none."""
        return self._score(None, note=note)

    def _score(
        self, value: float | None, *, feedback: str = "", note: str = ""
    ) -> Score:
        return Score(
            critic=self.criteria.name,
            kind="criteria",
            value=value,
            weight=self.criteria.weight,
            feedback="" if value == 1.0 else _short(feedback),
            note=note,
        )


@dataclass(frozen=True, slots=True)
class Verifier:
    """Code that checks a draft."""

    name: str
    """Its name in scores and feedback."""
    runnable: Runnable[Any, Any]
    """The check."""
    metered: bool = False
    """Whether it may call a model, so that the budget has a say."""
    reads_text: bool = False
    """Whether it gets the text of an object instead of the object."""
    parses: bool = False
    """Whether it returns what it read in the draft, so that every answer is a pass."""

    def step(self, draft: Draft, task: str, name: str) -> Step:
        """Return the step that checks a draft."""
        given = draft.text if self.reads_text else draft.checked
        check = invoking(name, self.runnable, given)

        async def acall(config: RunnableConfig, ticket: Ticket) -> Any:
            answer = await check.acall(config, ticket)
            return await answer if inspect.isawaitable(answer) else answer

        def call(config: RunnableConfig, ticket: Ticket) -> Any:
            answer = check.call(config, ticket)
            return _wait_for(answer) if inspect.isawaitable(answer) else answer

        return Step(name, call, acall, hidden=True, metered=self.metered)

    def read(self, outcome: Outcome) -> Score:
        """Read the score from what came of the step."""
        try:
            return self._read(outcome)
        except Exception as error:  # noqa: BLE001 - an answer or an error of any type may fail to be read
            return self._score(None, note=type(error).__name__)

    def _read(self, outcome: Outcome) -> Score:
        if isinstance(outcome.error, ValidationError):
            return self._score(0.0, _describe_validation(outcome.error))
        if isinstance(outcome.error, ValueError | AssertionError):
            return self._score(0.0, str(outcome.error))
        if outcome.error is not None or outcome.spent is not None:
            return self._score(None, note=_why_none(outcome))
        return self._score(1.0) if self.parses else self._read_answer(outcome.value)

    def _read_answer(self, answer: Any) -> Score:
        if type(answer).__module__ == "numpy" and answer.size == 1:
            answer = answer.item()  # `np.all(...)` is a bool to everybody but Python
        if answer is None or (
            isinstance(answer, BaseModel) and not isinstance(answer, BaseMessage)
        ):
            # Nothing to say is a pass; so is the object a parser made of the draft.
            return self._score(1.0)
        if isinstance(answer, bool):
            return self._score(float(answer))
        if isinstance(answer, str) and answer.strip():
            return self._score(0.0, answer)
        if isinstance(answer, int | float) and 0.0 <= answer <= 1.0:
            return self._score(float(answer))
        return self._score(None, note=f"returned {_shown_kind(answer)}")

    def _score(
        self, value: float | None, feedback: str = "", *, note: str = ""
    ) -> Score:
        if value is not None and value < 1.0 and not feedback.strip():
            feedback = f"not passed ({value:.2f} of 1)" if value else "not passed"
        return Score(
            critic=self.name,
            kind="verifier",
            value=value,
            feedback="" if value == 1.0 else _short(feedback),
            note=note,
        )


def as_verifier(given: Any) -> Verifier:
    """Take what the user gave as a verifier.

    Args:
        given: A pydantic model, a Runnable, or a callable, sync or async.

    Returns:
        The verifier.

    Raises:
        ConfigurationError: When it is none of these.
    """
    if isinstance(given, type) and issubclass(given, BaseModel):
        check = RunnableLambda(partial(_validate, given), name=given.__name__)
        return Verifier(given.__name__, check, reads_text=True)
    if is_language_model(given) or isinstance(given, Judge):
        kind = type(given).__name__
        msg = f"{kind} is no verifier: a model judges by Criteria('...', model=...)"
        raise ConfigurationError(msg)
    if isinstance(given, Runnable):
        parses = isinstance(given, BaseOutputParser)
        return Verifier(given.get_name(), given, metered=True, parses=parses)
    if not callable(given):
        msg = (
            "a critic is Criteria('...'), a Runnable, a callable or a pydantic model, "
            f"got {given!r}"
        )
        raise ConfigurationError(msg)
    name = str(getattr(given, "__name__", type(given).__name__))
    return Verifier(name, _callable_check(given, name))


def _callable_check(given: Callable[[Any], Any], name: str) -> Runnable[Any, Any]:
    call = getattr(given, "__call__", given)  # noqa: B004 - its type is asked, not whether it is there
    if inspect.iscoroutinefunction(given) or inspect.iscoroutinefunction(call):
        return RunnableLambda(lambda value: _wait_for(given(value)), given, name=name)
    return RunnableLambda(given, name=name)


def _wait_for(answer: Awaitable[Any]) -> Any:
    """Await from sync code: a loop may run in this thread, so not here."""

    async def wait() -> Any:
        return await answer

    return call_with_deadline(lambda: asyncio.run(wait()), math.inf)


def _validate(model: type[BaseModel], text: str) -> None:
    model.model_validate_json(text)


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


def _describe_validation(error: ValidationError) -> str:
    entries = error.errors(include_input=False, include_url=False)[:5]
    return "; ".join(
        f"{'.'.join(str(step) for step in entry['loc']) or 'draft'}: {entry['msg']}"
        for entry in entries
    )


def _why_none(outcome: Outcome) -> str:
    # An error's message may quote the draft: only its type is safe to keep.
    if outcome.spent is not None:
        return "budget spent"
    return type(outcome.error).__name__ if outcome.error else "no answer"


def _shown_kind(answer: Any) -> str:
    if isinstance(answer, int | float):
        return "a number that is not from 0 to 1"
    return "an empty text" if isinstance(answer, str) else type(answer).__name__


def _short(feedback: str) -> str:
    feedback = feedback.strip()
    if len(feedback) > MAX_FEEDBACK:
        room = MAX_FEEDBACK - len(_LEFT_OUT)
        tail = room // 2
        feedback = f"{feedback[: room - tail]}{_LEFT_OUT}{feedback[-tail:]}"
    return encodable(feedback)
