"""Bringing a schema to this release's version: once, whoever comes first.

Tables are made and added to, never dropped or emptied. All of it is one transaction
under a lock that others wait for.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg

from langchain_prodpatterns.cache.stores.postgres.statements import Names, Statement
from langchain_prodpatterns.cache.stores.postgres.tables import (
    MIGRATIONS,
    NAME_OF_NEAREST,
    NEAREST,
    OF_TENANTS,
    RIGHT_TO_VECTORS,
    RIGHTS,
    SECURE,
    VERSION,
)
from langchain_prodpatterns.errors import StoreError

_LOCK = 7_236_814_500
"""The advisory lock of who migrates."""
_OLDEST_PGVECTOR = (0, 8)
_OLDEST_SERVER = 140_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """How the tables shall be."""

    schema: str = "prodpatterns"
    """The schema that they are in."""
    unlogged: bool | None = None
    """Whether they are unlogged: faster, and empty after a crash. `None` leaves them
    as they are, and makes logged ones."""
    row_level_security: bool = False
    """Whether other roles than the owner see one namespace only."""
    dimensions: int | None = None
    """Of the vectors, where it is known: then they get their index now."""


@dataclass(frozen=True, slots=True)
class State:
    """What there is."""

    version: int
    """Of the schema; 0 where there is none."""
    extension: str
    """The schema of pgvector."""
    unlogged: bool
    """Whether the tables are unlogged."""
    secured: bool
    """Whether row-level security is on."""
    owned: bool
    """Whether this role may change the tables."""
    indexed: frozenset[int]
    """The dimensions of vectors that there is an index for."""


def state_of(connection: psycopg.Connection, schema: str) -> State:
    """Look at a schema, which need not be there.

    Raises:
        StoreError: When the server or pgvector is too old, or the role may not look.
    """
    try:
        return _state_of(connection, schema)
    except psycopg.errors.InsufficientPrivilege as error:
        msg = (
            f"the role {connection.info.user!r} may not use the tables of the cache "
            f"({error.diag.message_primary}): give it the rights, as the owner, by "
            "`PostgresStore.migrate(dsn, grant_to=[role])`"
        )
        raise StoreError(msg) from None


def _state_of(connection: psycopg.Connection, schema: str) -> State:
    if connection.info.server_version < _OLDEST_SERVER:
        msg = (
            f"PostgreSQL {connection.info.server_version // 10_000} is too old: "
            "14 or newer is needed"
        )
        raise StoreError(msg)
    row = connection.execute(
        "SELECT coalesce(c.relpersistence = 'u', false), "
        "coalesce(c.relrowsecurity, false), "
        "coalesce(pg_has_role(c.relowner, 'USAGE'), false), "
        "to_regclass(format('%%I.version', %(s)s::text)) IS NOT NULL "
        "FROM (SELECT to_regclass(format('%%I.entries', %(s)s::text)) AS oid) t "
        "LEFT JOIN pg_class c USING (oid)",
        {"s": schema},
    ).fetchone()
    assert row is not None  # noqa: S101 - a left join of one row
    unlogged, secured, owned, versioned = row
    indexed = _indexed(connection, schema)
    extension = _extension(connection)
    version = 0
    if versioned:
        names = Names(schema, extension)
        statement = Statement("SELECT version FROM {s}.version")
        found = connection.execute(names.query(statement)).fetchone()
        version = found[0] if found else 0
    return State(version, extension, unlogged, secured, owned, indexed)


def _indexed(connection: psycopg.Connection, schema: str) -> frozenset[int]:
    """Return the dimensions of vectors that there is an index for."""
    rows = connection.execute(
        "SELECT indexname FROM pg_indexes WHERE schemaname = %(schema)s "
        "AND starts_with(indexname, %(prefix)s)",
        {"schema": schema, "prefix": NAME_OF_NEAREST},
    ).fetchall()
    sizes = [name.removeprefix(NAME_OF_NEAREST) for (name,) in rows]
    return frozenset(int(size) for size in sizes if size.isdigit())


def _extension(connection: psycopg.Connection) -> str:
    """Return the schema of pgvector; empty where it is not installed yet."""
    row = connection.execute(
        "SELECT n.nspname, e.extversion FROM pg_extension e "
        "JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'"
    ).fetchone()
    if row is None:
        return ""
    numbers = [int(part) for part in str(row[1]).split(".")[:2] if part.isdigit()]
    if tuple(numbers) < _OLDEST_PGVECTOR:
        msg = f"pgvector {row[1]} is too old, 0.8 is needed: update the extension"
        raise StoreError(msg)
    return str(row[0])


def check(state: State, wanted: Wanted) -> None:
    """Refuse a schema that this release, or this use of it, does not fit.

    Raises:
        StoreError: When it is newer, or not as it is wanted.
    """
    schema = wanted.schema
    if state.version > VERSION:
        msg = (
            f"the schema {schema!r} has version {state.version}, this release reads "
            f"version {VERSION}: use the release that made it, or give another schema"
        )
        raise StoreError(msg)
    if not state.version:
        return
    if wanted.unlogged is not None and wanted.unlogged != state.unlogged:
        there, word = ("UNLOGGED", "LOGGED")[:: 1 if state.unlogged else -1]
        msg = (
            f"unlogged={wanted.unlogged} was given, and the tables in the schema "
            f"{schema!r} are {there}: leave it out, give another schema, or ALTER "
            f"TABLE ... SET {word} each of them, which rewrites it"
        )
        raise StoreError(msg)


def migrate(connection: psycopg.Connection, wanted: Wanted) -> list[str]:
    """Bring a schema to this release's version, and make it as it is wanted.

    Args:
        connection: In autocommit mode, of a role that may make or change the tables.
        wanted: How the tables shall be.

    Returns:
        What was done, in words; empty where there was nothing to do.

    Raises:
        StoreError: When the schema is newer or the role may not do it.
    """
    try:
        with connection.transaction():
            # What another process has done meanwhile has to be seen, whatever the
            # default of this database.
            connection.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            return list(_migrate(connection, wanted))
    except psycopg.errors.InsufficientPrivilege as error:
        msg = (
            f"the role {connection.info.user!r} may not make the tables of the cache "
            f"({error.diag.message_primary}): run `prodpatterns cache migrate --store "
            "URL` once as a role that may"
        )
        raise StoreError(msg) from None
    except psycopg.errors.FeatureNotSupported as error:
        msg = (
            f"pgvector cannot be installed ({error.diag.message_primary}): install the "
            "extension on the server"
        )
        raise StoreError(msg) from None


def _migrate(connection: psycopg.Connection, wanted: Wanted) -> Iterator[str]:
    if not _extension(connection):
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        yield "installed the extension vector"
    # Under the lock: another process may just have done all of it.
    state = state_of(connection, wanted.schema)
    check(state, wanted)
    names = Names(wanted.schema, state.extension, unlogged=bool(wanted.unlogged))

    def run(text: str, **words: str | int) -> None:
        connection.execute(names.query(Statement(text, {}, words)))

    if not state.version:
        if not _exists(connection, wanted.schema):
            run("CREATE SCHEMA {s}")
        run("CREATE TABLE {s}.version (version integer NOT NULL)")
        run("INSERT INTO {s}.version VALUES (0)")
    for version, text in enumerate(MIGRATIONS[state.version :], state.version + 1):
        run(text)
        run("UPDATE {s}.version SET version = {version}", version=version)
        yield f"brought the schema {wanted.schema!r} to version {version}"
    if wanted.row_level_security and not state.secured:
        for table in OF_TENANTS:
            run(SECURE, table=table)
        yield "row-level security by namespace is on"
    if wanted.dimensions is not None and wanted.dimensions not in state.indexed:
        size = wanted.dimensions
        run(NEAREST, dimensions=size, index=f"{NAME_OF_NEAREST}{size}")
        yield f"indexed vectors of {wanted.dimensions} dimensions"


def _exists(connection: psycopg.Connection, schema: str) -> bool:
    # Not `IF NOT EXISTS`: who owns the schema need not be allowed to make one.
    found = connection.execute(
        "SELECT FROM pg_namespace WHERE nspname = %(schema)s", {"schema": schema}
    )
    return found.fetchone() is not None


def grant(connection: psycopg.Connection, schema: str, role: str) -> None:
    """Give a role the rights to read and write entries, and no more.

    Args:
        connection: Of the owner.
        schema: The schema.
        role: The role.
    """
    names = Names(schema, _extension(connection))
    with connection.transaction():
        for text in RIGHTS.split(";\n")[:-1]:
            connection.execute(names.query(Statement(text, {}, {"role": role})))
        found = connection.execute(
            "SELECT has_schema_privilege(%(role)s, extnamespace, 'USAGE') "
            "FROM pg_extension WHERE extname = 'vector'",
            {"role": role},
        ).fetchone()
        if found is not None and not found[0]:
            text = RIGHT_TO_VECTORS
            connection.execute(names.query(Statement(text, {}, {"role": role})))
