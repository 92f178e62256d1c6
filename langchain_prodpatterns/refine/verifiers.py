"""Verifiers: code that checks a draft.

A verifier that is broken leaves a draft unscored; that is never a zero and never a
crash.
"""

import inspect
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.output_parsers import BaseOutputParser
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.runnables.utils import is_async_callable
from pydantic import BaseModel, ValidationError

from langchain_prodpatterns.arguments import is_number
from langchain_prodpatterns.budget import Ticket
from langchain_prodpatterns.callables import (
    LANGCHAINS_OWN,
    check_takes_one,
    either_way,
    name_of,
    signature_of,
)
from langchain_prodpatterns.deadlines import run_coroutine
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.judging import Judge, is_language_model
from langchain_prodpatterns.refine.drafts import Draft
from langchain_prodpatterns.refine.feedback import short, why_none
from langchain_prodpatterns.refine.fields import pointer
from langchain_prodpatterns.refine.results import Score
from langchain_prodpatterns.refine.steps import Outcome, Step, invoking

CRITIQUE = "critique"
"""The name of the step of every critic."""

_PAIR = 2
_SHOWN = 5

CriticLike = (
    Runnable[Any, Any]
    | Callable[[Any], Any]
    | Callable[[Any, Any], Any]
    | Callable[[Any], Awaitable[Any]]
    | type[BaseModel]
)
"""What `critics=` takes as a verifier beside `Criteria`."""


class Verifier:
    """A check with a name and a weight of its own, where those of a callable won't do.

    ```python
    Verifier(lambda text: len(text) <= 280, name="at most 280 characters", weight=2.0)
    ```
    """

    def __init__(
        self, check: CriticLike, *, name: str | None = None, weight: float = 1.0
    ) -> None:
        """Name a check.

        Args:
            check: What `critics=` takes as a verifier.
            name: Its name in scores and feedback; by default that of the check.
            weight: The weight beside other verifiers, above 0. It counts where the
                score is that of the verifiers, which is where there are no `Criteria`.

        Raises:
            ConfigurationError: When an argument cannot work.
        """
        problem = None
        if name is not None and not (isinstance(name, str) and name.strip()):
            problem = f"takes a name that is not empty, got {name!r}"
        elif not (is_number(weight) and 0 < weight < math.inf):
            problem = f"takes a weight above 0, got {weight!r}"
        elif isinstance(check, Verifier):
            problem = "takes a check, got a Verifier"
        elif not (callable(check) or isinstance(check, Runnable)):
            problem = f"takes a Runnable, a callable or a pydantic model, got {check!r}"
        if problem is not None:
            msg = f"Verifier {problem}"
            raise ConfigurationError(msg)
        self.check = check
        self.name = name
        self.weight = weight
        as_verifier(self)  # what cannot work must fail here

    def __repr__(self) -> str:
        return f"Verifier({self.check!r}, name={self.name!r}, weight={self.weight})"


@dataclass(frozen=True, slots=True)
class BoundVerifier:
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
    weight: float = 1.0
    """Its weight beside other verifiers."""
    reads_input: bool = False
    """Whether it also gets what the draft was made from."""

    def step(
        self, draft: Draft, task: str, facts: Mapping[str, Any], given: Any = None
    ) -> Step:
        """Return the step that checks a draft.

        Args:
            draft: The draft.
            task: What it is for; not used.
            facts: Of which round it is.
            given: What it was made from.
        """
        checked = draft.text if self.reads_text else draft.checked
        if self.reads_input:
            checked = (checked, given)
        check = invoking(CRITIQUE, self.runnable, checked)

        async def acall(config: RunnableConfig, ticket: Ticket) -> Any:
            answer = await check.acall(config, ticket)
            return await answer if inspect.isawaitable(answer) else answer

        def call(config: RunnableConfig, ticket: Ticket) -> Any:
            answer = check.call(config, ticket)
            if not inspect.isawaitable(answer):
                return answer
            return run_coroutine(lambda: answer)

        return Step(
            CRITIQUE, call, acall, hidden=True, metered=self.metered, facts=facts
        )

    def read(self, outcome: Outcome) -> Score:
        """Read the score from what came of the step."""
        try:
            return self._read(outcome)
        except Exception as error:  # noqa: BLE001 - an answer or an error of any type may fail to be read
            return self.unscored(type(error).__name__)

    def _read(self, outcome: Outcome) -> Score:
        if isinstance(outcome.error, ValidationError):
            return self._invalid(outcome.error)
        if isinstance(outcome.error, ValueError | AssertionError):
            return self._score(0.0, str(outcome.error))
        if outcome.error is not None or outcome.spent is not None:
            return self.unscored(why_none(outcome))
        return self._score(1.0) if self.parses else self._read_answer(outcome.value)

    def _read_answer(self, answer: Any) -> Score:
        if type(answer).__module__ == "numpy" and answer.size == 1:
            answer = answer.item()  # `np.all(...)` is a bool to everybody but Python
        if answer is None or (
            isinstance(answer, BaseModel) and not isinstance(answer, BaseMessage)
        ):
            # Nothing to say is a pass; so is the object a parser made of the draft.
            return self._score(1.0)
        if isinstance(answer, str) and answer.strip():
            return self._score(0.0, answer)
        if isinstance(answer, Mapping) and all(map(_is_text, answer.values())):
            return self._read_fields(answer)
        value, words = answer, ""
        if isinstance(answer, tuple) and len(answer) == _PAIR:
            value, words = answer
        if isinstance(value, int | float) and 0 <= value <= 1 and _is_text(words):
            return self._score(float(value), words or "")
        return self.unscored(f"returned {_shown_kind(answer)}")

    def _read_fields(self, answer: Mapping[Any, Any]) -> Score:
        """Read what is wrong with each field of an object; nothing is a pass."""
        wrong = {str(field): words for field, words in answer.items() if words}
        if not wrong:
            return self._score(1.0)
        feedback = "; ".join(f"{field}: {words}" for field, words in wrong.items())
        return self._score(_fewer_is_better(len(wrong)), feedback, tuple(wrong))

    def _invalid(self, error: ValidationError) -> Score:
        """Say which fields do not validate, without their values."""
        entries = error.errors(include_input=False, include_url=False)
        feedback = "; ".join(
            f"{'.'.join(map(str, entry['loc'])) or 'draft'}: {entry['msg']}"
            for entry in entries[:_SHOWN]
        )
        if not all(entry["loc"] for entry in entries):
            return self._score(0.0, feedback)  # it is the whole that is wrong
        fields = tuple(pointer(entry["loc"]) for entry in entries)
        return self._score(_fewer_is_better(len(fields)), feedback, fields)

    def unscored(self, note: str) -> Score:
        """Return the score that is none."""
        return Score(self.name, "verifier", None, self.weight, note=note)

    def _score(
        self, value: float, feedback: str = "", fields: tuple[str, ...] = ()
    ) -> Score:
        if value < 1.0 and not feedback.strip():
            feedback = f"not passed ({value:.2f} of 1)" if value else "not passed"
        return Score(
            critic=self.name,
            kind="verifier",
            value=value,
            weight=self.weight,
            feedback="" if value == 1.0 else short(feedback),
            fields=() if value == 1.0 else fields,
        )


