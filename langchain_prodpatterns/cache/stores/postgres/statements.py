"""SQL as data: what is asked of the database, apart from how it is asked.

An operation is written once, as a generator that yields batches of statements and is
sent their results. A sync and an async driver run it, so the two cannot differ.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from psycopg import sql

from langchain_prodpatterns.cache.stores.postgres.tables import (
    OF_INDEXED,
    SIDE_BY_SIDE,
)

T = TypeVar("T")

_MADE_AT_MOST = 1_000
_OF_INDEXED = sql.SQL(OF_INDEXED)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement."""

    text: str
    """SQL of our own, where `{s}` stands for the schema and `{v}` for pgvector's."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """The values in it, by name."""
    names: Mapping[str, str | int] = field(default_factory=dict)
    """More in it: the name of a table or a role, which is quoted, or a number."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Statements of one transaction, sent together."""

    statements: tuple[Statement, ...]
    """The statements."""

    @classmethod
    def of(cls, text: str, /, **values: Any) -> "Batch":
        """Return the batch of one statement."""
        return cls((Statement(text, values),))


@dataclass(frozen=True, slots=True)
class Result:
    """What a statement gave."""

    rows: Sequence[Sequence[Any]]
    """Its rows."""
    count: int
    """How many rows it returned or changed."""


Work: TypeAlias = Generator[Batch, Sequence[Result], T]
"""An operation: yields batches, is sent the results of each, and ends with a value."""


class Names:
    """Fills our own names into SQL, quoted as names; values never get there."""

    def __init__(self, schema: str, extension: str, *, unlogged: bool = False) -> None:
        """Take the names.

        Args:
            schema: Of the tables.
            extension: The schema that pgvector is in.
            unlogged: Whether tables that are made are unlogged.
        """
        self._names: dict[str, str | int] = {
            "s": schema,
            "v": extension,
            "most": SIDE_BY_SIDE,
        }
        self._unlogged = sql.SQL("UNLOGGED" if unlogged else "")
        self._made: dict[tuple[str | int, ...], bytes] = {}

    def query(self, statement: Statement) -> bytes:
        """Return a statement as the database gets it."""
        # Of few words: tables, dimensions, how many rows to look at.
        has_values = bool(statement.values)
        key = (has_values, statement.text, *statement.names.values())
        made = self._made.get(key)
        if made is None:
            made = self._compose(statement, has_values=has_values)
            if len(self._made) < _MADE_AT_MOST:
                self._made[key] = made
        return made

    def _compose(self, statement: Statement, *, has_values: bool) -> bytes:
        given = {**self._names, **statement.names}
        names = {
            name: _word(word, has_values=has_values) for name, word in given.items()
        }
        # Text of our own modules, never of a user.
        template = sql.SQL(statement.text)
        return template.format(
            unlogged=self._unlogged, of_indexed=_OF_INDEXED, **names
        ).as_bytes(None)


def _word(word: str | int, *, has_values: bool) -> sql.Composable:
    """Quote a name; a number is one as it stands."""
    if not isinstance(word, str):
        return sql.Literal(word)
    # Beside values, the driver takes a percent sign for the beginning of one.
    return sql.Identifier(word.replace("%", "%%") if has_values else word)
