"""An entry comes back from its columns as it was, or not at all."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given as examples
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from psycopg.adapt import AdaptersMap, PyFormat, Transformer

from langchain_prodpatterns.cache.digests import digest
from langchain_prodpatterns.cache.stores.base import Entry, Vector
from langchain_prodpatterns.cache.stores.postgres.columns import (
    GIVEN,
    MAX_DIMENSIONS,
    Half,
    as_literal,
    as_vector,
    given,
    has_direction,
    read,
    size_of_item,
    teach,
)
from langchain_prodpatterns.errors import ConfigurationError, StoreError
from langchain_prodpatterns.usage import Usage

TEXT = st.text(st.characters(), max_size=30)
"""Any text, of lone surrogates and zero bytes too."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3)
    ),
    max_leaves=5,
)
ENTRIES = st.builds(
    Entry,
    key=TEXT,
    partition=TEXT,
    exact=TEXT,
    text=st.none() | TEXT,
    value=TEXT,
    namespace=TEXT,
    saved=st.builds(
        Usage, st.integers(0, 9), st.integers(0, 9), usd=st.none() | st.floats(0, 9)
    ),
    metadata=st.dictionaries(TEXT, JSON, max_size=3),
    ttl=st.none() | st.floats(0, 1e12),
)
VECTORS = arrays(
    np.float32, st.integers(1, 16), elements=st.floats(-1, 1, width=32)
).filter(has_direction)
HALF_STEP = 2.0**-11
LEAST_HALF = 2.0**-24


def _row(entry: Entry, **changes: Any) -> list[Any]:
    """Return what the database gives for an entry, with some columns changed."""
    columns = given([(entry, None)])
    sealed = {name: columns[name][0] for name in GIVEN[:10]} | changes
    return [7, *sealed.values(), 5.0, 3, None]


@examples(ENTRIES)
def test_an_entry_comes_back_as_it_was(entry: Entry) -> None:
    found = read(_row(entry))

    assert found is not None
    back, left = found
    assert (back.created, back.hits, left) == (5.0, 3, None)
    expected = (entry.key, entry.partition, entry.exact, entry.text, entry.value)
    assert (back.key, back.partition, back.exact, back.text, back.value) == expected
    assert (back.namespace, back.saved) == (entry.namespace, entry.saved)
    assert (back.metadata, back.ttl) == (entry.metadata, entry.ttl)


@examples(ENTRIES, st.sampled_from(GIVEN[:9]), st.data())
def test_a_change_of_any_column_is_noticed(
    entry: Entry, name: str, data: st.DataObject
) -> None:
    row = _row(entry)
    was = row[1 + GIVEN.index(name)]
    kinds: dict[type, st.SearchStrategy[Any]] = {
        bytes: st.binary(max_size=8),
        str: st.text(max_size=8),
        float: st.floats(0, 10),
        type(None): st.binary(max_size=8),
    }
    other = data.draw((kinds[type(was)] | st.none()).filter(lambda one: one != was))

    assert read(_row(entry, **{name: other})) is None


def test_a_change_of_the_seal_is_noticed() -> None:
    entry = Entry("k", "p", "x", "t", "v", "n")

    assert read(_row(entry, seal=b"")) is None


def test_two_columns_that_are_exchanged_are_noticed() -> None:
    entry = Entry("k", "p", "x", "t", "v", "n")

    assert read(_row(entry, key="p", partition="k")) is None
    assert read(_row(entry, text=b"v", value=b"t")) is None


def test_columns_are_in_one_order_for_all_writers() -> None:
    items = [(Entry(f"k{i}", "p", f"x{i}", None, "v", "n"), None) for i in (2, 0, 1)]

    assert given(items)["exact"] == ["x0", "x1", "x2"]
    assert given(items) == given(reversed(items))
    assert given([]) == {name: [] for name in GIVEN}


def test_a_text_is_found_by_its_digest() -> None:
    with_text = given([(Entry("k", "p", "x", "t\ud800", "v", "n"), None)])
    without = given([(Entry("k", "p", "x", None, "v", "n"), None)])

    assert with_text["asked"] == [digest("t\ud800")]
    assert without["asked"] == [None]


