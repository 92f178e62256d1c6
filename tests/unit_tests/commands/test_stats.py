"""The figures of a cache."""

from pathlib import Path

import pytest

from langchain_prodpatterns import SemanticJudgeCache
from langchain_prodpatterns.cache.stores import LocalStore, Selection
from langchain_prodpatterns.testing import ScriptedChatModel
from tests.unit_tests.commands.conftest import EMBEDDINGS, PRIVATE, Run, entry, fill

KEYS = [
    "aliases",
    "bytes",
    "embedder",
    "entries",
    "expired",
    "largest",
    "namespaces",
    "newest_seconds",
    "oldest_seconds",
    "partitions",
    "promise",
    "quarantined",
    "rejected",
]


def test_machines_get_figures_under_stable_keys(run: Run, filled: Path) -> None:
    record = run("stats", "--store", filled, "--json").record

    assert sorted(record) == KEYS
    assert (record["entries"], record["partitions"]) == (3, 2)
    assert record["embedder"] == {"name": "LexicalEmbeddings()", "dimensions": 64}
    names = [(one["namespace"], one["entries"]) for one in record["namespaces"]]
    assert names == [("default", 2), ("other", 1)]
    assert record["largest"][0]["partition"] == "p"
    assert 0 <= record["newest_seconds"] <= record["oldest_seconds"] < 600
    assert sorted(record["promise"]) == [
        *("bound", "delta", "evidence", "hi", "judge_error", "lo", "reason")
    ]
    assert record["promise"]["delta"] == 0.02


def test_people_get_tables(run: Run, filled: Path) -> None:
    ran = run("stats", "--store", filled, "--delta", "0.1")

    assert ran.code == 0
    rows = [line.split() for line in ran.out.splitlines() if line.strip()]
    assert ["entries", "3"] in rows
    assert ["embedder", "LexicalEmbeddings(),", "dimension", "64"] in rows
    assert ["promised", "/", "bound", "10.0%", "/", "100.0%"] in rows
    assert ["namespace", "entries", "bytes", "hits"] in rows
    assert any(row[:3] == ["p", "default", "2"] for row in rows)
    assert ran.out.rstrip().endswith("nothing was judged yet")
    assert PRIVATE not in ran.out


def test_what_is_known_comes_from_the_verdicts(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "answers.db"
    with SemanticJudgeCache(EMBEDDINGS, lambda _: True, path=path) as cache:
        model = ScriptedChatModel(default="x", cache=cache)
        model.invoke("Can I take my dog on the ferry?")
        model.invoke("Can I take my dog on the big ferry?")

    record = run("stats", "--store", path, "--json").record

    assert record["promise"]["evidence"] == 1
    assert record["promise"]["bound"] < 1
    assert (record["aliases"], record["namespaces"][0]["hits"]) == (1, 1)


def test_what_is_past_and_not_swept_is_told(
    run: Run, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        # As it is an hour after the answer about kayaks was stored.
        patched.setattr(
            LocalStore.__init__, "__kwdefaults__", _later(LocalStore.__init__)
        )
        record = run("stats", "--store", filled, "--json").record

    assert (record["entries"], record["expired"]) == (3, 1)


def _later(init: object) -> dict[str, object]:
    import time

    given = dict(getattr(init, "__kwdefaults__", {}))
    return {**given, "clock": lambda: time.time() + 4_000}


def test_an_emptied_cache_has_figures_too(run: Run, filled: Path) -> None:
    store = LocalStore(filled)
    store.remove(Selection())
    store.close()

    record = run("stats", "--store", filled, "--json").record

    assert (record["entries"], record["namespaces"]) == (0, [])
    assert (record["oldest_seconds"], record["newest_seconds"]) == (None, None)
    assert "oldest                   -" in run("stats", "--store", filled).out


def test_a_name_that_would_steer_the_terminal_is_written_out(
    run: Run, tmp_path: Path
) -> None:
    path = fill(tmp_path / "x.db", entry("a", namespace="[red]\x1b[2J"))

    ran = run("stats", "--store", path, "--largest", "0")

    assert "[red]\\x1b[2J" in ran.out
    assert "\x1b" not in ran.out
