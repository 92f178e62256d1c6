"""What is learned from verdicts, feedback and labeled pairs."""

import copy
import math
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from langchain_prodpatterns.cache import learning as module
from langchain_prodpatterns.cache.decision import Candidate
from langchain_prodpatterns.cache.evidence import Cell
from langchain_prodpatterns.cache.learning import Learning, judge_error
from langchain_prodpatterns.cache.lookups import Pair
from langchain_prodpatterns.cache.stores import LocalStore, notes
from tests.unit_tests.cache.conftest import Clock

NEAR = Candidate(0.97)
CELL = Cell.of(0.97, guarded=False)
LOW = Cell.of(0.8, guarded=False)


@pytest.fixture
def store() -> Iterator[LocalStore]:
    opened = LocalStore()
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def learning(store: LocalStore, clock: Clock) -> Learning:
    return Learning(store, 0.02, clock)


def note(learning: Learning, count: int, *, yes: bool = True, at: str = "p") -> None:
    for _ in range(count):
        learning.note_verdict(at, NEAR, yes=yes)


def test_verdicts_count_after_some_more_or_some_time(
    learning: Learning, clock: Clock
) -> None:
    assert learning.of("p").evidence.total == 0
    note(learning, 7)
    assert learning.of("p").evidence.total == 0
    note(learning, 1)
    assert learning.of("p").evidence.total == 8
    note(learning, 1)
    clock.now += 29.9
    assert learning.of("p").evidence.total == 8
    clock.now += 0.1
    assert learning.of("p").evidence.total == 9


def test_where_much_is_known_it_takes_more_to_look_again(
    learning: Learning, store: LocalStore
) -> None:
    store.tally("p", str(CELL), right=1_000)
    first = learning.of("p")
    note(learning, 29)
    assert learning.of("p") is first
    note(learning, 1)
    assert learning.of("p").evidence.total == 1_030


def test_what_others_found_out_counts_too(tmp_path: Path, clock: Clock) -> None:
    mine, theirs = (LocalStore(tmp_path / "c.db") for _ in range(2))
    learning = Learning(mine, 0.02, clock)
    assert learning.of("p").hi == math.inf
    note(Learning(theirs, 0.02), 450)
    assert learning.of("p").hi == math.inf
    clock.now += 30

    assert learning.of("p").hi <= NEAR.similarity
    # So does another partition, as a start.
    assert learning.of("q").evidence.total == 450
    mine.close()
    theirs.close()


def test_memory_is_bounded(learning: Learning, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_PARTITIONS", 3)
    for name in "abcad":
        learning.of(name)

    assert list(learning._held) == ["c", "a", "d"]


def test_many_threads_learn_at_once(learning: Learning, store: LocalStore) -> None:
    start = threading.Barrier(4)

    def work(number: int) -> None:
        start.wait()
        for _ in range(25):
            note(learning, 1, at=f"p{number % 2}")
            learning.of("p0")
            learning.afresh()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))

    assert store.tallies(None) == {str(CELL): (100, 0)}
    assert learning.afresh().evidence.total == 100


def test_feedback_on_an_unjudged_hit_is_evidence(
    learning: Learning, store: LocalStore
) -> None:
    for correct in (True, False):
        pair = Pair("key", f"exact {correct}", "asked", CELL)
        learning.note_feedback("p", pair, correct=correct)

    assert store.tallies("p") == {str(CELL): (1, 1)}
    assert learning.of("p").judge_error == 0


def test_feedback_on_a_judged_hit_counts_against_the_judge(
    learning: Learning, store: LocalStore
) -> None:
    note(learning, 20)
    note(learning, 9, yes=False)
    right = Pair("key", "right", "asked", CELL, judged=True)
    wrong = Pair("key", "wrong", "asked", CELL, judged=True)
    learning.note_feedback("p", right, correct=True)
    learning.note_feedback("p", wrong, correct=False)

    assert store.tallies("p")[str(CELL)] == (19, 10)
    # One wrong answer of ten was accepted, and 29 more refusals are taken for right.
    assert learning.afresh().judge_error == pytest.approx(1.5 / 40)


def test_feedback_on_an_exact_hit_says_nothing_of_near_ones(
    learning: Learning, store: LocalStore
) -> None:
    learning.note_feedback("p", Pair("key", "exact"), correct=False)

    assert store.tallies(None) == {}


