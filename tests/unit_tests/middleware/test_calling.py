"""Handlers called under a config of ours."""

import asyncio

import pytest
from langchain_core.runnables.config import ensure_config

from langchain_prodpatterns.middleware.calling import acall_under, call_under


def tags() -> list[str]:
    return ensure_config().get("tags") or []


async def atags() -> list[str]:
    return tags()


def test_a_handler_inherits_the_config_and_nobody_else_does() -> None:
    assert call_under({"tags": ["inside"]}, tags) == ["inside"]
    assert tags() == []


async def test_an_async_handler_does_too() -> None:
    assert await acall_under({"tags": ["inside"]}, atags) == ["inside"]
    assert tags() == []


def test_what_a_handler_raises_passes() -> None:
    def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        call_under({}, fail)
    assert tags() == []


async def test_to_cancel_it_is_to_cancel_the_handler() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    calling = asyncio.create_task(acall_under({}, wait))
    await begun.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    await ended.wait()
