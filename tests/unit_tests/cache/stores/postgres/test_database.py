"""Work is run within a deadline and through a breaker, alike in threads and loops."""

import asyncio
import gc
import threading
import time
import traceback
from collections.abc import Callable, Coroutine
from typing import Any

import psycopg
import pytest

from langchain_prodpatterns.cache.stores.postgres import database
from langchain_prodpatterns.cache.stores.postgres.database import (
    Database,
    Kind,
    Limits,
    _in_time,
)
from langchain_prodpatterns.cache.stores.postgres.migrations import Wanted
from langchain_prodpatterns.cache.stores.postgres.statements import (
    Batch,
    Statement,
    Work,
)
from langchain_prodpatterns.errors import StoreError, StoreUnavailable
from tests.unit_tests.cache.stores.postgres.scripted import (
    STATE,
    ScriptedConnections,
    scripted,
)

__all__ = ["scripted"]
pytestmark = pytest.mark.usefixtures("scripted")

SECRET = "what a user wrote"
LONG = 3_600.0
Run = Callable[..., Any]


def _open(
    connections: Any, seconds: float = LONG, recovery: float = LONG, **given: Any
) -> Database:
    wanted = Wanted("s", row_level_security=bool(given.get("namespace")))
    limits = Limits(seconds, seconds, recovery)
    return Database(
        connections, wanted, limits, **{"may_migrate": True, "namespace": None, **given}
    )


