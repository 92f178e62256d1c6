"""Watching lookups, and not."""

import pytest

from langchain_prodpatterns.cache.decision import CacheDecision
from langchain_prodpatterns.cache.lookups import Lookup
from langchain_prodpatterns.cache.watching import unwatched


def test_who_watches_nothing_takes_no_note_and_lets_errors_through() -> None:
    found = Lookup(CacheDecision("miss", "", partition="p"))

    with unwatched("a") as outer, unwatched("b") as inner:
        outer(found)
        inner(found)
    with pytest.raises(ZeroDivisionError), unwatched("a"):
        raise ZeroDivisionError
