"""Entries in PostgreSQL, which many processes on many hosts share.

The story of a lookup: look among what was found lately, ask the database by the
request, then for the nearest vectors of its partition; each within a deadline. What a
method has to do is put together by the `Keeper`, as SQL of the modules beside it; the
`Database` runs it, for a thread or an event loop.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import fields
from typing import Any, TypeVar
from weakref import WeakMethod

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool

from langchain_prodpatterns.cache.stores.base import (
    Selection,
)
from langchain_prodpatterns.cache.stores.eviction import Bounds
from langchain_prodpatterns.cache.stores.postgres import migrations
from langchain_prodpatterns.cache.stores.postgres.async_methods import AsyncMethods
from langchain_prodpatterns.cache.stores.postgres.database import (
    Database,
    Kind,
    Limits,
)
from langchain_prodpatterns.cache.stores.postgres.housekeeping import (
    Chores,
    Housekeeping,
)
from langchain_prodpatterns.cache.stores.postgres.keeper import Keeper, Searching
from langchain_prodpatterns.cache.stores.postgres.methods import Methods
from langchain_prodpatterns.cache.stores.postgres.migrations import Wanted
from langchain_prodpatterns.cache.stores.postgres.options import (
    Options,
    Where,
    check_dimensions,
    check_dsn,
    check_schema,
    connections_of,
)
from langchain_prodpatterns.cache.stores.postgres.recent import Recent
from langchain_prodpatterns.cache.stores.postgres.statements import Work
from langchain_prodpatterns.deadlines import call_apart
from langchain_prodpatterns.errors import (
    ConfigurationError,
    StoreError,
    StoreUnavailable,
)
from langchain_prodpatterns.fingerprints import Fingerprint

T = TypeVar("T")
_SWEEP_AT_ONCE = 1_000
_INDEX_AT_ONCE = 200
_INDEXING_SECONDS = 20.0
_BULK_SECONDS = 60.0


class PostgresStore(Methods, AsyncMethods):
    """A `CacheStore` in PostgreSQL with pgvector, for many processes on many hosts.

    ```python
    store = PostgresStore("postgresql://app@db.example/app?sslmode=verify-full")
    set_llm_cache(SemanticJudgeCache(embeddings, judge=small_llm, store=store))
    ```

    Equal requests are found by a unique index. Of near ones, a partition's vectors are
    all compared while they are few; of a large partition they are searched by an HNSW
    index over half-precision vectors, which goes on until it has met enough vectors of
    that partition. The tables are made, and upgraded, by whoever opens the store first
    and may do so.

    A database that is away, slow, read-only or out of connections costs a lookup no
    more than `timeout` a question, and after three failures in a row nothing until it
    is asked again: it is a miss. What is invalidated by one process is known to the
    others at once, also to answers that are on their way there.

    Safe to use from many threads and event loops, and after a fork. Coroutines are
    native: they have connections of their own, of each event loop.
    """

    def __init__(
        self,
        database: Where,
        *,
        async_pool: AsyncConnectionPool[Any] | None = None,
        schema: str = "prodpatterns",
        namespace: str | None = None,
        unlogged: bool | None = None,
        migrate: bool = True,
        require: bool = True,
        timeout: float = 0.5,
        recovery: float = 1.0,
        pool_size: int = 8,
        connect: dict[str, Any] | None = None,
        max_entries: int | None = None,
        max_bytes: int | None = None,
        local_entries: int = 0,
        local_seconds: float = 5.0,
        hear_seconds: float = 1.0,
        sweep_seconds: float = 30.0,
        scan_rows: int | None = None,
        ef_search: int = 200,
    ) -> None:
        """Open the store.

        Args:
            database: A connection string, which TLS settings are part of, or a pool of
                your own, which you open and close: a `ConnectionPool`, or an
                `AsyncConnectionPool` where all is done in one event loop. Your pool's
                connections should be in autocommit mode.
            async_pool: Of your own, beside a `ConnectionPool`.
            schema: The schema of the tables.
            namespace: See and write the entries of this namespace only, which the
                database makes sure of by row-level security.
            unlogged: Whether tables that are made are unlogged: faster to write, and
                empty after a crash of the server. Tables that are otherwise already are
                refused; `None` takes them as they are.
            migrate: Whether to make or upgrade the tables, if this role may.
            require: Whether to refuse to open without the database. Otherwise it is
                away until it is there, and looked at then.
            timeout: Seconds to wait for the database, at most, each time that a lookup
                or an update asks: once by the request and once by its vector, and now
                and then for evidence.
            recovery: Seconds that a database which is away is not asked.
            pool_size: Connections for threads, and as many for each event loop.
            connect: More for `psycopg.connect`, such as `sslrootcert`, `options`, or
                `prepare_threshold=None` behind a pooler that keeps no statements.
            max_entries: Entries to keep in the whole schema. Those make room that save
                least a byte, by their cost and hits, and are not asked any more.
            max_bytes: Bytes that the entries hold together, at most.
            local_entries: Answers to hold in this process, too, so that the database
                need not be asked again. They are used while this process hears what
                others remove.
            local_seconds: How long: an answer that another process replaces is served
                for so long, at most.
            hear_seconds: How often to look for what others removed, where no
                notification comes: behind a pooler there is none.
            sweep_seconds: How often to remove what is past and to note hits.
            scan_rows: Vectors of a partition that are all compared, by default as many
                as take some milliseconds: 10,416 of 384 dimensions, and of more than
                1,200, which no index holds side by side, 651 of 1,536.
            ef_search: Candidates that the index keeps in view, from 1 to 1000.

        Raises:
            ConfigurationError: When an argument cannot work.
            StoreError: When the database cannot be reached, the schema is newer, or
                the role may not do what is needed.
        """
        options = Options(
            async_pool=async_pool,
            schema=schema,
            namespace=namespace,
            unlogged=unlogged,
            migrate=migrate,
            require=require,
            timeout=timeout,
            recovery=recovery,
            pool_size=pool_size,
            connect=connect,
            max_entries=max_entries,
            max_bytes=max_bytes,
            local_entries=local_entries,
            local_seconds=local_seconds,
            hear_seconds=hear_seconds,
            sweep_seconds=sweep_seconds,
            scan_rows=scan_rows,
            ef_search=ef_search,
        )
        options.check()
        self._where = database
        self._options = options
        self._open(options)

    def _open(self, options: Options) -> None:
        connections = connections_of(self._where, options)
        self._house = Housekeeping(
            Chores(
                connections.open_one,
                WeakMethod(self._hear),
                WeakMethod(self._tidy),
                options.hear_seconds,
                options.sweep_seconds,
            )
        )
        recent = Recent(
            options.local_entries, options.local_seconds, lambda: self._house.hears
        )
        self._searching = Searching(
            options.scan_rows, options.ef_search, lambda: self._db.state
        )
        self._keeper = Keeper(
            Bounds(options.max_entries, options.max_bytes),
            self._searching,
            recent,
            namespace=options.namespace,
        )
        self._db = Database(
            connections,
            Wanted(
                options.schema,
                options.unlogged,
                row_level_security=options.namespace is not None,
            ),
            Limits(options.timeout, _BULK_SECONDS, options.recovery),
            may_migrate=options.migrate,
            namespace=options.namespace,
        )
        self._closed = False
        self._indexed: Fingerprint | None = None
        if options.require:
            self._reach()

    def _reach(self) -> None:
        """Look at the database now, and say so if that fails."""
        try:
            self._db.prepare()
        except psycopg.Error as error:
            self._db.connections.close()
            msg = (
                f"cannot open the cache in PostgreSQL at {place_of(self._where)}: "
                f"{_first_line(error)}. Give the DSN of a database that this host "
                "reaches, or require=False to begin without it"
            )
            raise StoreError(msg) from None
        except BaseException:
            self._db.connections.close()
            raise

    @classmethod
    def migrate(
        cls,
        dsn: str,
        *,
        schema: str = "prodpatterns",
        dimensions: int | None = None,
        unlogged: bool | None = None,
        row_level_security: bool = False,
        grant_to: Iterable[str] = (),
    ) -> list[str]:
        """Make or upgrade the tables, as a role that may: others then need less.

        Idempotent, and safe to call from many processes at once.

        Args:
            dsn: The database, as the role that shall own the tables.
            schema: The schema of the tables.
            dimensions: Of the embeddings, for the index of vectors. Without it whoever
                stores the first vector makes the index, if he may.
            unlogged: Whether the tables are unlogged; `None` leaves them as they are.
            row_level_security: Whether other roles see one namespace only.
            grant_to: Roles that shall read and write entries, and do no more.

        Returns:
            What was done, in words.

        Raises:
            ConfigurationError: When an argument cannot work.
            StoreError: When the database cannot be reached, the schema is newer, or
                the role may not do it.
        """
        check_dsn(dsn)
        check_schema(schema)
        check_dimensions(dimensions)
        if isinstance(grant_to, str):
            msg = f"grant_to must be a list of names, got {grant_to!r}"
            raise ConfigurationError(msg)
        wanted = Wanted(schema, unlogged, row_level_security, dimensions)
        try:
            with closing(psycopg.connect(dsn, autocommit=True)) as connection:
                done = migrations.migrate(connection, wanted)
                for role in grant_to:
                    migrations.grant(connection, schema, role)
                    done.append(f"granted {role!r} to read and write entries")
        except psycopg.Error as error:
            msg = f"cannot make the tables at {place_of(dsn)}: {_first_line(error)}"
            raise StoreError(msg) from None
        return done

    def __reduce__(self) -> Any:
        if not isinstance(self._where, str):
            msg = "a PostgresStore with pools of your own cannot be copied: give a DSN"
            raise TypeError(msg)
        given = {one.name: getattr(self._options, one.name) for one in fields(Options)}
        # Not to fail where the copy is made, but where it is used.
        return _reopen, (self._where, {**given, "require": False})

    # How work is run

    def _run(self, work: Work[T], kind: Kind = "read") -> T:
        self._check_open()
        self._house.begin()
        return self._db.run(work, kind)

    async def _arun(self, work: Work[T], kind: Kind = "read") -> T:
        self._check_open()
        self._house.begin()
        return await self._db.arun(work, kind)

    def _check_open(self) -> None:
        if self._closed:
            msg = "the store is closed"
            raise StoreError(msg)

    def _hear(self) -> None:
        """Take note of what others did; for the thread that keeps house."""
        self._db.connections.tidy()
        self._db.run(self._keeper.hear())
        known = self._keeper.known
        if known is not None and known != self._indexed and known.dimensions:
            # The first vector tells how long they are.
            self._indexed = known
            self._db.index(known.dimensions)

    def _tidy(self) -> None:
        """Sweep, and index what there is much of; for the thread that keeps house."""
        self._db.run(self._keeper.sweep(_SWEEP_AT_ONCE), "bulk")
        # Another process may have made an index.
        self._indexed = None
        end = time.monotonic() + _INDEXING_SECONDS
        while self._db.run(self._keeper.index_some(_INDEX_AT_ONCE), "bulk"):
            if self._closed or time.monotonic() >= end:
                break

    # What it is, and its end

    @property
    def shared(self) -> bool:
        """Other processes may use it, too."""
        return True

    def on_recall(self, listener: Callable[[Selection], None]) -> None:
        """Have a function called when another process removes entries on purpose."""
        self._keeper.listeners.append(listener)

    @property
    def fingerprint(self) -> Fingerprint | None:
        """The embedding model of its vectors, once there is one."""
        return self._keeper.known or self._run(self._keeper.fingerprint())

    def bind(self, fingerprint: Fingerprint) -> None:
        """Take note of the embedding model.

        Raises:
            StoreError: When the vectors in the store were made by another.
        """
        try:
            stored = self._run(self._keeper.fingerprint())
        except StoreUnavailable:
            # It is looked at again when there are vectors to compare with.
            self._keeper.embedder = fingerprint
            raise
        if stored is not None and not stored.admits(fingerprint):
            msg = (
                f"the cache at {place_of(self._where)} holds vectors of {stored}, the "
                f"embeddings given are {fingerprint}: give the same embeddings, or "
                "another schema"
            )
            raise StoreError(msg)
        self._keeper.embedder = fingerprint

    def vacuum(self) -> None:
        """Have the database take back the room of what is gone, and count anew."""
        self._check_open()
        self._db.vacuum()

    def reindex(self) -> int:
        """Give all vectors of large partitions to the index at once, and make it anew.

        By the way about a hundred a second are given to it. This is for after a `warm`
        or an import of very many. Until it is done lookups of near answers are
        misses, and nothing is stored: a million takes minutes, many more where the
        server's `maintenance_work_mem` does not hold them.

        Returns:
            How many were not in the index before.

        Raises:
            StoreError: When this role does not own the tables, or the database does
                not do it; then all is as it was.
        """
        known = self._run(self._keeper.fingerprint())
        if known is None or known.dimensions is None:
            return 0
        rows = self._searching.rows(known.dimensions)
        return self._db.reindex(known.dimensions, rows)

    def close(self) -> None:
        """Write down what was noted, and release the connections of its own."""
        if self._closed:
            return
        self._closed = True
        self._house.stop()
        with suppress(StoreError):
            self._db.run(self._keeper.write_hits(), "write")
        self._db.connections.close()

    async def aclose(self) -> None:
        """Do what `close` does, without blocking the event loop."""
        await call_apart(self.close)


def _reopen(where: str, given: dict[str, Any]) -> PostgresStore:
    return PostgresStore(where, **given)


def _first_line(error: psycopg.Error) -> str:
    first, *_ = str(error).splitlines() or [type(error).__name__]
    return first


def place_of(where: Where) -> str:
    """Say where a database is, without the password."""
    text = where if isinstance(where, str) else where.conninfo
    try:
        parts = conninfo_to_dict(text if isinstance(text, str) else "")
    except psycopg.Error:
        return "a DSN that cannot be read"
    host = parts.get("host") or parts.get("hostaddr") or "localhost"
    port = f":{parts['port']}" if parts.get("port") else ""
    return f"{host}{port}/{parts.get('dbname') or ''}"
