"""Records: sealed under a name, and read whole or not at all."""

import json
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.cache.stores import Entry
from langchain_prodpatterns.cache.stores.vector_store.records import (
    SCHEMA,
    DamagedRecord,
    NewerRecord,
    entry_body,
    kept_in,
    seal,
    unseal,
    unseal_note,
)

TEXTS = st.text(st.characters(exclude_categories=()), max_size=20)
BODIES = st.dictionaries(
    TEXTS, st.recursive(st.none() | st.integers() | TEXTS, st.lists, max_leaves=5)
)
ENTRY = Entry("k", "p", "e", "text \ud800", '"v"', "n", metadata={"a": 1}, ttl=2.5)


@given(BODIES)
def test_what_is_sealed_is_read(body: dict[str, object]) -> None:
    assert unseal("a/b", seal("a/b", body)) == body


@given(BODIES, st.data())
def test_a_changed_byte_is_noticed(
    body: dict[str, object], data: st.DataObject
) -> None:
    raw = bytearray(seal("a", body))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    try:
        read = unseal("a", bytes(raw))
    except (DamagedRecord, NewerRecord):
        return
    # A blank, or one way to write a number instead of another, means nothing else.
    assert read == body


def test_under_another_name_it_is_damaged() -> None:
    with pytest.raises(DamagedRecord, match="wrong checksum"):
        unseal("b", seal("a", {}))


@given(st.binary(max_size=60))
def test_anything_else_is_damaged(raw: bytes) -> None:
    with pytest.raises(DamagedRecord):
        unseal("a", raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 100_000,
        b"{}",
        b"null",
        b'{"schema":"1","seal":"","body":{}}',
        b'{"schema":null,"seal":"","body":{}}',
        b'{"schema":1,"seal":[],"body":{}}',
    ],
)
def test_so_is_json_that_is_no_record(raw: bytes) -> None:
    with pytest.raises(DamagedRecord):
        unseal("a", raw)
    assert unseal_note("a", raw) is None


def test_a_body_has_to_be_an_object() -> None:
    with pytest.raises(DamagedRecord):
        unseal("a", seal("a", cast("Any", [])))


def test_a_newer_record_is_not_damaged() -> None:
    record = json.loads(seal("a", {})) | {"schema": SCHEMA + 1}
    raw = json.dumps(record).encode()

    with pytest.raises(NewerRecord):
        unseal("a", raw)
    assert unseal_note("a", raw) is None


def test_no_record_is_none() -> None:
    assert unseal_note("a", None) is None


def test_an_entry_is_kept_whole() -> None:
    vector = np.array([0.6, 0.8], np.float32)
    body = unseal("a", seal("a", entry_body(ENTRY, vector, "point", 7.0)))

    kept = kept_in(body, {"k": 3})

    assert kept.entry.text == "text \ud800"
    assert (kept.entry.created, kept.entry.hits, kept.entry.ttl) == (7.0, 3, 2.5)
    assert kept.entry.metadata == {"a": 1}
    assert kept.vector is not None
    assert kept.vector.tolist() == vector.tolist()
    assert kept.point == "point"
    assert not kept.is_past(9.499)
    assert kept.is_past(9.5)


@pytest.mark.parametrize("without", ["key", "vector", "saved", "size"])
def test_an_entry_that_lacks_a_part_is_damaged(without: str) -> None:
    body = entry_body(ENTRY, None, None, 7.0)
    del body[without]
    with pytest.raises(DamagedRecord, match="no entry"):
        kept_in(body, {})