def test_what_postgresql_takes_no_text_of_is_sent_as_bytes() -> None:
    entry = Entry(
        "k", "p", "x", "\0\ud800", "\0\ud800", "\0\ud800", metadata={"\0": "\ud800"}
    )

    columns = given([(entry, None)])

    for name, (value,) in columns.items():
        if isinstance(value, str):
            assert "\0" not in value, name
            assert value.isascii(), name


def test_metadata_that_is_no_json_is_refused() -> None:
    entry = Entry("k", "p", "x", "t", "v", "n", metadata={"a": object()})

    with pytest.raises(ConfigurationError, match="metadata must be JSON"):
        given([(entry, None)])


def test_a_vector_counts_two_bytes_a_number() -> None:
    entry = Entry("k", "p", "x", "t", "v", "n")
    vector = np.ones(8, np.float32)

    assert size_of_item(entry, vector) - size_of_item(entry, None) == 16
    assert given([(entry, vector)])["size"] == [size_of_item(entry, vector)]


@examples(VECTORS)
def test_a_vector_comes_back_within_half_precision(vector: Vector) -> None:
    back = as_vector(as_literal(vector))

    # The database rounds it to halves; the text before is at least as exact.
    assert back.astype(np.float16) == pytest.approx(
        vector, rel=2 * HALF_STEP, abs=LEAST_HALF
    )


@examples(VECTORS)
def test_a_vector_to_compare_with_is_sent_as_halves(vector: Vector) -> None:
    packed = Half.of(vector).packed

    size, reserved = struct.unpack(">HH", packed[:4])
    assert (size, reserved) == (vector.size, 0)
    halves = np.frombuffer(packed[4:], ">f2")
    assert halves.tolist() == vector.astype(np.float16).tolist()


@pytest.mark.parametrize(
    "vector",
    [
        [0.0, 0.0],
        [np.nan, 1.0],
        [np.inf, 1.0],
        [1.0, -np.inf],
        [65_504.0, 1.0],
        [-1e30, 1.0],
        # Too small for a half: it would have no direction there.
        [1e-9, -1e-9],
        [LEAST_HALF / 2, 0.0],
        [],
    ],
    ids=str,
)
def test_what_half_precision_cannot_hold_is_refused(vector: list[float]) -> None:
    array = np.array(vector, np.float32)

    assert not has_direction(array)
    with pytest.raises(StoreError, match="numbers that half precision can hold"):
        as_literal(array)


@pytest.mark.parametrize("number", [LEAST_HALF, 65_503.0, 0.0])
def test_what_half_precision_can_just_hold_is_taken(number: float) -> None:
    array = np.array([0.0, np.nextafter(np.float32(LEAST_HALF / 2), 1), -number])

    assert has_direction(array.astype(np.float32))


def test_more_dimensions_than_can_be_indexed_are_refused() -> None:
    assert as_literal(np.ones(MAX_DIMENSIONS, np.float32))
    with pytest.raises(StoreError, match="4000 dimensions, got 4001"):
        as_literal(np.ones(MAX_DIMENSIONS + 1, np.float32))


def test_no_number_of_a_vector_is_told() -> None:
    with pytest.raises(StoreError) as raised:
        as_literal(np.array([123456.0, 1.0], np.float32))

    assert "123456" not in str(raised.value)


def test_connections_that_were_there_before_learn_to_send_vectors() -> None:
    # Not a copy of psycopg's own, which would share what it knows.
    adapters = AdaptersMap()
    vector = Half.of(np.ones(2, np.float32))

    teach(adapters)

    dumper = Transformer.from_context(_Context(adapters)).get_dumper(
        vector, PyFormat.AUTO
    )
    assert dumper.dump(vector) == vector.packed


class _Context:
    """What an adapter looks at."""

    connection = None

    def __init__(self, adapters: AdaptersMap) -> None:
        self.adapters = adapters
