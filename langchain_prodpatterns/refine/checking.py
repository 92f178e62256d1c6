"""Arguments of `RefineChain` that cannot work are refused here."""

from typing import Any

from langchain_core.runnables import Runnable
from langchain_core.runnables.base import RunnableLike, coerce_to_runnable
from langchain_core.runnables.utils import is_async_callable

from langchain_prodpatterns.arguments import check_count, is_number
from langchain_prodpatterns.callables import either_way
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.judging import is_language_model
from langchain_prodpatterns.models import are_temperatures


def as_runnable(
    argument: str, given: RunnableLike[Any, Any] | None
) -> Runnable[Any, Any] | None:
    """Take a callable as a Runnable.

    An async one also works in sync calls: there it would fail, and be taken for a
    reviser that is down.

    Raises:
        ConfigurationError: When it is neither.
    """
    if is_async_callable(given):
        return either_way(given)
    try:
        return None if given is None else coerce_to_runnable(given)
    except TypeError:
        kind = type(given).__name__
        msg = f"{argument} must be a chat model, a Runnable or a callable, got {kind}"
        raise ConfigurationError(msg) from None


def check_numbers(
    target_score: float | None,
    max_rounds: int,
    patience: int,
    candidates: int,
    failed_ideas: int,
) -> None:
    """Refuse numbers that mean nothing.

    Raises:
        ConfigurationError: When one is out of its bounds.
    """
    if target_score is not None and not (
        is_number(target_score) and 0.0 < target_score <= 1.0
    ):
        msg = f"target_score must be above 0 and at most 1, got {target_score!r}"
        raise ConfigurationError(msg)
    check_count("max_rounds", max_rounds, optional=False)
    check_count("patience", patience, optional=False)
    check_count("candidates", candidates, optional=False)
    check_count("failed_ideas", failed_ideas, optional=False, least=0)


def check_temperatures(temperatures: Any, candidates: int) -> None:
    """Refuse what is not one temperature a candidate, or nothing.

    Raises:
        ConfigurationError: When it is neither.
    """
    if temperatures in ((), []):
        return
    if not are_temperatures(temperatures) or len(temperatures) != candidates:
        msg = (
            "temperatures must hold one number from 0 up or None a candidate "
            f"({candidates}), got {temperatures!r}"
        )
        raise ConfigurationError(msg)


def check_warmth(temperatures: Any, *writers: Any) -> None:
    """Refuse temperatures that nobody can be given.

    Raises:
        ConfigurationError: When none of the writers is a chat model.
    """
    if temperatures and not any(map(is_language_model, writers)):
        msg = (
            f"temperatures={temperatures!r} are for chat models, and neither the "
            "generator nor the reviser is one: set them inside of what you give"
        )
        raise ConfigurationError(msg)
