"""Which rung to begin on: pure decisions, and the counts behind them."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.structured.attempts import Attempt, AttemptKind
from langchain_prodpatterns.structured.ladder import Rung
from langchain_prodpatterns.structured.learned_start import (
    ENOUGH,
    EXPLORE_EVERY,
    MAX_TASKS,
    WINDOW,
    LearnedStart,
    RungRecord,
    best_start,
    counted,
    task_key,
)
from langchain_prodpatterns.usage import Usage
from tests.unit_tests.structured.doubles import scripted


def record(asked: float, answered: float, usd: float | None = None) -> RungRecord:
    """A rung with its price for each request."""
    priced = 0.0 if usd is None else asked
    return RungRecord(asked, answered, usd=(usd or 0.0) * asked, priced=priced)


def attempt(
    rung: int | None, kind: AttemptKind, usd: float | None = 0.1, tokens: int = 10
) -> Attempt:
    usage = Usage(calls=1, input_tokens=tokens, usd=usd)
    return Attempt(rung, "small", None, kind, usage=usage)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([], 0),
        ([RungRecord(), RungRecord()], 0),
        # Not enough is known of one of the two.
        ([record(ENOUGH - 1, 0, 1), record(50, 50, 1)], 0),
        ([record(50, 0, 1), record(ENOUGH - 1, 4, 1)], 0),
        # The cheap one never answers: it only adds to the price.
        ([record(50, 0, 1), record(50, 50, 10)], 1),
        # It answers one in four, at a tenth of the price: it is worth the try.
        ([record(50, 12, 1), record(50, 50, 10)], 0),
        # It answers one in four, at half of the price: it is not.
        ([record(50, 12, 5), record(50, 50, 10)], 1),
        ([record(50, 0, 1), record(50, 0, 1), record(50, 50, 1)], 2),
        # The last rung was never needed.
        ([record(50, 50, 1), RungRecord()], 0),
        ([record(50, 1, 5), record(49, 49, 6), RungRecord()], 1),
        # Without prices: the lowest that answers at least half.
        ([record(50, 20), record(50, 50)], 1),
        ([record(50, 30), record(50, 50)], 0),
        ([record(50, 0), record(50, 10)], 0),
        ([record(50, 20, 1), record(50, 50)], 1),
    ],
)
def test_the_best_start(records: list[RungRecord], expected: int) -> None:
    assert best_start(records) == expected


RECORDS = st.lists(
    st.builds(
        lambda asked, share, usd: record(asked, asked * share, usd),
        st.integers(0, 99),
        st.floats(0, 1),
        st.none() | st.floats(0, 9),
    ),
    max_size=4,
)


@given(RECORDS)
def test_no_rung_is_skipped_of_which_little_is_known(records: list[RungRecord]) -> None:
    best = best_start(records)

    assert best == 0 or all(one.asked >= ENOUGH for one in records[: best + 1])


def test_a_request_is_counted_with_all_attempts_of_the_rung() -> None:
    attempts = [attempt(0, "schema"), attempt(0, "provider"), attempt(0, "ok")]

    found = counted(RungRecord(), attempts, answered=True)

    assert (found.asked, found.answered, found.priced) == (1, 1, 1)
    assert found.tokens == 30
    assert found.usd == found.usd_each == pytest.approx(0.3)


def test_a_price_that_is_unknown_is_not_counted() -> None:
    found = counted(record(1, 1, 0.2), [attempt(0, "ok", None)], answered=True)

    assert (found.asked, found.priced) == (2, 1)
    assert found.usd_each == pytest.approx(0.2)


def test_an_outage_tells_nothing_of_the_model() -> None:
    before = record(7, 3, 1)

    assert counted(before, [attempt(0, "provider")] * 3, answered=False) is before


def test_the_latest_requests_weigh_more() -> None:
    found = record(WINDOW, WINDOW, 1)
    for _ in range(200):
        found = counted(found, [attempt(0, "schema")], answered=False)
        assert found.asked <= WINDOW + 1

    assert found.success < 0.1


def test_it_learns_to_begin_where_requests_end_and_looks_below_now_and_then() -> None:
    learned = LearnedStart()
    starts = []
    for _ in range(5 * EXPLORE_EVERY):
        first = learned.begin("task", 3)
        starts.append(first)
        climbed = [attempt(rung, "schema") for rung in range(first, 2)]
        learned.note("task", 3, [*climbed, attempt(2, "ok", 0.5)])

    assert starts[:ENOUGH] == [0] * ENOUGH
    assert set(starts[ENOUGH : EXPLORE_EVERY - 1]) == {2}
    explored = starts[EXPLORE_EVERY - 1 :: EXPLORE_EVERY]
    assert explored == [1, 0, 1, 0, 1]
    assert starts.count(2) == len(starts) - ENOUGH - len(explored)


def test_it_notices_that_a_cheaper_rung_has_become_good() -> None:
    learned = LearnedStart()
    for _ in range(20):
        learned.note("task", 2, [attempt(0, "schema", 1), attempt(1, "ok", 2)])
    assert learned.begin("task", 2) == 1

    starts = []
    for _ in range(600):
        first = learned.begin("task", 2)
        starts.append(first)
        learned.note("task", 2, [attempt(first, "ok", first + 1)])

    assert starts[-EXPLORE_EVERY:] == [0] * EXPLORE_EVERY


def test_what_was_given_belongs_to_no_rung() -> None:
    learned = LearnedStart()

    learned.note("task", 1, [attempt(None, "schema"), attempt(0, "ok")])

    assert [one.asked for one in learned.records("task")] == [1]


def test_tasks_are_apart_and_only_so_many_are_kept() -> None:
    learned = LearnedStart()
    for number in range(MAX_TASKS + 1):
        learned.note("kept", 1, [attempt(0, "ok")])
        learned.begin(f"task {number}", 1)

    assert learned.records("task 0") == learned.records("nothing") == ()
    assert learned.records(f"task {MAX_TASKS}") == (RungRecord(),)
    assert learned.records("kept")[0].asked > WINDOW / 2


def test_many_threads() -> None:
    learned = LearnedStart()

    def use(number: int) -> None:
        learned.begin("task", 1)
        learned.note("task", 1, [attempt(0, "ok")])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(60)))

    assert learned.records("task")[0].asked == 60


def test_copies_have_counts_of_their_own() -> None:
    learned = LearnedStart()
    learned.note("task", 1, [attempt(0, "ok")])

    for clone in (copy.deepcopy(learned), pickle.loads(pickle.dumps(learned))):  # noqa: S301 - our own bytes
        assert clone.records("task") == learned.records("task")
        clone.note("task", 1, [attempt(0, "ok")])
        assert clone.records("task") != learned.records("task")


def test_the_key_tells_schemas_and_models_apart() -> None:
    small, large = scripted("x", model="small"), scripted("x", model="large")
    schema, other = {"type": "string"}, {"type": "integer"}
    key = task_key(schema, [Rung(small)])

    assert key == task_key({"type": "string"}, [Rung(scripted("y", model="small"))])
    assert key != task_key(other, [Rung(small)])
    assert key != task_key(schema, [Rung(large)])
    assert key != task_key(schema, [Rung(small), Rung(large)])
    assert key != task_key(schema, [Rung(small, temperatures=(0.5,))])
