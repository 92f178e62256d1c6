"""The connections to a database."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from langchain_prodpatterns.cache.stores.database import Database
from langchain_prodpatterns.errors import StoreError


@pytest.fixture(params=["memory", "disk"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    path = tmp_path / "store.db" if request.param == "disk" else None
    opened = Database(path)
    yield opened
    opened.close()


def names(database: Database) -> list[str]:
    with database.read() as db:
        return [name for (name,) in db.execute("SELECT name FROM embedder")]


def test_what_is_written_is_read(database: Database) -> None:
    with database.write() as db:
        db.execute("INSERT INTO embedder VALUES ('a', 1)")

    assert names(database) == ["a"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_write_that_fails_changes_nothing(
    database: Database, error: type[BaseException]
) -> None:
    def fail() -> None:
        with database.write() as db:
            db.execute("INSERT INTO embedder VALUES ('a', 1)")
            raise error

    with pytest.raises(error):
        fail()
    assert names(database) == []
    with database.write() as db:
        db.execute("INSERT INTO embedder VALUES ('b', 1)")
    assert names(database) == ["b"]


def test_an_error_of_sqlite_is_told_with_what_to_do(database: Database) -> None:
    with pytest.raises(StoreError, match="give another path"), database.read() as db:
        db.execute("SELECT * FROM nothing")
    with pytest.raises(StoreError, match="give another path"), database.write() as db:
        db.execute("DELETE FROM nothing")


def test_who_has_no_patience_does_not_wait_for_who_writes(database: Database) -> None:
    writing, go = threading.Event(), threading.Event()

    def write() -> None:
        with database.write():
            writing.set()
            go.wait(30)

    thread = threading.Thread(target=write)
    thread.start()
    assert writing.wait(30)

    with pytest.raises(StoreError, match="try again"), database.write(patience=0):
        pass
    go.set()
    thread.join(30)


def test_a_closed_one_says_so(database: Database) -> None:
    database.close()

    with pytest.raises(StoreError, match="is closed"):
        names(database)


def test_memory_begins_with_what_another_holds() -> None:
    database = Database(None)
    with database.write() as db:
        db.execute("INSERT INTO embedder VALUES ('a', 1)")
    copied = Database(None, database.content())
    database.close()

    assert names(copied) == ["a"]
    copied.close()
