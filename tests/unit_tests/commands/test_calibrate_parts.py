"""Cutting rows in two, and embedding each text once."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.embeddings import Embeddings

from langchain_prodpatterns.commands.calibrate_parts import (
    Remembered,
    parted,
    promised,
)
from langchain_prodpatterns.errors import ConfigurationError, ProdPatternsError
from langchain_prodpatterns.fingerprints import Fingerprint
from tests.unit_tests.cache.conftest import CountingEmbeddings


@given(
    st.lists(st.integers(0, 20), min_size=2, max_size=60).filter(
        lambda groups: len(set(groups)) > 1
    ),
    st.floats(0.05, 0.95),
    st.integers(0, 5),
)
def test_every_row_is_in_one_part_and_groups_stay_together(
    groups: list[int], share: float, seed: int
) -> None:
    parts = parted(groups, share, seed)

    assert sorted((*parts.chosen_on, *parts.reported_on)) == list(range(len(groups)))
    assert parts.chosen_on
    assert parts.reported_on
    chosen = {groups[at] for at in parts.chosen_on}
    assert not chosen & {groups[at] for at in parts.reported_on}
    assert parted(groups, share, seed) == parts


def test_another_seed_is_another_lot() -> None:
    groups = list(range(100))

    assert len(parted(groups, 0.3, 0).reported_on) == 30
    assert parted(groups, 0.3, 0) != parted(groups, 0.3, 1)


@pytest.mark.parametrize("groups", [[], ["a"], ["a", "a"]])
def test_what_cannot_be_cut_is_an_error(groups: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="only one row"):
        parted(groups, 0.3, 0)


def test_each_text_is_embedded_once() -> None:
    inner = CountingEmbeddings(dimensions=16)
    remembered = Remembered(inner)
    assert remembered.fingerprint == Fingerprint("CountingEmbeddings(lexical)", None)

    first = remembered.embed_documents(["a", "b", "a"])
    again = remembered.embed_documents(["b"])
    query = remembered.embed_query("c")
    assert remembered.embed_query("c") == query

    assert inner.texts == ["a", "b", "c"]
    assert first == [*inner.embed_documents(["a"]), *again, first[0]]
    assert remembered.fingerprint.dimensions == 16


class Broken(Embeddings):
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[1.0]] * (len(texts) + 1)

    def embed_query(self, text: str) -> list[float]:
        raise LookupError(text)


def test_embeddings_that_fail_are_told_of_without_the_text() -> None:
    with pytest.raises(ProdPatternsError, match=r"failed .LookupError.") as caught:
        Remembered(Broken()).embed_query("secret")
    assert "secret" not in str(caught.value)
    with pytest.raises(ProdPatternsError, match="gave 2 vectors for 1 texts"):
        Remembered(Broken()).embed_documents(["a"])


@pytest.mark.parametrize(
    ("share", "written"), [(0.02, "2%"), (0.0004, "0.04%"), (0.9975, "99.75%")]
)
def test_what_was_asked_for_is_not_rounded(share: float, written: str) -> None:
    assert promised(share) == written


class Odd(Embeddings):
    def __init__(self, *batches: Any) -> None:
        self.batches = list(batches)

    def embed_documents(self, texts: list[str]) -> Any:
        return self.batches.pop(0)

    def embed_query(self, text: str) -> Any:
        return self.batches.pop(0)


@pytest.mark.parametrize(
    "last",
    [
        *([[math.nan, 1.0]], [[math.inf, 1.0]], [[1.0]], [[1.0, 2.0, 3.0]], [[]]),
        *([["a", "b"]], [None], [1.0], ["ab"]),
    ],
)
def test_what_cannot_be_compared_is_refused(last: Any) -> None:
    remembered = Remembered(Odd([[1.0, 0.0]], last, *last))
    remembered.embed_documents(["a"])

    with pytest.raises(ProdPatternsError, match="not finite, or not of one length"):
        remembered.embed_documents(["b"])
    with pytest.raises(ProdPatternsError, match="not finite, or not of one length"):
        remembered.embed_query("b")


def test_vectors_come_in_any_sequence() -> None:
    remembered = Remembered(Odd(np.eye(2), iter([(1.0, 0.0)])))

    remembered.embed_documents(["a", "b"])
    assert list(remembered.embed_documents(["c"])[0]) == [1.0, 0.0]
    with pytest.raises(ProdPatternsError, match=r"failed .TypeError."):
        Remembered(Odd(None)).embed_documents(["a"])
