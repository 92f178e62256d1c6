"""Waiting for what another task or thread does, without a bet on timing."""

import asyncio
from collections.abc import Callable

PATIENCE = 20
"""Seconds after which a test that hangs has failed."""


async def until(condition: Callable[[], bool]) -> None:
    """Give the loop to others until something holds."""
    async with asyncio.timeout(PATIENCE):
        # What is waited for is the state of the code under test, which sets no event.
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0)
