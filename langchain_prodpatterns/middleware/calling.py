"""Calling what is inside of a middleware under a config."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import set_config_context

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
