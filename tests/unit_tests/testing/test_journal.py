import copy
import pickle
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.testing import RequestRecord
from langchain_prodpatterns.testing.journal import Journal, Outcome


def test_a_record_starts_pending_and_is_settled_once() -> None:
    journal = Journal()
    key, number = journal.open("/a", model="m")
    assert number == 1
    assert journal.records() == (RequestRecord(1, "/a", "m"),)
    assert not journal.records()[0].finished
    journal.update(key, rule="r")
    journal.update(key, outcome="answered", status=200, input_tokens=3)
    journal.update(key, outcome="fault", input_tokens=99)
    (record,) = journal.records()
    assert (record.outcome, record.rule, record.input_tokens) == ("answered", "r", 3)
    assert record.finished


def test_a_record_is_frozen() -> None:
    with pytest.raises(AttributeError):
        RequestRecord(1, "/a").status = 200  # type: ignore[misc]  # that is the test


def test_numbers_run_by_path() -> None:
    journal = Journal()
    numbers = [journal.open(path)[1] for path in ("/a", "/b", "/a", "/a", "/b")]
    assert numbers == [1, 1, 2, 3, 2]


def test_uses_run_by_rule() -> None:
    journal = Journal()
    assert [journal.use(rule) for rule in (0, 0, 1, 0)] == [0, 1, 0, 2]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["/a", "/b"]),
            st.sampled_from(["answered", "fault", "rejected", "abandoned", "pending"]),
            st.integers(0, 9),
        )
    )
)
def test_the_outcomes_add_up(asked: list[tuple[str, Outcome, int]]) -> None:
    journal = Journal()
    for path, outcome, tokens in asked:
        key, _ = journal.open(path)
        journal.update(key, outcome=outcome, input_tokens=tokens, output_tokens=1)
    outcomes: list[Outcome] = ["answered", "fault", "rejected", "abandoned", "pending"]
    assert sum(map(journal.count, outcomes)) == len(asked)
    assert journal.count("fault", "/a") == sum(
        path == "/a" and outcome == "fault" for path, outcome, _ in asked
    )
    expected_in = sum(tokens for path, _, tokens in asked if path == "/b")
    expected_out = sum(path == "/b" for path, _, _ in asked)
    assert journal.tokens("/b") == (expected_in, expected_out)


def test_what_is_left_pending_was_abandoned() -> None:
    journal = Journal()
    key, _ = journal.open("/a")
    with pytest.raises(KeyboardInterrupt), journal.watch(key):
        raise KeyboardInterrupt
    assert journal.count("abandoned") == 1


def test_what_was_settled_stays_so_after_watching() -> None:
    journal = Journal()
    key, _ = journal.open("/a")
    with journal.watch(key):
        journal.update(key, outcome="answered")
    assert journal.count("answered") == 1


def test_reset_forgets_everything() -> None:
    journal = Journal()
    key, _ = journal.open("/a")
    journal.use(0)
    journal.reset()
    journal.update(key, outcome="answered")
    assert journal.records() == ()
    assert journal.use(0) == 0
    assert journal.open("/a")[1] == 1


def test_waiting_ends_when_nothing_is_pending() -> None:
    journal = Journal()
    assert journal.wait_idle(0)
    key, _ = journal.open("/a")
    assert not journal.wait_idle(0.01)
    waiter = threading.Thread(
        target=journal.update, args=(key,), kwargs={"outcome": "fault"}
    )
    waiter.start()
    assert journal.wait_idle(10)
    waiter.join()


def test_a_reset_ends_waiting() -> None:
    journal = Journal()
    journal.open("/a")
    waiter = threading.Thread(target=journal.reset)
    waiter.start()
    assert journal.wait_idle(10)
    waiter.join()


def pickled(journal: Journal) -> Journal:
    copied = pickle.loads(pickle.dumps(journal))  # noqa: S301 - our own bytes
    assert isinstance(copied, Journal)
    return copied


@pytest.mark.parametrize("clone", [copy.deepcopy, pickled])
def test_a_copy_goes_its_own_way(clone: Callable[[Journal], Journal]) -> None:
    journal = Journal()
    journal.open("/a", model="m")
    journal.use(0)
    copied = clone(journal)
    assert copied.records() == journal.records()
    assert (copied.use(0), copied.open("/a")[1]) == (1, 2)
    assert len(journal.records()) == 1
    assert journal.use(0) == 1


def test_threads_lose_nothing() -> None:
    journal = Journal()
    start = threading.Barrier(8)
    numbers: list[int] = []

    def work() -> None:
        start.wait()
        for _ in range(50):
            key, number = journal.open("/a")
            numbers.append(number)
            journal.use(0)
            journal.update(key, outcome="answered", input_tokens=2, output_tokens=1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 401))
    assert journal.count("answered") == 400
    assert journal.tokens("/a") == (800, 400)
    assert journal.use(0) == 400


def test_the_repr_shows_no_prompt() -> None:
    journal = Journal()
    journal.open("/a", messages=({"role": "user", "content": "private"},))
    assert repr(journal) == "Journal(1 requests)"
