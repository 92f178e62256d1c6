"""Waiting for what another task or thread does, without a bet on timing."""

import asyncio
from collections.abc import Callable

import pytest

from langchain_prodpatterns.structured import walk

PATIENCE = 20
"""Seconds after which a test that hangs has failed."""


async def until(condition: Callable[[], bool]) -> None:
    """Give the loop to others until something holds."""
    async with asyncio.timeout(PATIENCE):
        # What is waited for is the state of the code under test, which sets no event.
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0)


def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no walk of a ladder pause between its attempts."""

    async def asleep(seconds: float) -> None:
        return None

    monkeypatch.setattr(walk, "sleep", lambda seconds: None)
    monkeypatch.setattr(walk, "asleep", asleep)
