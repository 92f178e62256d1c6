"""Writing an entry as columns."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.cache.stores.base import Entry
from langchain_prodpatterns.cache.stores.sealing import (
    as_blob,
    as_text,
    checksum,
    sealed_columns,
    size_of,
)
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.usage import NO_USAGE, Usage

COLUMN = st.none() | st.integers() | st.floats() | st.text() | st.binary()


@pytest.mark.parametrize(
    "saved", [NO_USAGE, Usage(2, 3, usd=None), Usage(1, 2, 3, 0.5, 1.5, 4, 5, 6)]
)
def test_what_was_saved_is_written_without_defaults(saved: Usage) -> None:
    entry = Entry("k", "p", "x", "t", '"v"', "n", saved)

    written = json.loads(sealed_columns(entry, None, 5.0)[7])

    assert Usage(**written) == saved
    assert len(written) == sum(
        getattr(saved, n) != getattr(NO_USAGE, n) for n in Usage.__slots__
    )


def test_an_entry_lives_from_now_on() -> None:
    entry = Entry("k", "p", "x", None, '"v"', "n", ttl=2.5, metadata={"doc": [1]})

    *_, metadata, created, expires = sealed_columns(entry, None, 5.0)

    assert (json.loads(metadata), created, expires) == ({"doc": [1]}, 5.0, 7.5)


def test_metadata_that_is_no_json_is_refused() -> None:
    looped: dict[str, Any] = {}
    looped["self"] = looped
    for metadata in ({"secret": object()}, looped):
        entry = Entry("k", "p", "x", None, '"v"', "n", metadata=metadata)
        with pytest.raises(ConfigurationError, match="metadata must be JSON"):
            sealed_columns(entry, None, 5.0)


def test_a_vector_is_written_in_single_precision() -> None:
    entry, vector = Entry("k", "p", "x", "t", '"v"', "n"), np.eye(4)[::2, 1]

    blob = sealed_columns(entry, vector.astype(np.float64), 5.0)[5]

    assert blob == np.zeros(2, np.float32).tobytes()


def test_the_size_is_of_all_columns() -> None:
    entry = Entry("k", "pp", "xxx", "t", '"v"', "nn")
    without = size_of(sealed_columns(entry, None, 5.0))
    vector = np.ones(4, np.float32)

    # A column without a value counts as a number does.
    assert size_of(sealed_columns(entry, vector, 5.0)) == without + 16 - 8


@given(st.lists(COLUMN, max_size=5), st.lists(COLUMN, max_size=5))
def test_other_columns_have_another_checksum(one: list[Any], other: list[Any]) -> None:
    assert (checksum(one) == checksum(other)) == (repr(one) == repr(other))


def test_a_blob_is_told_from_a_text_and_from_its_parts() -> None:
    seals = {
        checksum(c) for c in ([b"ab", b"c"], [b"a", b"bc"], ["ab", b"c"], [b"abc"])
    }
    assert len(seals) == 4


@given(st.text())
def test_any_text_comes_back(text: str) -> None:
    assert as_text(as_blob(text)) == text
    assert as_text(as_blob("lone \ud800")) == "lone \ud800"
