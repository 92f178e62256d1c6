"""Calling what is inside of a middleware under a config, and what one is called."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import set_config_context

from langchain_prodpatterns.errors import ConfigurationError

T = TypeVar("T")


def call_under(config: RunnableConfig, call: Callable[[], T]) -> T:
    """Call a handler, which takes no config, as a child of one.

    Args:
        config: The config that the models inside of the handler inherit.
        call: The handler with its request.

    Returns:
        What it returns.
    """
    with set_config_context(config) as context:
        return context.run(call)


async def acall_under(config: RunnableConfig, call: Callable[[], Awaitable[T]]) -> T:
    """Call an async handler as a child of a config.

    Args:
        config: As for `call_under`.
        call: The handler with its request.

    Returns:
        What it returns.
    """

    async def awaited() -> T:
        return await call()

    with set_config_context(config) as context:
        return await asyncio.create_task(awaited(), context=context)


def checked_name(name: str | None, default: str) -> str:
    """Return what a middleware is called in graphs and traces.

    Args:
        name: What the user calls it; `None` for the default.
        default: The default.

    Returns:
        The name.

    Raises:
        ConfigurationError: When it is no text, or empty.
    """
    if name is None:
        return default
    if isinstance(name, str) and name.strip():
        return name
    msg = f"name must be a text that is not empty, or None, got {name!r}"
    raise ConfigurationError(msg)
