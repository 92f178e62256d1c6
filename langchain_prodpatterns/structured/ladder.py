"""The ladder: which model to ask next, and how. Pure: nothing is called here.

Rungs are climbed in order. A wrong answer leads to the next temperature of the rung,
then to the next rung; the last rung goes on for as long as the budget does. One attempt
is kept for each rung above, so that a small budget reaches the strong model too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.runnables import Runnable
from langchain_core.runnables.base import RunnableBindingBase

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.judging import is_language_model
from langchain_prodpatterns.models import are_temperatures, layers, profile
from langchain_prodpatterns.structured.attempts import AttemptKind

MAX_RETRIES = 2
"""How often one rung is asked again because of an error that may pass."""
_TOKEN_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")


@dataclass(frozen=True)
class Rung:
    """A model to ask, and how often.

    ```python
    ladder = [Rung(cheap, temperatures=(0, 0.5, 0.9)), Rung(strong, attempts=1)]
    ```
    """

    model: Runnable[Any, Any]
    """A chat model or language model, also with `bind`, `with_retry` or
    `with_fallbacks`."""
    temperatures: tuple[float | None, ...] = (None,)
    """The temperature of each attempt; further attempts stay at the last one. `None`
    sends none, so that the model's own holds."""
    attempts: int | None = None
    """Attempts before climbing, at most: fewer where the budget has only one left for
    each rung above. `None` is one a temperature; on the last rung, as many as the
    budget has room for, or one a temperature where the budget has no limit."""

    def __post_init__(self) -> None:
        if not is_language_model(self.model):
            kind = type(self.model).__name__
            msg = f"a Rung needs a chat model or language model, got {kind}"
            raise ConfigurationError(msg)
        _check_temperatures(self.temperatures)
        object.__setattr__(self, "temperatures", tuple(self.temperatures))
        attempts = self.attempts
        whole = isinstance(attempts, int) and not isinstance(attempts, bool)
        if attempts is not None and not (whole and attempts >= 1):
            msg = f"Rung(attempts=...) must be at least 1 or None, got {attempts!r}"
            raise ConfigurationError(msg)


def as_rungs(ladder: Sequence[Any]) -> tuple[Rung, ...]:
    """Read a ladder, in which a bare model is a rung of its own.

    Args:
        ladder: Rungs and models.

    Returns:
        The rungs.

    Raises:
        ConfigurationError: When it is no sequence of rungs and models.
    """
    if isinstance(ladder, str | Mapping) or not isinstance(ladder, Sequence):
        kind = type(ladder).__name__
        msg = (
            "ladder must be a list of models and rungs, cheapest first, such as "
            f"[llm], got {kind}"
        )
        raise ConfigurationError(msg)
    return tuple(rung if isinstance(rung, Rung) else Rung(rung) for rung in ladder)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the walk has to know of a rung."""

    temperatures: tuple[float | None, ...]
    """The temperature of each attempt."""
    attempts: int | None
    """Attempts before climbing; `None` is without end."""
    can_raise_tokens: bool
    """Whether its limit of output tokens is known, and can be doubled."""


@dataclass(frozen=True, slots=True)
class Step:
    """The next attempt."""

    rung: int
    """The rung to ask."""
    turn: int
    """How many wrong answers it has given, which chooses the temperature."""
    temperature: float | None
    """The temperature to send."""
    raised: bool = False
    """Whether the limit of output tokens is doubled."""
    retries: int = 0
    """How many errors of the provider came in a row."""
    terse: bool = False
    """Whether nothing but a shorter answer is left to ask for."""


@dataclass(frozen=True, slots=True)
class State:
    """Where the walk stands: the ladder, the last step and what came of it."""

    plans: tuple[Plan, ...]
    """The rungs."""
    step: Step | None = None
    """The last step; `None` before the first."""
    kind: AttemptKind | None = None
    """What came of it."""
    cut_off: bool = False
    """Whether the provider said that the answer was cut off at the token limit."""
    retryable: bool = False
    """Whether the provider's error may pass."""
    left: int | None = None
    """How many attempts the budget has left; `None` where it sets no number."""
    first: int = 0
    """The rung to begin on."""


def plan(rungs: Sequence[Rung], *, endless: bool) -> tuple[Plan, ...]:
    """Plan the attempts of each rung.

    Args:
        rungs: The ladder.
        endless: Whether a budget ends the attempts on the last rung.

    Returns:
        A plan a rung.
    """
    return tuple(
        Plan(
            temperatures=rung.temperatures,
            attempts=_allowance(rung, endless=endless and number == len(rungs)),
            can_raise_tokens=raised_limit(rung.model) is not None,
        )
        for number, rung in enumerate(rungs, 1)
    )


