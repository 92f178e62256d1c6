"""What was learned goes along with an export, and is counted once."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.cache.learning import LASTING_PARTITIONS
from langchain_prodpatterns.cache.stores import LocalStore, notes
from langchain_prodpatterns.commands.archive import BadLine
from langchain_prodpatterns.commands.learned import (
    Learned,
    Taking,
    learned_of,
    read_learned,
)
from tests.unit_tests.commands.conftest import Run

LABELED, TESTED = LASTING_PARTITIONS
COUNTS = st.integers(0, 99)
TALLIES = st.dictionaries(
    st.sampled_from(["3c", "4g", "judge"]), st.tuples(COUNTS, COUNTS), max_size=3
)


@pytest.fixture
def taught(filled: Path) -> Path:
    """The cache with three questions, which has learned of both of their partitions."""
    store = LocalStore(filled)
    store.tally("p", "3c", right=9, wrong=1)
    store.tally("q", "3c", right=4)
    store.tally("q", "4g", wrong=2)
    store.tally("without entries", "3c", right=5, wrong=3)
    store.tally(LABELED, "3c", right=7)
    store.tally(TESTED, "judge", right=8, wrong=1)
    store.close()
    return filled


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return tmp_path / "new.db"


def learned_in(path: Path, *partitions: str | None) -> list[dict[str, Any]]:
    store = LocalStore(path)
    tallies = [store.tallies(partition) for partition in partitions]
    store.close()
    return tallies


def move(run: Run, source: Path, target: Path) -> dict[str, Any]:
    """Export a cache and import it; return what is reported."""
    page = source.with_name("export.jsonl")
    assert run("export", page, "--store", source).code == 0
    ran = run("import", page, "--store", target, "--json")
    assert ran.code == 0
    return dict(ran.record)


def test_what_was_learned_moves_along(run: Run, taught: Path, new: Path) -> None:
    record = move(run, taught, new)

    assert (record["learned"], record["bad"]) == (5, [])
    everything = ("p", "q", LABELED, TESTED, None)
    assert learned_in(new, *everything) == learned_in(taught, *everything)


def test_it_is_told_that_it_is_taken_over(
    run: Run, taught: Path, new: Path, tmp_path: Path
) -> None:
    page = tmp_path / "export.jsonl"
    run("export", page, "--store", taught)

    ran = run("import", page, "--store", new)

    assert ran.out == (
        "3 entries imported; 0 were there, 0 are past, 0 lines are bad; what was "
        "learned is taken over: 5 sets of counters\n"
    )


def test_it_moves_on_from_there(
    run: Run, taught: Path, new: Path, tmp_path: Path
) -> None:
    move(run, taught, new)
    last = tmp_path / "last.db"

    move(run, new, last)

    everything = ("p", "q", LABELED, TESTED, None)
    assert learned_in(last, *everything) == learned_in(taught, *everything)


def test_it_is_taken_over_once(run: Run, taught: Path, new: Path) -> None:
    move(run, taught, new)
    before = learned_in(new, None)

    assert move(run, taught, new)["learned"] == 0
    assert learned_in(new, None) == before


def test_a_cache_takes_over_nothing_of_its_own(
    run: Run, taught: Path, tmp_path: Path
) -> None:
    page = tmp_path / "backup.jsonl"
    run("export", page, "--store", taught)
    before = learned_in(taught, None)

    ran = run("import", page, "--store", taught, "--json")

    assert ran.record["learned"] == 0
    assert learned_in(taught, None) == before


def test_who_has_learned_elsewhere_takes_over_what_is_of_partitions_only(
    run: Run, taught: Path, new: Path
) -> None:
    store = LocalStore(new)
    store.tally("elsewhere", "3c", right=1)
    store.tally(LABELED, "3c", right=2)
    store.close()

    assert move(run, taught, new)["learned"] == 3
    assert learned_in(new, None) == [{"3c": (16, 1), "4g": (0, 2), "judge": (8, 1)}]


def test_an_import_that_ended_before_the_last_counters_goes_on_there(
    run: Run, taught: Path, new: Path, tmp_path: Path
) -> None:
    page, begun = tmp_path / "export.jsonl", tmp_path / "begun.jsonl"
    run("export", page, "--store", taught)
    begun.write_text("".join(page.read_text().splitlines(keepends=True)[:-1]))
    assert run("import", begun, "--store", new, "--json").record["learned"] == 4

    assert run("import", page, "--store", new, "--json").record["learned"] == 1
    assert learned_in(new, None) == learned_in(taught, None)


def test_what_is_known_of_a_partition_is_kept(
    run: Run, taught: Path, new: Path
) -> None:
    store = LocalStore(new)
    store.tally("p", "3c", right=1)
    store.close()

    assert move(run, taught, new)["learned"] == 4
    assert learned_in(new, "p", "q") == [{"3c": (1, 0)}, {"3c": (4, 0), "4g": (0, 2)}]


def test_a_part_takes_along_what_is_its_own(
    run: Run, taught: Path, new: Path, tmp_path: Path
) -> None:
    page = tmp_path / "part.jsonl"

    ran = run("export", page, "--store", taught, "--partition", "p", "--json")
    run("import", page, "--store", new)

    assert ran.record["learned"] == 1
    assert learned_in(new, "p", None) == [{"3c": (9, 1)}, {"3c": (9, 1)}]


def test_of_an_unfinished_import_of_a_partition_nothing_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = LocalStore()
    learned = Learned("p", {"3c": (1, 2), "4c": (3, 4)})
    add = notes.add_tally

    def interrupted(db: Any, partition: str, cell: str, *counts: int) -> None:
        if cell == "4c":
            raise KeyboardInterrupt
        add(db, partition, cell, *counts)

    with monkeypatch.context() as patched:
        patched.setattr(notes, "add_tally", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Taking(store).take(learned)
    assert store.tallies("p") == store.tallies(None) == {}

    assert Taking(store).take(learned)
    assert store.tallies("p") == learned.tallies
    store.close()


@given(st.dictionaries(st.sampled_from("abcde"), TALLIES))
def test_the_sums_are_those_of_before(counted: dict[str, Any]) -> None:
    store, other = LocalStore(), LocalStore()
    for partition, tallies in counted.items():
        for cell, (right, wrong) in tallies.items():
            store.tally(partition, cell, right, wrong)

    taking = Taking(other)
    for one in learned_of(store, "abc", whole=True):
        fields = json.loads(one.line())
        read = read_learned(fields)
        assert read == one
        taking.take(read)

    assert _but_nothing(other.tallies(None)) == _but_nothing(store.tallies(None))
    store.close()
    other.close()


def _but_nothing(tallies: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    return {cell: counts for cell, counts in tallies.items() if any(counts)}


def test_what_is_counted_meanwhile_is_not_taken_off() -> None:
    store = LocalStore()
    store.tally("p", "3c", right=1)
    found = store.tallies

    def later(partition: str | None) -> dict[str, tuple[int, int]]:
        before = found(partition)
        if partition is None:
            store.tally("p", "3c", right=4)
        return before

    store.tallies = later  # type: ignore[method-assign]  # as by another process
    assert list(learned_of(store, ["p"], whole=True)) == [Learned("p", {"3c": (5, 0)})]
    store.close()


@pytest.mark.parametrize(
    "given",
    [
        {"partition": "p", "tallies": []},
        {"partition": "p", "tallies": None},
        {"partition": "", "tallies": {}},
        {"partition": 3, "tallies": {}},
        {"tallies": {}},
        {"partition": "half \ud800", "tallies": {}},
        {"partition": "p", "tallies": {"\0": [1, 2]}},
        {"partition": "p", "tallies": {"": [1, 2]}},
        {"partition": "p", "tallies": {"3c": 1}},
        {"partition": "p", "tallies": {"3c": [1]}},
        {"partition": "p", "tallies": {"3c": [1, 2, 3]}},
        {"partition": "p", "tallies": {"3c": [1, True]}},
        {"partition": "p", "tallies": {"3c": [1, 0.5]}},
        {"partition": "p", "tallies": {"3c": [1, 2**40]}},
        {"partition": "p", "tallies": {"3c": ["1", "2"]}},
    ],
)
def test_what_are_no_counters_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(BadLine, match="no 'tallies', or one that is none"):
        read_learned(given)


def test_a_line_of_something_else_is_none_of_them() -> None:
    assert read_learned({"key": "a"}) is None
