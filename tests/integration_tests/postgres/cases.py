"""What the tests of a store in PostgreSQL share."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from langchain_prodpatterns.cache.stores import PostgresStore
from langchain_prodpatterns.cache.stores.base import Entry, Selection, Vector
from langchain_prodpatterns.fingerprints import Fingerprint
from tests.integration_tests.postgres.server import url_of

SIZE = 4
MODEL = Fingerprint("test")
PATIENCE = 30.0
OpenStore = Callable[..., PostgresStore]


def entry(name: str = "a", **given: Any) -> Entry:
    """An entry whose every name is of its own."""
    fields = {
        "key": f"k{name}",
        "partition": "p",
        "exact": f"x{name}",
        "text": f"question {name}",
        "value": f'"answer {name}"',
        "namespace": "n",
    }
    return Entry(**{**fields, **given})


def unit(*numbers: float) -> Vector:
    """A vector of unit length."""
    vector = np.array(numbers, np.float32)
    return vector / np.linalg.norm(vector)


def near(cosine: float, size: int = SIZE) -> Vector:
    """A vector that has this cosine with the first axis."""
    vector = np.zeros(size, np.float32)
    vector[0], vector[1] = cosine, np.sqrt(1 - cosine**2)
    return vector


FIRST = near(1.0)


@contextmanager
def stores(where: Any) -> Iterator[OpenStore]:
    """Open stores that are closed at the end."""
    opened: list[PostgresStore] = []

    def make(place: Any = where, **given: Any) -> PostgresStore:
        store = PostgresStore(place, **{"timeout": PATIENCE, **given})
        opened.append(store)
        return store

    try:
        yield make
    finally:
        for store in opened:
            store.close()


def ask(dsn: str, query: str, values: Any = None) -> list[tuple[Any, ...]]:
    """Run a statement, and return its rows."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(query.encode(), values)
        return cursor.fetchall() if cursor.description else []


def one(dsn: str, query: str, values: Any = None) -> Any:
    """Return the only value of a statement's only row."""
    ((value,),) = ask(dsn, query, values)
    return value


def as_role(dsn: str, role: str, password: str) -> str:
    """Return the URL of the same database for a role."""
    return url_of({**conninfo_to_dict(dsn), "user": role, "password": password})


@contextmanager
def role_in(dsn: str, *, name: str = "", can: str = "") -> Iterator[tuple[str, str]]:
    """Make a role that may log in and no more, and drop it at the end.

    Yields:
        Its name, and the URL of the same database for it.
    """
    name = name or f"role_{secrets.token_hex(6)}"
    password = secrets.token_hex(8)
    with psycopg.connect(dsn, autocommit=True) as connection:
        made = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} " + can)
        who = sql.Identifier(name)
        connection.execute(made.format(who, sql.Literal(password)))
        try:
            yield name, as_role(dsn, name, password)
        finally:
            connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(who))
            connection.execute(sql.SQL("DROP ROLE {}").format(who))


def refusals(dsn: str, statements: Sequence[str]) -> dict[str, str]:
    """Return which error each statement ends with, in a transaction of its own."""
    kinds = {}
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            try:
                connection.execute(statement.encode())
                kinds[statement] = ""
            except psycopg.Error as error:
                kinds[statement] = type(error).__name__
    return kinds


def use(store: PostgresStore) -> None:
    """Do with a store all that a worker does."""
    store.bind(MODEL)
    a, b = entry("a"), entry("b", ttl=60.0, metadata={"doc": 1})
    assert store.add(a, FIRST)
    assert store.add_many([(b, near(0.5))]) == 1
    assert store.add(a, FIRST)
    found = store.find("xa")
    assert found is not None
    assert (found.by, found.entry.value) == ("exact", a.value)
    neighbors = store.nearest("p", near(0.9), exact="q", limit=2)
    assert [one.entry.key for one in neighbors] == ["ka", "kb"]
    store.add_alias("q", "asked", "ka", "near")
    found = store.find("q")
    assert found is not None
    assert found.by == "alias"
    assert store.reject("q", "kb")
    assert [n.entry.key for n in store.nearest("p", FIRST, exact="q")] == ["ka"]
    assert store.get("kb") is not None
    assert {e.key for e, _ in store.scan()} == {"ka", "kb"}
    store.touch("ka")
    store.tally("p", "cell", right=1)
    assert store.tallies("p") == {"cell": (1, 0)}
    assert store.adopt_tallies("q", {"cell": (0, 1)})
    for partition in ("p", "q"):
        store.reset_tallies(partition)
    assert store.claim("name", "me", 60.0)
    assert not store.claim("name", "you", 60.0)
    store.release("name", "me")
    assert store.sweep() == 0
    assert store.counts().entries >= 2
    store.quarantine("kb", "damaged")
    assert store.get("kb") is None
    assert store.remove(Selection(key="ka")) == 1
    assert store.find("xa") is None
