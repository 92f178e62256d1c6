"""Names are quoted, and no value gets into SQL."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.cache.stores.base import Entry, Selection
from langchain_prodpatterns.cache.stores.postgres import (
    entries,
    indexing,
    notes,
    searching,
    sweeping,
)
from langchain_prodpatterns.cache.stores.postgres.announcing import announce
from langchain_prodpatterns.cache.stores.postgres.statements import (
    Batch,
    Names,
    Result,
    Statement,
    Work,
)

NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1
)
PLANTED = "planted'; DROP TABLE entries; --"
_QUOTED = re.compile(rb'^SELECT FROM "((?:[^"]|"")+)"\.entries, "((?:[^"]|"")+)"\.t$')


@given(NAMES, NAMES)
def test_a_name_is_one_name_whatever_is_in_it(schema: str, extension: str) -> None:
    names = Names(schema, extension)

    query = names.query(Statement("SELECT FROM {s}.entries, {v}.t"))

    found = _QUOTED.match(query)
    assert found is not None
    read = [one.replace(b'""', b'"').decode() for one in found.groups()]
    assert read == [schema, extension]


@given(NAMES, st.integers(0, 10**9))
def test_a_word_is_a_name_and_a_number_is_a_number(name: str, number: int) -> None:
    names = Names("s", "v")

    given: dict[str, str | int] = {"name": name, "number": 7}
    query = names.query(Statement("{name} {number}", {}, given))
    assert query == b'"%s" 7' % name.replace('"', '""').encode()

    query = names.query(Statement("{number}", {}, {"number": number}))
    assert query == str(number).encode()


@pytest.mark.parametrize("values", [{}, {"key": PLANTED}])
def test_a_percent_sign_in_a_name_is_no_placeholder(values: dict[str, str]) -> None:
    statement = Statement("FROM {s}.{table}", values, {"table": "50%"})

    query = Names("%(key)s", "v").query(statement)

    # The driver reads two as one, where there are values.
    read = query.replace(b"%%", b"%") if values else query
    assert read == b'FROM "%(key)s"."50%"'
    assert query.count(b"%") == (4 if values else 2)


@pytest.mark.parametrize("role", ["1234", "٣", "²", "007"])
def test_a_name_of_digits_is_a_name(role: str) -> None:
    query = Names("s", "v").query(Statement("TO {role}", {}, {"role": role}))

    assert query == f'TO "{role}"'.encode()


def test_a_statement_of_other_words_is_another() -> None:
    names = Names("s", "v")

    made = {
        names.query(Statement("{a} {b}", {}, {"a": a, "b": b}))
        for a, b in (("x", "y"), ("y", "x"), ("x", 1), ("x", "1"))
    }

    assert made == {b'"x" "y"', b'"y" "x"', b'"x" 1', b'"x" "1"'}
    assert names.query(Statement("{a} {b}", {}, {"a": "x", "b": 1})) in made


def test_a_placeholder_is_left_to_the_driver() -> None:
    text = "SELECT %(key)s FROM {s}.entries"

    query = Names("s", "v").query(Statement(text, {"key": PLANTED}))

    assert query == b'SELECT %(key)s FROM "s".entries'


@pytest.mark.parametrize(("unlogged", "word"), [(True, b"UNLOGGED"), (False, b"")])
def test_tables_are_unlogged_or_not(unlogged: bool, word: bytes) -> None:
    names = Names("s", "v", unlogged=unlogged)

    assert (
        names.query(Statement("CREATE {unlogged} TABLE")) == b"CREATE %s TABLE" % word
    )


def _batches(work: Work[object]) -> list[Batch]:
    """Run work with no rows as answers."""
    batches, results = [], list[Result]()
    try:
        batch = next(work)
        for _ in range(10):
            batches.append(batch)
            results = [Result([], 0) for _ in batch.statements]
            batch = work.send(results)
    except (StopIteration, IndexError):
        pass
    return batches


_ENTRY = Entry(PLANTED, PLANTED, PLANTED, PLANTED, PLANTED, PLANTED)
_SEARCH = searching.Search(PLANTED, np.ones(2, np.float32), PLANTED, 1)
_ALL = Selection(PLANTED, PLANTED, PLANTED, 1.0, PLANTED)
_WORKS: dict[str, Callable[[], Work[Any]]] = {
    "find": lambda: entries.find(PLANTED),
    "get": lambda: entries.get(PLANTED),
    "add": lambda: entries.add([(_ENTRY, None)], PLANTED),
    "page": lambda: entries.page(_ALL, 0, 10),
    "remove": lambda: entries.remove(_ALL, PLANTED, [PLANTED]),
    "large ones": lambda: indexing.large_ones([PLANTED], 2, 10),
    "index": lambda: indexing.index_some(PLANTED, 2, 10, 10),
    "near": lambda: searching.nearest(_SEARCH, 200, indexed=False),
    "near of many": lambda: searching.nearest(_SEARCH, 200, indexed=True),
    "approve": lambda: notes.approve(PLANTED, PLANTED, PLANTED, PLANTED),
    "reject": lambda: notes.reject(PLANTED, PLANTED, PLANTED),
    "tally": lambda: notes.add_tally(PLANTED, PLANTED, 1, 1),
    "tallies": lambda: notes.read_tallies(PLANTED),
    "reset": lambda: notes.forget_tallies(PLANTED),
    "claim": lambda: notes.claim(PLANTED, PLANTED, 1.0),
    "release": lambda: notes.release(PLANTED, PLANTED),
    "quarantine": lambda: notes.put_aside({PLANTED: PLANTED}),
    "hits": lambda: sweeping.note_hits({PLANTED: 1}),
}


@pytest.mark.parametrize("name", _WORKS)
def test_no_value_is_in_the_text_of_a_statement(name: str) -> None:
    names = Names("s", "v")
    batches = _batches(_WORKS[name]())

    assert batches
    for statement in (one for batch in batches for one in batch.statements):
        assert b"planted" not in names.query(statement)


def test_an_announcement_holds_no_value_in_its_text() -> None:
    names = Names("s", "v")

    for statement in announce(_ALL, PLANTED).statements:
        assert b"planted" not in names.query(statement)


def test_a_batch_of_one() -> None:
    batch = Batch.of("SELECT %(a)s", a=1)

    assert batch == Batch((Statement("SELECT %(a)s", {"a": 1}),))


def test_a_name_that_is_not_known_is_our_own_fault() -> None:
    with pytest.raises((KeyError, psycopg.Error)):
        Names("s", "v").query(Statement("SELECT {unknown}"))
