"""The climb up the ladder, apart from how calls are made.

It is told once, by a generator that yields an `Ask` and gets its `Outcome`; the calls
are made in `walk`, sync and async.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable

from langchain_prodpatterns.budget import BudgetMeter
from langchain_prodpatterns.errors import BudgetSpent
from langchain_prodpatterns.models import model_name, takes_temperature
from langchain_prodpatterns.structured.answers import (
    is_retryable,
    names_form,
    names_temperature,
)
from langchain_prodpatterns.structured.assessing import Assessment
from langchain_prodpatterns.structured.attempts import Attempt, FieldError
from langchain_prodpatterns.structured.endings import Walked
from langchain_prodpatterns.structured.ladder import (
    Plan,
    Rung,
    State,
    Step,
    next_step,
    prepared,
)
from langchain_prodpatterns.structured.patching import (
    Mendable,
    assess_patch,
    mendable,
)
from langchain_prodpatterns.structured.pauses import pause, retry_after
from langchain_prodpatterns.structured.prompts import ask_patch, reask
from langchain_prodpatterns.structured.saving import saves_tokens
from langchain_prodpatterns.structured.target import Target
from langchain_prodpatterns.usage import NO_USAGE, Usage


@dataclass(frozen=True, slots=True)
class Ask:
    """One call to make."""

    number: int
    """The number of the attempt, from 1, which names its run."""
    model: Runnable[Any, Any]
    """The model, with what the step binds to it."""
    messages: list[BaseMessage]
    """What to ask."""
    wait: float = 0.0
    """Seconds to wait before it, as far as the budget has them."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call."""

    answer: Any = None
    """What the model answered."""
    error: Exception | None = None
    """What it raised instead."""
    spent: BudgetSpent | None = None
    """The limit because of which it was not made at all."""
    usage: Usage = NO_USAGE
    """What it used."""
    model: str | None = None
    """The model that answered, as far as the provider says."""
    seconds: float = 0.0
    """Seconds it took."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The rungs whose model was found to reject something; kept between the walks."""

    temperature: set[int] = field(default_factory=set)
    """Those that reject a temperature."""
    form: set[int] = field(default_factory=set)
    """Those that reject the form that was bound to them: they are asked in words."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """What all walks of one parser have in common."""

    rungs: tuple[Rung, ...]
    """The rungs."""
    formed: tuple[Rung, ...]
    """The same, with the form of the answer bound to their models."""
    plans: tuple[Plan, ...]
    """The plan of each rung."""
    target: Target
    """What an answer has to be."""
    judge: Callable[[Any], Assessment]
    """Tells what an answer is worth."""
    reminder: str | None = None
    """What every re-ask ends with."""
    rejected: Rejected = field(default_factory=Rejected)
    """What is known of the models; what is found out on the way is added."""


@dataclass(frozen=True, slots=True)
class Request:
    """What one walk is to get an answer to."""

    messages: list[BaseMessage]
    """The messages, with the instructions."""
    bare: list[BaseMessage] | None = None
    """The messages without them, to ask for a patch of an answer; `None` asks for the
    whole answer again."""
    given: tuple[Attempt, ...] = ()
    """The attempts before the walk."""
    first: int = 0
    """The rung to begin on."""


class Climb:
    """What one walk asks: it has the answers judged, and asks again."""

    def __init__(self, ladder: Ladder, request: Request, meter: BudgetMeter) -> None:
        """Stand before the first rung.

        Args:
            ladder: Whom to ask, and how to judge.
            request: What to ask.
            meter: The budget.
        """
        self._ladder = ladder
        self._request = request
        self._meter = meter
        self._state = State(ladder.plans, first=request.first)
        self._attempts = list(request.given)
        self._failure: Assessment | None = None
        self._mendable: Mendable | None = None
        self._may_patch = request.bare is not None
        self._asked = 0
        self._asked_wait: float | None = None

    def asks(self) -> Generator[Ask, Outcome, Walked]:
        """Yield what to ask until an answer is valid, or nothing is left to ask."""
        cause: BaseException | None = None
        step = next_step(self._state)
        while step is not None:
            outcome = yield self._ask(step)
            if outcome.spent is not None:
                outcome.spent.__cause__ = cause
                return self._end(cause=outcome.spent)
            if outcome.error is not None:
                cause = outcome.error
                if self._learns_from(step, outcome.error):
                    # What was waited for has passed: the provider answered.
                    step = replace(step, retries=0)
                    continue
                self._note_error(step, outcome, outcome.error)
            else:
                assessment = self._assess(outcome.answer)
                cause = assessment.cause
                self._note(step, outcome, assessment)
                if assessment.kind == "ok":
                    return self._end(value=assessment.value)
            step = next_step(self._state)
        return self._end(cause=cause)

    def _ask(self, step: Step) -> Ask:
        # An attempt that the budget does not admit is not worth a wait.
        wait = 0.0 if self._left() == 0 else pause(step.retries, self._asked_wait)
        self._asked += 1
        model = self._model(step)
        temperature = self._temperature(step)
        return Ask(
            number=self._asked,
            model=prepared(model, temperature, raised=step.raised),
            messages=self._prompt(),
            wait=wait,
        )

    def _model(self, step: Step) -> Runnable[Any, Any]:
        # A patch has another form than the answer.
        plain = self._mendable is not None or step.rung in self._ladder.rejected.form
        rungs = self._ladder.rungs if plain else self._ladder.formed
        return rungs[step.rung].model

    def _prompt(self) -> list[BaseMessage]:
        failure = self._failure
        if self._mendable is not None and self._request.bare is not None:
            return ask_patch(self._request.bare, self._mendable, self._ladder.reminder)
        return self._request.messages if failure is None else self._again(failure)

    def _again(self, failure: Assessment) -> list[BaseMessage]:
        return reask(
            self._request.messages,
            failure.text,
            failure.errors,
            cut_off=failure.cut_off,
            reminder=self._ladder.reminder,
        )

    def _temperature(self, step: Step) -> float | None:
        if step.rung in self._ladder.rejected.temperature:
            return None
        allowed = takes_temperature(self._ladder.rungs[step.rung].model)
        return step.temperature if allowed else None

    def _learns_from(self, step: Step, error: Exception) -> bool:
        """Drop what the provider rejects of the request, so that it can be repeated."""
        rejected = self._ladder.rejected
        if self._temperature(step) is not None and names_temperature(error):
            rejected.temperature.update(self._rungs_like(step))
        elif self._has_form(step) and names_form(error):
            rejected.form.update(self._rungs_like(step))
        else:
            return False
        self._meter.return_attempt()
        return True

    def _has_form(self, step: Step) -> bool:
        return self._model(step) is not self._ladder.rungs[step.rung].model

    def _rungs_like(self, step: Step) -> list[int]:
        """The rungs with the same model."""
        rungs = self._ladder.rungs
        model = rungs[step.rung].model
        return [number for number, rung in enumerate(rungs) if rung.model is model]

    def _assess(self, answer: Any) -> Assessment:
        """Judge an answer, and choose what the next attempt is told if it has to be."""
        if self._mendable is not None:
            mended = assess_patch(answer, self._mendable, self._ladder.judge)
            # One patch that fails is enough: from here on the whole is asked for.
            self._mendable, self._may_patch = None, False
            self._failure = mended.failure or self._failure
            return mended.assessment
        assessment = self._ladder.judge(answer)
        if assessment.kind not in {"ok", "refused"}:
            self._failure = assessment
            self._mendable = self._worth_mending(assessment)
        return assessment

    def _worth_mending(self, failure: Assessment) -> Mendable | None:
        """Find what a patch has to change, where one costs less than all again."""
        bare = self._request.bare
        found = mendable(failure, self._ladder.target) if self._may_patch else None
        if bare is None or found is None:
            return None
        patch = ask_patch(bare, found, self._ladder.reminder)
        return found if saves_tokens(patch, self._again(failure), found) else None

    def _note(self, step: Step, outcome: Outcome, assessment: Assessment) -> None:
        attempt = self._attempt(step, outcome)
        self._attempts.append(
            replace(
                attempt,
                kind=assessment.kind,
                errors=assessment.errors,
                repairs=assessment.repairs,
                text=assessment.text,
            )
        )
        self._state = replace(
            self._state,
            step=step,
            kind=assessment.kind,
            cut_off=assessment.cut_off,
            left=self._left(),
        )

    def _note_error(self, step: Step, outcome: Outcome, error: Exception) -> None:
        self._asked_wait = retry_after(error)
        self._attempts.append(self._attempt(step, outcome, errors=(_in_words(error),)))
        self._state = replace(
            self._state,
            step=step,
            kind="provider",
            cut_off=False,
            retryable=is_retryable(error),
            left=self._left(),
        )

    def _left(self) -> int | None:
        """How many attempts the budget has room for, as far as it sets a number."""
        budget = self._meter.budget
        room = []
        if budget.attempts is not None:
            room.append(budget.attempts - self._meter.attempts)
        if budget.calls is not None:
            room.append(budget.calls - self._asked)
        return min(room, default=None)

    def _attempt(
        self, step: Step, outcome: Outcome, errors: tuple[FieldError, ...] = ()
    ) -> Attempt:
        return Attempt(
            rung=step.rung,
            model=outcome.model or model_name(self._ladder.rungs[step.rung].model),
            temperature=self._temperature(step),
            kind="provider",
            errors=errors,
            usage=outcome.usage,
            seconds=outcome.seconds,
        )

    def _end(self, *, value: Any = None, cause: BaseException | None = None) -> Walked:
        return Walked(tuple(self._attempts), value, cause)


def _in_words(error: Exception) -> FieldError:
    """Name the type only: a provider's message may quote the prompt."""
    return FieldError(path="", message=str(error)[:300], safe=type(error).__name__)
