"""A cache that begins with what was calibrated elsewhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.calibrated_settings import CacheSettings
from langchain_prodpatterns.cache.calibration import (
    JudgeRecord,
    LabeledPair,
    Measured,
)
from langchain_prodpatterns.cache.evidence import EDGES, Cell
from langchain_prodpatterns.calibration_file import CalibrationFile
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.fingerprints import fingerprint_of
from tests.unit_tests.cache.conftest import CountingEmbeddings, ScriptedJudge

PAIRS = [
    ("how do I pay", "how can I pay", True),
    ("how do I pay", "where are you", False),
    ("how do I pay 3", "how do I pay 4", False),
]

counts = st.tuples(st.integers(0, 99), st.integers(0, 99))
shares = st.floats(0, 1)
settings = st.builds(
    CacheSettings,
    delta=st.floats(0, 0.5),
    band=st.none() | st.tuples(shares, shares),
    cells=st.dictionaries(
        st.builds(Cell, st.integers(0, len(EDGES) - 1), st.booleans()), counts
    ),
    as_traffic=st.booleans(),
    judge=st.none() | counts,
)


def file_of(
    given: CacheSettings, embeddings: CountingEmbeddings | None = None
) -> dict[str, Any]:
    embedder = fingerprint_of(embeddings or CountingEmbeddings())
    return CalibrationFile("cache", embedder, given.record()).record()


@given(settings)
def test_settings_come_back(found: CacheSettings) -> None:
    assert CacheSettings.read(found.record()) == found


GOOD = CacheSettings(
    0.02, (0.8, 0.95), {Cell(3, guarded=False): (1, 2)}, as_traffic=True
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("delta", None),
        ("delta", "0.1"),
        ("delta", 0.6),
        ("delta", True),
        ("band", [0.1]),
        ("band", "ab"),
        ("band", ["a", "b"]),
        ("judge", [1.5, 2]),
        ("judge", [-1, 2]),
        ("as_traffic", 1),
        ("cells", None),
        ("cells", {"secret": [1, 2]}),
        ("cells", {"3c": [1]}),
        ("cells", {"3c": [1, 10**12]}),
    ],
)
def test_what_is_none_is_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=f"no '{name}'"):
        CacheSettings.read({**GOOD.record(), name: value})


def test_pairs_are_counted_by_cell() -> None:
    measured = [
        Measured(LabeledPair("a", "b", same_answer=True), 0.9, ()),
        Measured(LabeledPair("a", "c", same_answer=False), 0.9, ()),
        Measured(LabeledPair("a", "d", same_answer=False), 0.9, ("number",)),
    ]
    record = JudgeRecord(1, 3, 0, 5, 0)

    found = CacheSettings.of(measured, record, delta=0.1, band=None, as_traffic=False)

    clean, guarded = Cell.of(0.9, guarded=False), Cell.of(0.9, guarded=True)
    assert found.cells == {clean: (1, 1), guarded: (0, 1)}
    assert found.judge == (2, 1)
    assert sorted(same for _, same in found.pairs()) == [False, False, True]


@pytest.mark.parametrize("as_traffic", [False, True])
def test_a_cache_that_is_given_the_file_knows_what_one_that_calibrated_knows(
    embeddings: CountingEmbeddings, judge: ScriptedJudge, as_traffic: bool
) -> None:
    judge.answer = True
    one = SemanticJudgeCache(embeddings, judge, delta=0.1)
    seen = one.calibrate(PAIRS, as_traffic=as_traffic)
    measured = one.core.measure([LabeledPair(*pair) for pair in PAIRS])
    found = CacheSettings.of(
        measured, seen.judge, delta=0.1, band=seen.band, as_traffic=as_traffic
    )

    other = SemanticJudgeCache.from_calibration(
        file_of(found, embeddings), embeddings, judge
    )

    assert other.stats().promise == one.stats().promise
    assert other.stats().promise.judge_error > 0


def test_without_a_judge_the_band_is_that_of_the_calibration(tmp_path: Path) -> None:
    embeddings = CountingEmbeddings()
    path = tmp_path / "cache.json"
    CalibrationFile("cache", fingerprint_of(embeddings), GOOD.record()).write(path)

    cache = SemanticJudgeCache.from_calibration(path, embeddings)

    promise = cache.stats().promise
    assert (promise.lo, promise.hi) == (0.8, 0.95)
    own = SemanticJudgeCache.from_calibration(path, embeddings, band=(0.5, 0.6))
    assert own.stats().promise.hi == 0.6


def test_without_a_band_and_without_a_judge_it_says_what_to_give() -> None:
    bandless = CacheSettings(0.02, None, {}, as_traffic=False)

    with pytest.raises(ConfigurationError, match=r"no cosine that keeps delta 0.02"):
        SemanticJudgeCache.from_calibration(file_of(bandless), CountingEmbeddings())
    SemanticJudgeCache.from_calibration(
        file_of(bandless), CountingEmbeddings(), ScriptedJudge()
    )


def test_other_embeddings_are_refused() -> None:
    other = CountingEmbeddings(model="another")

    with pytest.raises(ConfigurationError, match="these embeddings are"):
        SemanticJudgeCache.from_calibration(file_of(GOOD), other, ScriptedJudge())


def test_what_is_given_counts(judge: ScriptedJudge) -> None:
    cache = SemanticJudgeCache.from_calibration(
        file_of(GOOD), CountingEmbeddings(), judge, delta=0.05, namespace="tenant"
    )

    assert cache.stats().promise.delta == 0.05
    assert cache.namespace == "tenant"


def test_at_the_next_start_the_store_is_left_in_peace(
    tmp_path: Path,
    open_cache: Callable[..., SemanticJudgeCache],
    judge: ScriptedJudge,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judged = CacheSettings(0.02, None, GOOD.cells, as_traffic=True, judge=(8, 1))
    path = tmp_path / "answers.db"
    embeddings = CountingEmbeddings()
    given = file_of(judged, embeddings)
    with SemanticJudgeCache.from_calibration(
        given, embeddings, judge, path=path
    ) as one:
        before = one.stats().promise
        reset: list[str | None] = []
        monkeypatch.setattr(
            type(one._store),
            "reset_tallies",
            lambda self, partition: reset.append(partition),
        )

    with SemanticJudgeCache.from_calibration(
        given, embeddings, judge, path=path
    ) as one:
        assert one.stats().promise == before
        assert before.evidence == 3
    assert reset == []
