"""The server of the load benchmark, what is stored in it, and what that takes."""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from cache_data import answer
from cache_scale_clients import Search, llm, prompt
from cache_scale_data import DIMENSIONS, Layout, Reflected, worded
from pgvector import HalfVector
from pgvector.psycopg import register_vector

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.stores import PostgresStore

SETTINGS = {
    "shared_buffers": "2GB",
    "maintenance_work_mem": "2GB",
    "max_parallel_maintenance_workers": "1",
    "max_wal_size": "8GB",
    # As a server has it that is to keep what it has said to have stored.
    "fsync": "on",
    "full_page_writes": "on",
}
_BULK_SECONDS = 3_600.0


class Host:
    """A server, and how to measure it."""

    def __init__(self, dsn: str, pid: int | None) -> None:
        """Take it.

        Args:
            dsn: A fresh database.
            pid: The process of the server, if it is on this machine.
        """
        self.dsn = dsn
        """The URL of the database."""
        self._pid = pid

    def memory(self) -> int | None:
        """Return the bytes that the server's processes have in memory together."""
        if self._pid is None:
            return None
        return sum(map(_proportional, [self._pid, *_children(self._pid)]))

    def value(self, query: str) -> Any:
        """Return what a query of one value says."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            row = connection.execute(query.encode()).fetchone()
        return None if row is None else row[0]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return what a query says."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    def do(self, *statements: str) -> None:
        """Have the database do something."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def connections(self) -> int:
        """Return how many clients the database has, this one left out."""
        return int(
            self.value(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = "
                "current_database() AND pid <> pg_backend_pid()"
            )
        )

    def size(self) -> int:
        """Return the bytes of the database on disk."""
        return int(self.value("SELECT pg_database_size(current_database())"))


@contextmanager
def hosted(dsn: str | None) -> Iterator[Host]:
    """Start a server, or take a given one, and make a fresh database in it."""
    # The tests know how a server is started.
    sys.path.append(str(Path(__file__).resolve().parent.parent))
    from tests.integration_tests.postgres.server import (
        GivenServer,
        OwnServer,
        database,
    )

    setup = ["CREATE EXTENSION IF NOT EXISTS vector"]
    if dsn is not None:
        given = GivenServer(dsn)
        with database(given, setup=setup) as name:
            yield Host(given.dsn(name), None)
        return
    with OwnServer() as own:
        own.restart(**SETTINGS)
        with database(own, setup=setup) as name:
            yield Host(own.dsn(name), own.pid)


def make_tables(host: Host) -> None:
    """Make our tables, in place of those that are there."""
    host.do("DROP TABLE IF EXISTS bare", "DROP SCHEMA IF EXISTS prodpatterns CASCADE")
    PostgresStore.migrate(host.dsn)


def fill(dsn: str, layout: Layout, reflected: Reflected, part: int, parts: int) -> None:
    """Store a part of the entries in our cache, in the order of a mixed traffic."""

    def items() -> Iterable[tuple[str, str, Any]]:
        for index in range(part, layout.entries, parts):
            rank, partition = divmod(index, layout.partitions)
            number = layout.number(partition, rank)
            yield prompt(worded(number)), llm(partition), answer(str(number))

    # Without the right to make it, nobody makes an index while it is filled.
    store = PostgresStore(dsn, migrate=False, timeout=_BULK_SECONDS)
    with SemanticJudgeCache(reflected, band=(0.5, 0.6), store=store) as cache:
        cache.warm(items())


def index(dsn: str) -> float:
    """Give our vectors their indexes; return the seconds that takes.

    Those of large partitions are given to the index of vectors in the background, one
    after the other, which for a million takes hours. Here all are at once.
    """
    started = time.perf_counter()
    PostgresStore.migrate(dsn, dimensions=DIMENSIONS)
    with closing(PostgresStore(dsn)) as store:
        store.reindex()
        store.vacuum()
    return time.perf_counter() - started


def fill_bare(
    dsn: str, layout: Layout, reflected: Reflected, *, everywhere: bool
) -> None:
    """Store the vectors alone in a table of their own, with the index that it needs.

    Args:
        dsn: The database.
        layout: What to store.
        reflected: Makes the vectors.
        everywhere: Whether there is an index over the vectors of all partitions.
    """
    with psycopg.connect(dsn, autocommit=True) as connection:
        register_vector(connection)
        connection.execute("DROP TABLE IF EXISTS bare")
        connection.execute(
            "CREATE TABLE bare (number bigint NOT NULL, partition int NOT NULL, "
            f"vector halfvec({DIMENSIONS}) NOT NULL)".encode()
        )
        into = "COPY bare (number, partition, vector) FROM STDIN (FORMAT BINARY)"
        with connection.cursor() as cursor, cursor.copy(into) as copy:
            copy.set_types(["int8", "int4", "halfvec"])
            for at in range(layout.entries):
                rank, partition = divmod(at, layout.partitions)
                number = layout.number(partition, rank)
                vector = HalfVector(reflected.vector(number))
                copy.write_row((number, partition, vector))
        if everywhere or Search(layout).by_index:
            connection.execute(
                "CREATE INDEX ON bare USING hnsw (vector halfvec_cosine_ops)"
            )
        if layout.partitions > 1:
            connection.execute(
                "CREATE INDEX ON bare (partition) INCLUDE (number, vector)"
            )
        connection.execute("VACUUM ANALYZE bare")


def _children(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            state = (path / "stat").read_text("utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        if int(state[1]) == pid:
            found.append(int(path.name))
    return found


def _proportional(pid: int) -> int:
    """Return the bytes of a process, of what it shares its part."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8")
    except OSError:
        return 0
    line = next(line for line in text.splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) * 1024


def cores() -> int:
    """Return how many cores this machine lends."""
    return len(os.sched_getaffinity(0))