def test_labeled_pairs_replace_earlier_ones(
    learning: Learning, store: LocalStore
) -> None:
    note(learning, 3)
    for _ in range(2):
        pairs = [(CELL, True), (CELL, True), (LOW, False)]
        learning.note_labeled(pairs, as_traffic=True)
    assert learning.afresh().evidence.total == 6

    learning.note_labeled([(LOW, False)], as_traffic=False)
    known = learning.afresh()
    assert known.evidence.total == 3
    assert store.tallies(None)[f"hint:{LOW}"] == (0, 1)
    assert store.tallies("p") == {str(CELL): (3, 0)}


def test_hints_are_no_evidence_and_traffic_is(learning: Learning) -> None:
    pairs = [(CELL, True)] * 500 + [(LOW, False)] * 500
    learning.note_labeled(pairs, as_traffic=False)
    hinted = learning.of("p")
    learning.note_labeled(pairs, as_traffic=True)
    known = learning.of("p")

    assert (hinted.hi, hinted.evidence.total) == (math.inf, 0)
    assert hinted.bound(hinted.hi) == 1
    assert hinted.curve.slope > 1.3
    assert known.hi <= NEAR.similarity
    assert known.bound(known.hi) < 0.02


def test_what_the_judge_said_to_labeled_pairs_stays_until_it_is_asked_again(
    learning: Learning,
) -> None:
    learning.note_labeled([(LOW, False)], as_traffic=False)
    learning.note_judge(refused=90, accepted=10)
    assert learning.of("p").judge_error == pytest.approx(10.5 / 101)

    # Labels alone say nothing of the judge, nor does one that gave no verdict.
    learning.note_labeled([(LOW, False)], as_traffic=True)
    learning.note_judge(refused=0, accepted=0)
    assert learning.of("p").judge_error == pytest.approx(10.5 / 101)
    learning.note_judge(refused=100, accepted=0)
    assert learning.of("p").judge_error == pytest.approx(0.5 / 101)


def test_labeled_pairs_are_remembered_among_any_number_of_partitions(
    learning: Learning, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notes, "MAX_TALLIED", 2)
    for times in range(2):
        learning.note_labeled([(LOW, False)] * 10, as_traffic=True)
        learning.note_judge(refused=90, accepted=10)
        for number in range(4):
            note(learning, 1, at=f"{times} {number}")

    # The same pairs again take the place of the first.
    assert learning.afresh().judge_error == pytest.approx(10.5 / 101)
    assert learning.afresh().evidence.wrong.sum() == 10


def test_complaints_over_the_years_do_not_add_up_against_a_good_judge(
    learning: Learning, store: LocalStore
) -> None:
    learning.note_judge(refused=99, accepted=1)
    store.tally("p", str(LOW), right=100_000, wrong=50_000)
    for number in range(50):
        pair = Pair("key", str(number), "asked", LOW, judged=True)
        learning.note_feedback("p", pair, correct=False)

    assert learning.afresh().judge_error == pytest.approx(1.5 / 101)


@pytest.mark.parametrize(
    ("tested", "complaints", "refusals", "error"),
    [
        ((0, 0), 0, 0, 0.0),
        ((0, 0), 0, 1_000, 0.0),
        ((9, 0), 0, 0, 0.05),
        ((0, 9), 0, 0, 0.95),
        ((95, 4), 0, 10**6, 0.045),
        ((0, 0), 4, 70, 0.045),
        ((0, 0), 29, 3, 0.5),
        # The first complaint does not condemn a judge.
        ((0, 0), 1, 0, 1.5 / 31),
        ((95, 4), 1, 10**6, 0.045),
        ((99, 0), 8, 70, 0.085),
        ((0, 0), -3, 10, 0.0),
    ],
)
def test_the_judge_s_error(
    tested: tuple[int, int], complaints: int, refusals: int, error: float
) -> None:
    found = judge_error(tested, complaints=complaints, refusals=refusals)

    assert found == pytest.approx(error)


def test_audits_are_counted_with_all_that_they_stand_for(
    learning: Learning, store: LocalStore
) -> None:
    learning.note_verdict("p", NEAR, yes=True, stands_for=20)
    learning.note_verdict("p", NEAR, yes=False)

    assert store.tallies("p") == {f"unseen:{CELL}": (19, 0), str(CELL): (1, 1)}
    evidence = learning.afresh().evidence
    assert (evidence.total, evidence.unseen.sum()) == (2, 19)


def test_a_copy_learns_from_the_same_store(learning: Learning) -> None:
    note(learning, 8)
    clone = copy.copy(learning)

    assert clone.delta == learning.delta
    assert clone.of("p").evidence.total == 8
