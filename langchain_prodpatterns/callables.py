"""Functions of the user's, as Runnables.

One that cannot be called as it will be is refused at once: where it is called, its
errors are taken for those of a judge or a check that is down, and would never show.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

from langchain_core.runnables import (
    Runnable,
    RunnableConfig,
    RunnableLambda,
    RunnableParallel,
    RunnableSequence,
)
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.utils import (
    accepts_config,
    accepts_run_manager,
    is_async_callable,
)

from langchain_prodpatterns.deadlines import run_coroutine
from langchain_prodpatterns.errors import ConfigurationError

LANGCHAINS_OWN = ("config", "run_manager")
"""The parameters that a `RunnableLambda` fills in by their names."""


def check_takes_one(what: str, given: object, argument: str) -> None:
    """Refuse a function that cannot be called with one argument.

    Args:
        what: What it is, for the message: `a judge`.
        given: A function, or a Runnable, of which the functions in it are looked at.
            Anything else passes.
        argument: What it is called with, for the message: `the request`.

    Raises:
        ConfigurationError: When it takes more, or nothing. LangChain's own `config` and
            `run_manager` do not count.
    """
    for function in functions_in(given):
        signature = signature_of(function)
        if signature is None:
            continue
        own = {name: None for name in LANGCHAINS_OWN if name in signature.parameters}
        try:
            signature.bind(None, **own)
        except TypeError:
            msg = (
                f"{what} is called with one argument, {argument}: "
                f"{_shown(function, signature)} cannot be called so"
            )
            raise ConfigurationError(msg) from None


def either_way(
    function: Callable[..., Any], name: str | None = None
) -> RunnableLambda[Any, Any]:
    """Make a Runnable of a function, so that an async one also works in sync calls.

    Args:
        function: The function, sync or async.
        name: The name of its runs; by default its own.

    Returns:
        The Runnable.
    """
    if is_async_callable(function) and not accepts_run_manager(function):
        name = name or getattr(function, "__name__", None)
        return RunnableLambda(partial(_awaited, function), function, name=name)
    return RunnableLambda(function, name=name)


def functions_in(given: object) -> Iterator[Callable[..., Any]]:
    """Yield the functions that a call of something runs, each as it will be called.

    Args:
        given: A function, or a Runnable: of a sequence the functions of all steps, with
            the arguments that `bind` gave them.
    """
    if isinstance(given, RunnableBindingBase):
        yield from (partial(each, **given.kwargs) for each in functions_in(given.bound))
    elif isinstance(given, RunnableSequence):
        for step in given.steps:
            yield from functions_in(step)
    elif isinstance(given, RunnableParallel):
        for step in given.steps__.values():
            yield from functions_in(step)
    elif isinstance(given, RunnableLambda):
        yield given.func if hasattr(given, "func") else given.afunc
    elif callable(given) and not isinstance(given, type | Runnable):
        yield given


def name_of(function: Callable[..., Any]) -> str:
    """Return the name of a function, also of one that some arguments are bound to."""
    while isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


def signature_of(function: Callable[..., Any]) -> inspect.Signature | None:
    """Return the signature of a function; `None` where it tells none, as in C."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def _awaited(
    function: Callable[..., Awaitable[Any]],
    value: Any,
    config: RunnableConfig,
) -> Any:
    more = {"config": config} if accepts_config(function) else {}
    return run_coroutine(lambda: function(value, **more))


def _shown(function: Callable[..., Any], signature: inspect.Signature) -> str:
    """Name a function and its parameters, without their defaults."""
    return f"{name_of(function)}({', '.join(signature.parameters)})"
