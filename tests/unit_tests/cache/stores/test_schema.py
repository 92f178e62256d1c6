"""Opening a database, and what is in the way."""

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from langchain_core.outputs import Generation

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.stores import Entry, LocalStore, schema
from langchain_prodpatterns.errors import StoreError
from tests.unit_tests.cache.conftest import CountingEmbeddings

ENTRY = Entry("a", "p", "x-a", "text", '"v"', "n")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def limited(*, pages: int | None = None, read_only: bool = False) -> Any:
    """Return `sqlite3.connect` on a disk that is full, or not to be written to."""
    connect: Any = sqlite3.connect

    def opened(path: Any, **kwargs: Any) -> Any:
        if read_only:
            return connect(f"file:{path}?mode=ro", uri=True, **kwargs)
        connection = connect(path, **kwargs)
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    return opened


def test_a_full_disk_is_told_when_a_file_is_made(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "connect", limited(pages=3))

    with pytest.raises(StoreError, match="disk is full: make room"):
        LocalStore(path)


def test_a_disk_that_gets_full_fails_an_entry_and_no_lookup(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    LocalStore(path).close()
    monkeypatch.setattr(sqlite3, "connect", limited(pages=60))
    store = LocalStore(path)
    store.add(ENTRY, None)
    large = Entry("b", "p", "x-b", "text", "v" * 1_000_000, "n")

    with pytest.raises(StoreError, match="disk is full"):
        store.add(large, None)

    assert store.find("x-a") is not None
    assert store.find("x-b") is None
    store.add(Entry("c", "p", "x-c", "text", '"v"', "n"), None)
    assert store.counts().entries == 2
    store.close()


def test_to_the_cache_a_full_disk_is_a_miss(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    LocalStore(path).close()
    monkeypatch.setattr(sqlite3, "connect", limited(pages=60))
    cache = SemanticJudgeCache(CountingEmbeddings(), band=(0.5, 0.9), path=path)

    cache.update("long", "llm", [Generation(text="v" * 1_000_000)])
    cache.update("short", "llm", [Generation(text="answer")])

    assert cache.lookup("long", "llm") is None
    assert cache.lookup("short", "llm") == [Generation(text="answer")]
    assert cache.stats().errors == 1
    cache.close()


def test_a_file_that_is_only_read_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    LocalStore(path).close()
    monkeypatch.setattr(sqlite3, "connect", limited(read_only=True))

    with pytest.raises(StoreError, match=r"readonly.* both of which can be written"):
        LocalStore(path)


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() == 0, reason="nothing is forbidden to root"
)
def test_a_folder_that_cannot_be_written_to_is_refused(path: Path) -> None:
    path.parent.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="can be written to"):
            LocalStore(path)
    finally:
        path.parent.chmod(0o700)


@pytest.mark.parametrize("start", [0, 16, 40])
def test_a_torn_header_is_refused(path: Path, start: int) -> None:
    LocalStore(path).close()
    content = path.read_bytes()
    path.write_bytes(content[:start] + b"\xa5" * (100 - start) + content[100:])

    with pytest.raises(StoreError, match=r"store\.db"):
        LocalStore(path)


def test_what_is_no_database_is_told_with_what_to_do(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 20)

    with pytest.raises(StoreError, match="no database: remove it, or give another"):
        LocalStore(path)


def test_a_damaged_schema_that_no_text_can_quote_is_told(path: Path) -> None:
    LocalStore(path).close()
    content = path.read_bytes().replace(
        b"CREATE TABLE claims", b"CREATE TABLE \xa7\xff("
    )
    path.write_bytes(content)

    with pytest.raises(StoreError, match=r"remove it, or give another path"):
        LocalStore(path)


def test_an_application_that_is_not_ours_is_refused(path: Path) -> None:
    LocalStore(path).close()
    other = sqlite3.connect(path)
    other.execute("PRAGMA application_id = 7")
    other.close()

    with pytest.raises(StoreError, match="another program"):
        LocalStore(path)


def test_a_file_that_is_written_to_for_long_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    LocalStore(path).close()
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.01)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreError, match="try again"):
        LocalStore(path)
    other.close()
