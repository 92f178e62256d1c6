"""Arguments that cannot work are refused before anything is opened."""

import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.arguments import (
    age_in_seconds,
    check_text,
    check_ttl,
    selection_of,
)
from langchain_prodpatterns.cache.stores import LocalStore, Selection
from langchain_prodpatterns.errors import ConfigurationError, StoreUnavailable
from langchain_prodpatterns.fingerprints import Fingerprint
from langchain_prodpatterns.testing import LexicalEmbeddings

NO_CRITERIA: dict[str, Any] = {
    "hit_id": None,
    "query": None,
    "partition": None,
    "namespace": None,
    "older_than": None,
    "where": None,
}


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"delta": -0.01}, "delta must be a number from 0 to 0.5, got -0.01"),
        ({"delta": 0.6}, "delta must be a number from 0 to 0.5"),
        ({"delta": math.nan}, "delta must be"),
        ({"delta": "0.02"}, "delta must be.*'0.02'"),
        ({"delta": True}, "delta must be"),
        ({"max_bytes": 0}, "max_bytes must be"),
        ({"max_bytes": 1.5}, "max_bytes must be"),
        ({"judge_mode": "later"}, "judge_mode must be one of 'sync', 'async', 'off'"),
        ({"judge_mode": None}, "judge_mode must be one of"),
        ({"judge_timeout": math.nan}, "judge_timeout must be"),
        ({"ttl": math.inf}, "ttl must be"),
        ({"cost": (1, -1)}, "cost must be"),
        (
            {"store": object()},
            "store must be a CacheStore; object has no 'shared'",
        ),
    ],
)
def test_arguments_that_cannot_work(
    tmp_path: Path, kwargs: dict[str, Any], message: str
) -> None:
    given = kwargs if "store" in kwargs else {"path": tmp_path / "c.db", **kwargs}

    with pytest.raises(ConfigurationError, match=message):
        SemanticJudgeCache(LexicalEmbeddings(), bool, **given)
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_away_is_a_store() -> None:
    class Away(LocalStore):
        @property
        def fingerprint(self) -> Fingerprint | None:
            msg = "away"
            raise StoreUnavailable(msg)

    with SemanticJudgeCache(LexicalEmbeddings(), bool, store=Away()) as cache:
        assert cache.stats().unavailable == 1


@pytest.mark.parametrize(
    ("name", "value"), [("path", "c.db"), ("max_entries", 1), ("max_bytes", 1)]
)
def test_what_a_store_was_opened_with_is_not_given_again(
    tmp_path: Path, name: str, value: Any
) -> None:
    given = {name: tmp_path / value if name == "path" else value}
    store = LocalStore()

    with pytest.raises(
        ConfigurationError, match=f"{name} is for the cache's own store"
    ):
        SemanticJudgeCache(LexicalEmbeddings(), bool, store=store, **given)
    # It is the caller's, and still open.
    assert store.find("x") is None
    store.close()


@pytest.mark.parametrize("delta", [0, 0.5, 0.02])
def test_deltas_that_work(delta: float) -> None:
    with SemanticJudgeCache(LexicalEmbeddings(), bool, delta=delta) as cache:
        assert cache.stats().promise.delta == delta


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(None, None), (0, 0), (1.5, 1.5), (timedelta(minutes=1), 60.0)],
)
def test_ages(given: Any, seconds: float | None) -> None:
    assert age_in_seconds(given) == seconds


@pytest.mark.parametrize("given", [-1, math.nan, math.inf, "1", True, timedelta(-1)])
def test_what_is_no_age_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="older_than must be"):
        age_in_seconds(given)


def test_each_criterion_counts() -> None:
    def where(_: Any) -> bool:
        return True

    given = {"query": "q", "partition": "p", "namespace": "n", "where": where}
    selection = selection_of(**{**NO_CRITERIA, **given, "hit_id": "key.exact"})

    assert selection == Selection(
        key="key", text="q", partition="p", namespace="n", where=where
    )


def test_without_a_criterion_nothing_is_removed_by_accident() -> None:
    with pytest.raises(ConfigurationError, match="clear"):
        selection_of(**NO_CRITERIA)
    # An empty text is one: that of no question.
    assert selection_of(**{**NO_CRITERIA, "query": ""}).text == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [("query", 1), ("partition", b"p"), ("namespace", ["n"]), ("where", "doc = 1")],
)
def test_criteria_of_another_type_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be"):
        selection_of(**{**NO_CRITERIA, name: value})


def test_texts_and_times_to_live() -> None:
    check_text("scope", None)
    check_text("scope", "")
    check_ttl("ttl", None)
    check_ttl("ttl", 1)
    check_ttl("ttl", lambda _: "checked when it is known")  # type: ignore[arg-type]  # what is not looked at
    with pytest.raises(ConfigurationError, match="ttl must be"):
        check_ttl("ttl", 0)