def next_step(state: State) -> Step | None:
    """Choose the next attempt after a failure.

    Args:
        state: Where the walk stands.

    Returns:
        The next attempt, or `None` at the end of the ladder.
    """
    if state.step is None:
        return _enter(state.plans, state.first)
    stay = None
    if not _must_climb(state.step, state):
        stay = _same_rung(state.plans[state.step.rung], state.step, state)
    return (
        stay or _enter(state.plans, state.step.rung + 1) or _tersely(state.step, state)
    )


def _must_climb(step: Step, state: State) -> bool:
    """Whether only one attempt is left for each rung above."""
    above = len(state.plans) - 1 - step.rung
    return state.left is not None and 0 < above >= state.left


def _same_rung(here: Plan, step: Step, state: State) -> Step | None:
    """Ask the same rung again, where that may help."""
    if state.kind == "provider":
        again = state.retryable and step.retries < MAX_RETRIES
        return replace(step, retries=step.retries + 1) if again else None
    if state.kind == "refused":
        return None
    if state.cut_off:
        can_raise = here.can_raise_tokens and not step.raised
        return replace(step, raised=True, retries=0) if can_raise else None
    turn = step.turn + 1
    if here.attempts is not None and turn >= here.attempts:
        return None
    temperature = here.temperatures[min(turn, len(here.temperatures) - 1)]
    return replace(step, turn=turn, temperature=temperature, retries=0)


def _tersely(step: Step, state: State) -> Step | None:
    """At the end of the ladder, ask once for what was cut off: a re-ask says so."""
    turn = step.turn + 1
    attempts = state.plans[step.rung].attempts
    if not state.cut_off or step.terse or (attempts is not None and turn >= attempts):
        return None
    return replace(step, turn=turn, terse=True, retries=0)


def _enter(plans: tuple[Plan, ...], rung: int) -> Step | None:
    if rung >= len(plans):
        return None
    return Step(rung=rung, turn=0, temperature=plans[rung].temperatures[0])


def _allowance(rung: Rung, *, endless: bool) -> int | None:
    if rung.attempts is not None:
        return rung.attempts
    return None if endless else len(rung.temperatures)


def prepared(
    model: Runnable[Any, Any], temperature: float | None, *, raised: bool
) -> Runnable[Any, Any]:
    """Bind to a model what a step asks for.

    Args:
        model: The model of the rung.
        temperature: The temperature, or `None` for the model's own.
        raised: Whether to raise its limit of output tokens.

    Returns:
        The model, bound where there is something to bind.
    """
    settings: dict[str, Any] = {}
    if temperature is not None:
        settings["temperature"] = temperature
    limit = raised_limit(model) if raised else None
    if limit is not None:
        settings[limit[0]] = limit[1]
    return model.bind(**settings) if settings else model


def token_limit(model: Runnable[Any, Any]) -> tuple[str, int] | None:
    """Find the limit of output tokens that is set on a model.

    Args:
        model: A model, perhaps bound.

    Returns:
        The name of the parameter and the limit, or `None` where none is set.
    """
    for part in layers(model):
        is_binding = isinstance(part, RunnableBindingBase)
        for name in _TOKEN_LIMITS:
            given = part.kwargs.get(name) if is_binding else getattr(part, name, None)
            if isinstance(given, int) and not isinstance(given, bool) and given > 0:
                return name, given
    return None


def raised_limit(model: Runnable[Any, Any]) -> tuple[str, int] | None:
    """Double the limit of output tokens, as far as the model can write.

    Args:
        model: A model, perhaps bound.

    Returns:
        The name of the parameter and the new limit, or `None` where none is set, or
        the `profile` of the model allows no higher one.
    """
    limit = token_limit(model)
    if limit is None:
        return None
    name, now = limit
    most = profile(model).get("max_output_tokens")
    raised = min(2 * now, most) if isinstance(most, int) else 2 * now
    return (name, raised) if raised > now else None


def _check_temperatures(temperatures: Any) -> None:
    if not are_temperatures(temperatures):
        msg = (
            "Rung(temperatures=...) must hold at least one number from 0 up or None, "
            f"got {temperatures!r}"
        )
        raise ConfigurationError(msg)
