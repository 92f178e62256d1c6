"""Figures that are read when metrics are collected: once for all of them."""

import re
from typing import Any

import pytest

from langchain_prodpatterns import telemetry
from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.stores import LocalStore
from langchain_prodpatterns.cache.watching import unwatched
from langchain_prodpatterns.telemetry import observed
from langchain_prodpatterns.telemetry.observed import Watched
from langchain_prodpatterns.testing import LexicalEmbeddings


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    passed = [100.0]
    monkeypatch.setattr(observed.time, "monotonic", lambda: passed[0])  # type: ignore[attr-defined]
    return passed


def test_the_store_is_asked_once_for_all_that_is_collected(
    now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    real = LocalStore.counts

    def count(store: LocalStore) -> Any:
        asked.append(now[0])
        return real(store)

    monkeypatch.setattr(LocalStore, "counts", count)
    with SemanticJudgeCache(LexicalEmbeddings(), band=(0.5, 0.9)) as cache:
        watched = Watched(cache, {}, unwatched)
        for seconds in (0.0, 0.9, 0.2, 0.5, 5.0):
            now[0] += seconds
            assert watched.stats() is not None

    assert asked == [100.0, pytest.approx(101.1), pytest.approx(106.6)]


def test_a_closed_cache_has_no_figures_and_still_its_counts() -> None:
    cache = SemanticJudgeCache(LexicalEmbeddings(), band=(0.5, 0.9))
    cache.lookup("x", "m")
    cache.close()
    watched = Watched(cache, {}, unwatched)

    assert watched.stats() is None
    assert watched.events()["miss"] == 1


def test_the_documentation_names_every_metric() -> None:
    table = telemetry.__doc__ or ""
    names = {one.name for one in observed._OBSERVED}

    documented = {
        name
        for line in table.splitlines()
        if line.startswith("| `")
        for name in _names(line)
    }

    assert names <= documented
    assert len(documented) == len(names) + 7


def _names(line: str) -> list[str]:
    first, *others = re.findall(r"`([\w.]+)`", line.split("|")[1])
    first = first.removeprefix("prodpatterns.cache.")
    stem = first.rpartition(".")[0]
    return [first, *(f"{stem}{other}".lstrip(".") for other in others)]
