"""Calls that all processes ask for at once, and only one of them should make."""

import time
from collections.abc import Callable

from cache_data import answer
from cache_scale_clients import BAND, llm, prompt
from cache_scale_data import Reflected, worded

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.stores import PostgresStore

CALLS = 100
CALL_SECONDS = 0.02
_PATIENCE = 30.0
_PARTITION = 10**9


def works(dsn: str, reflected: Reflected, start: Callable[[], object]) -> int:
    """Return how many of the calls this process has made."""
    store = PostgresStore(dsn, timeout=_PATIENCE)
    made = 0
    with SemanticJudgeCache(
        reflected, band=BAND, store=store, single_flight=_PATIENCE
    ) as cache:
        start()
        for number in range(CALLS):
            asked = prompt(worded(number))
            if cache.lookup(asked, llm(_PARTITION)) is None:
                made += 1
                time.sleep(CALL_SECONDS)
                cache.update(asked, llm(_PARTITION), answer(str(number)))
    return made