def as_verifier(given: Any) -> BoundVerifier:
    """Take what the user gave as a verifier.

    Args:
        given: A pydantic model, a Runnable, a callable, sync or async, or a `Verifier`
            around one of these.

    Returns:
        The verifier.

    Raises:
        ConfigurationError: When it is none of these, or a function that cannot be
            called with a draft.
    """
    if isinstance(given, Verifier):
        bound = as_verifier(given.check)
        return replace(bound, name=given.name or bound.name, weight=given.weight)
    if isinstance(given, type) and issubclass(given, BaseModel):
        check = RunnableLambda(partial(_validate, given), name=given.__name__)
        return BoundVerifier(given.__name__, check, reads_text=True)
    if is_language_model(given) or isinstance(given, Judge):
        kind = type(given).__name__
        msg = f"{kind} is no verifier: a model judges by Criteria('...', model=...)"
        raise ConfigurationError(msg)
    if isinstance(given, Runnable):
        takes = "the draft (only a bare function can also take the input)"
        check_takes_one("a verifier in a Runnable", given, takes)
        parses = isinstance(given, BaseOutputParser)
        return BoundVerifier(given.get_name(), given, metered=True, parses=parses)
    if not callable(given):
        msg = (
            "a critic is Criteria('...'), a Runnable, a callable or a pydantic model, "
            f"got {given!r}"
        )
        raise ConfigurationError(msg)
    name = name_of(given)
    if _reads_input(given):
        pairs: Runnable[Any, Any] = either_way(_unpacking(given), name)
        return BoundVerifier(name, pairs, reads_input=True)
    takes = "the draft (or with two, the draft and its input)"
    check_takes_one("a verifier", given, takes)
    return BoundVerifier(name, either_way(given, name))


def _reads_input(given: Callable[..., Any]) -> bool:
    """Whether a callable needs two arguments, of which none is LangChain's own."""
    signature = signature_of(given)
    if signature is None:
        return False
    needed = [
        each.name
        for each in signature.parameters.values()
        if each.default is each.empty
        and each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]
    return len(needed) == _PAIR and needed[1] not in LANGCHAINS_OWN


def _unpacking(given: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    if is_async_callable(given):

        async def acheck(pair: tuple[Any, Any]) -> Any:
            return await given(*pair)

        return acheck
    return lambda pair: given(*pair)


def _validate(model: type[BaseModel], text: str) -> None:
    model.model_validate_json(text)


def _fewer_is_better(wrong: int) -> float:
    """Score an object by what is wrong with it: who mends a part of it makes it better.

    How many things there are to be right is not known.
    """
    return 1 / (1 + wrong)


def _is_text(words: Any) -> bool:
    return words is None or isinstance(words, str)


def _shown_kind(answer: Any) -> str:
    if isinstance(answer, int | float):
        return "a number that is not from 0 to 1"
    return "an empty text" if isinstance(answer, str) else type(answer).__name__