@pytest.fixture(params=["thread", "event loop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Both ways to run work."""
    if request.param == "thread":
        return lambda db, work, *kind: db.run(work, *kind)
    return lambda db, work, *kind: asyncio.run(db.arun(work, *kind))


def _ask(*texts: str) -> Work[list[Any]]:
    results = yield Batch(tuple(map(Statement, texts)))
    return [list(result.rows) for result in results]


def _twice() -> Work[int]:
    first = yield Batch.of("SELECT 1")
    second = yield Batch.of("SELECT 2")
    return int(first[0].rows[0][0] + second[0].rows[0][0])


def _knows_already() -> Work[str]:
    if False:
        yield Batch.of("SELECT 1")
    return "known"


def _numbers(text: str) -> Any:
    word = text.rsplit(maxsplit=1)[-1]
    return [(int(word),)] if text.startswith("SELECT") and word.isdigit() else None


def test_a_batch_of_one_statement_is_sent_as_it_is(run: Run) -> None:
    connections = ScriptedConnections(_numbers)

    assert run(_open(connections), _ask("SELECT 5")) == [[(5,)]]
    assert connections.connection.told == ["SELECT 5"]


def test_a_batch_of_several_is_one_transaction_sent_together(run: Run) -> None:
    connections = ScriptedConnections(_numbers)

    found = run(_open(connections), _ask("DELETE", "SELECT 2"))

    assert found == [[], [(2,)]]
    begin, end = (
        [f"{word} pipeline", f"{word} transaction"] for word in ("begin", "end")
    )
    assert connections.connection.told == [*begin, "DELETE", "SELECT 2", *end[::-1]]


def test_batches_are_transactions_of_their_own_whatever_the_mode(run: Run) -> None:
    connections = ScriptedConnections(_numbers)
    connections.connection.autocommit = False

    assert run(_open(connections), _twice()) == 3
    told = connections.connection.told
    assert told.count("begin transaction") == 2
    assert told.index("end transaction") < told.index("SELECT 2")


def test_what_is_known_asks_nothing(run: Run) -> None:
    connections = ScriptedConnections(_numbers)

    assert run(_open(connections), _knows_already()) == "known"
    assert connections.lent == 0


class Failing:
    """Fails some times."""

    def __init__(self, error: Exception, times: int = 10**9) -> None:
        self.error = error
        self.left = times

    def __call__(self, text: str) -> Any:
        if self.left:
            self.left -= 1
            raise self.error
        return _numbers(text)


DEADLOCK = psycopg.errors.DeadlockDetected(SECRET)
CONFLICT = psycopg.errors.SerializationFailure(SECRET)


@pytest.mark.parametrize("error", [DEADLOCK, CONFLICT])
@pytest.mark.parametrize("kind", ["write", "bulk"])
def test_a_write_is_tried_thrice_where_two_were_in_each_other_s_way(
    run: Run, error: Exception, kind: Kind
) -> None:
    connections = ScriptedConnections(Failing(error, 2))

    assert run(_open(connections), _ask("SELECT 5"), kind) == [[(5,)]]
    assert connections.connection.told == ["SELECT 5"] * 3


@pytest.mark.parametrize(("kind", "tries"), [("read", 1), ("write", 3), ("bulk", 3)])
def test_no_more_than_thrice_and_a_read_once(run: Run, kind: Kind, tries: int) -> None:
    connections = ScriptedConnections(Failing(DEADLOCK))

    with pytest.raises(StoreUnavailable):
        run(_open(connections), _ask("SELECT 5"), kind)

    assert len(connections.connection.told) == tries


def test_an_error_of_our_own_is_told_without_a_word_of_the_server(run: Run) -> None:
    connections = ScriptedConnections(Failing(psycopg.DataError(SECRET)))
    db = _open(connections)

    for _ in range(5):
        with pytest.raises(StoreError, match=r"refused a statement \(DataError\)") as e:
            run(db, _ask("SELECT 5"))
        assert not isinstance(e.value, StoreUnavailable)
        assert SECRET not in "".join(traceback.format_exception(e.value))

    # It was asked each time: the database is not away.
    assert connections.lent == 1 + 5


def test_a_database_that_is_away_is_not_asked_for_a_while(run: Run) -> None:
    connections = ScriptedConnections(Failing(psycopg.OperationalError(SECRET)))
    db = _open(connections)

    for _ in range(5):
        with pytest.raises(StoreUnavailable) as raised:
            run(db, _ask("SELECT 5"))
        assert SECRET not in "".join(traceback.format_exception(raised.value))

    assert connections.lent == 1 + 3


def test_writes_do_not_suffer_from_reads(run: Run) -> None:
    """A standby answers reads, and refuses writes."""

    def answer(text: str) -> Any:
        if text.startswith("INSERT"):
            raise psycopg.errors.ReadOnlySqlTransaction(SECRET)
        return _numbers(text)

    db = _open(ScriptedConnections(answer))

    for _ in range(5):
        with pytest.raises(StoreUnavailable):
            run(db, _ask("INSERT 5"), "write")
        assert run(db, _ask("SELECT 5")) == [[(5,)]]


def test_work_is_ended_where_it_was_not_done(run: Run) -> None:
    ended = list[str]()

    def work() -> Work[None]:
        try:
            yield Batch.of("SELECT 5")
        finally:
            ended.append("ended")

    with pytest.raises(StoreUnavailable):
        run(_open(ScriptedConnections(Failing(OSError()))), work())

    assert ended == ["ended"]


def test_the_tables_are_looked_at_once(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = list[str]()

    def look(_: Any, schema: str) -> Any:
        looked.append(schema)
        return STATE

    monkeypatch.setattr(database, "state_of", look)
    connections = ScriptedConnections(_numbers)
    db = _open(connections)

    for _ in range(3):
        run(db, _ask("SELECT 5"))

    assert looked == ["s"]
    assert db.state is STATE
    assert connections.connection.closed


def test_what_was_refused_is_not_looked_at_again_at_once(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = list[str]()

    def refuse(_: Any, schema: str) -> Any:
        looked.append(schema)
        raise StoreError("the schema is newer")

    monkeypatch.setattr(database, "state_of", refuse)
    db = _open(ScriptedConnections(_numbers))
    depths = set()

    for _ in range(20):
        with pytest.raises(StoreError, match="the schema is newer") as raised:
            run(db, _ask("SELECT 5"))
        depths.add(len(traceback.extract_tb(raised.value.__traceback__)))

    assert len(looked) == 1
    # Each is an error of its own: one that is raised again and again would grow.
    assert len(depths) <= 2


def test_what_was_refused_is_looked_at_later(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_REFUSED_SECONDS", 0.0)
    states = [StoreError("the schema is newer"), STATE]

    def look(*_: Any) -> Any:
        state = states.pop(0)
        if isinstance(state, StoreError):
            raise state
        return state

    monkeypatch.setattr(database, "state_of", look)
    db = _open(ScriptedConnections(_numbers))

    with pytest.raises(StoreError):
        run(db, _ask("SELECT 5"))
    assert run(db, _ask("SELECT 5")) == [[(5,)]]


def test_nobody_waits_longer_for_the_first_look_than_for_a_lookup(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = threading.Event()
    monkeypatch.setattr(database, "state_of", lambda *_: hanging.wait(60) and STATE)
    db = _open(ScriptedConnections(_numbers), seconds=0.01)

    with pytest.raises(StoreUnavailable, match="TimeoutError"):
        run(db, _ask("SELECT 5"))

    hanging.set()


class Untimely(ScriptedConnections):
    """Pools of a user: nothing ends by itself there."""

    timely = False


def test_nobody_waits_longer_for_connections_of_a_user(run: Run) -> None:
    hanging = threading.Event()

    class Hanging(Untimely):
        def _lend(self) -> Any:
            if self.lent == 1:
                hanging.wait(60)
            return super()._lend()

        def alend(self, deadline: float) -> Any:
            return _Endless() if self.lent else super().alend(deadline)

    db = _open(Hanging(_numbers), seconds=0.2)
    db.prepare()

    with pytest.raises(StoreUnavailable, match="TimeoutError"):
        run(db, _ask("SELECT 5"))

    hanging.set()


class _Endless:
    """What never comes, and does not end when it is canceled either."""

    async def __aenter__(self) -> Any:
        with_patience = asyncio.get_running_loop().create_future()
        try:
            await with_patience
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            raise

    async def __aexit__(self, *_: object) -> None:
        """There is nothing to end."""


def test_connections_of_a_user_are_used_in_their_own_loop(run: Run) -> None:
    assert run(_open(Untimely(_numbers)), _ask("SELECT 5")) == [[(5,)]]


def test_a_call_that_is_canceled_is_no_failure() -> None:
    async def main() -> None:
        started = asyncio.Event()

        class Slow(ScriptedConnections):
            def alend(self, deadline: float) -> Any:
                started.set()
                return _Endless()

        db = _open(Slow(_numbers))
        db.prepare()
        for _ in range(5):
            started.clear()
            task = asyncio.create_task(db.arun(_ask("SELECT 5")))
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert not db._breakers["read"].is_open

    asyncio.run(main())


async def _value() -> int:
    return 5


async def _stubborn(ended: asyncio.Event) -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        ended.set()
        raise ValueError("nobody hears of this") from None


def test_something_is_awaited_in_time() -> None:
    assert asyncio.run(_in_time(_value(), LONG)) == 5


def test_something_late_is_left_behind() -> None:
    async def main() -> None:
        loop, told = asyncio.get_running_loop(), list[Any]()
        loop.set_exception_handler(lambda _, context: told.append(context))
        ended = asyncio.Event()

        with pytest.raises(TimeoutError, match="did not answer in time"):
            await _in_time(_stubborn(ended), 0.001)

        await ended.wait()
        await asyncio.sleep(0)
        gc.collect()
        assert told == []

    asyncio.run(main())


async def _settled() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)


def _in_loop_of_its_own(
    use: Callable[[asyncio.AbstractEventLoop], None],
) -> None:
    """Call something in this thread while a loop runs in another."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        use(loop)
    finally:
        asyncio.run_coroutine_threadsafe(_settled(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_a_thread_has_its_work_run_in_the_only_loop() -> None:
    def use(loop: asyncio.AbstractEventLoop) -> None:
        connections = ScriptedConnections(_numbers)
        connections.only_loop = loop
        assert _open(connections).run(_ask("SELECT 5")) == [[(5,)]]

    _in_loop_of_its_own(use)


def test_the_only_loop_does_not_wait_for_itself() -> None:
    async def main() -> None:
        connections = ScriptedConnections(_numbers)
        connections.only_loop = asyncio.get_running_loop()
        with pytest.raises(StoreError, match="await the async one"):
            _open(connections).run(_ask("SELECT 5"))

    asyncio.run(main())


@pytest.mark.parametrize("close", [True, False])
def test_a_loop_that_does_not_run_is_as_good_as_a_database_that_is_away(
    close: bool,
) -> None:
    connections = ScriptedConnections(_numbers)
    loop = connections.only_loop = asyncio.new_event_loop()
    if close:
        loop.close()
    ended = list[str]()

    def work() -> Work[None]:
        try:
            yield Batch.of("SELECT 5")
        finally:
            ended.append("ended")

    with pytest.raises(StoreUnavailable, match="does not run"):
        _open(connections).run(work())
    loop.close()


def test_nobody_waits_longer_for_the_only_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_LOOP_SECONDS", 0.0)

    def use(loop: asyncio.AbstractEventLoop) -> None:
        busy, free = threading.Event(), threading.Event()
        connections = ScriptedConnections(_numbers)
        connections.only_loop = loop
        db = _open(connections, seconds=0.01)
        db.prepare()

        def hold() -> None:
            busy.set()
            free.wait(60)

        loop.call_soon_threadsafe(hold)
        busy.wait()
        with pytest.raises(StoreUnavailable, match="does not run"):
            db.run(_ask("SELECT 5"))
        free.set()

    _in_loop_of_its_own(use)


def test_what_is_canceled_in_the_only_loop_is_away() -> None:
    def use(loop: asyncio.AbstractEventLoop) -> None:
        class Canceled(ScriptedConnections):
            def alend(self, deadline: float) -> Any:
                raise asyncio.CancelledError

        connections = Canceled(_numbers)
        connections.only_loop = loop
        db = _open(connections)
        db.prepare()
        with pytest.raises(StoreUnavailable):
            db.run(_ask("SELECT 5"))

    _in_loop_of_its_own(use)


def test_a_tenant_says_who_it_is_with_each_batch(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = list[Any]()
    connections = ScriptedConnections(_numbers)
    db = _open(connections, namespace="é\ud800")
    # It is checked elsewhere whether the database makes sure of that.
    monkeypatch.setattr(db, "_check_rights", lambda *_: None)
    monkeypatch.setattr(db, "_lacks", lambda _: False)
    statements = db._statements

    def note(batch: Batch) -> Any:
        said.append(statements(batch))
        return said[-1]

    monkeypatch.setattr(db, "_statements", note)

    assert run(db, _ask("SELECT 5")) == [[(5,)]]

    ((first, _), skipped), *_ = said
    assert skipped == 1
    assert "'prodpatterns.namespace'" in first.text
    assert first.values == {"blob": "c3a9eda080"}


def test_vacuum_looks_at_the_tables_where_nobody_did(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connections = ScriptedConnections(lambda _: None)
    monkeypatch.setattr(
        connections.connection, "add_notice_handler", lambda _: None, raising=False
    )

    _open(connections).vacuum()

    assert 'VACUUM (ANALYZE) "s"."entries"' in connections.connection.told


def test_a_deadline_is_of_the_clock_that_is_not_set(run: Run) -> None:
    lent = list[float]()

    class Noting(ScriptedConnections):
        def lend(self, deadline: float) -> Any:
            lent.append(deadline)
            return super().lend(deadline)

        def alend(self, deadline: float) -> Any:
            lent.append(deadline)
            return super().alend(deadline)

    before = time.monotonic()
    run(_open(Noting(_numbers), seconds=7.0), _ask("SELECT 5"))

    assert before + 7.0 <= lent[0] <= time.monotonic() + 7.0


def test_coroutines_go_by_threads_where_there_are_no_async_connections() -> None:
    class Threads(ScriptedConnections):
        native = False

    async def main() -> Any:
        return await _open(Threads(_numbers)).arun(_ask("SELECT 5"))

    coroutine: Coroutine[Any, Any, Any] = main()
    assert asyncio.run(coroutine) == [[(5,)]]
