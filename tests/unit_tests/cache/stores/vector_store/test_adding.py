"""Storing entries: what goes where, and what a failure leaves."""

import json
from typing import Any

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings

from langchain_prodpatterns.cache.stores import Selection
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.fingerprints import Fingerprint, fingerprint_of
from langchain_prodpatterns.testing import LexicalEmbeddings
from langchain_prodpatterns.testing.store_conformance.kit import (
    EAST,
    NORTH,
    answer,
    entry,
    exact_of,
    key_of,
    near,
)
from tests.unit_tests.cache.conftest import CountingEmbeddings
from tests.unit_tests.cache.stores.vector_store.conftest import (
    Notebook,
    Vectors,
    names,
    open_in_memory,
)


def test_the_vector_store_is_handed_vectors_and_no_texts() -> None:
    vectors = Vectors()
    store = open_in_memory(vectors)
    store.add(entry("my card is 4711"), EAST)

    (kept,) = vectors.store.values()
    assert kept["vector"] == EAST.tolist()
    assert set(kept["metadata"]) == {"partition", "entry"}
    assert "4711" not in json.dumps(kept)


def test_the_key_value_store_has_names_that_every_store_takes() -> None:
    kv = Notebook()
    store = open_in_memory(kv=kv)
    store.add(entry("../a b", key="../é\x00", exact="\ud800"), EAST)
    store.add_alias("../é", None, "../é\x00")
    store.reject("\ud800 no", "../é\x00")
    store.tally("../é", "cell", right=1)
    store.quarantine("../é\x00", "reason")

    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789/-")
    assert [name for name in kv.store if set(name) - allowed] == []


def test_a_vector_store_with_embeddings_of_its_own_embeds_again() -> None:
    embeddings = CountingEmbeddings()
    vectors = Vectors(embeddings)
    store = open_in_memory(vectors)
    store.bind(fingerprint_of(embeddings))
    vector = np.array(LexicalEmbeddings(dimensions=128).embed_query("a question"))

    store.add(entry("a question"), vector.astype(np.float32))

    assert near(store, vector.astype(np.float32)) == ["a question"]
    # The question as it is stored; none to search.
    assert embeddings.texts == ["a question"]
    assert vectors.texts == ["a question"]


def test_it_has_to_embed_by_the_embeddings_of_the_cache() -> None:
    store = open_in_memory(Vectors(CountingEmbeddings()))
    with pytest.raises(
        StoreError, match=r"CountingEmbeddings\(lexical\).*VectorHandover"
    ):
        store.bind(Fingerprint("OpenAIEmbeddings(large)"))


def test_what_has_no_text_is_not_given_to_be_embedded() -> None:
    embeddings = CountingEmbeddings()
    vectors = Vectors(embeddings)
    store = open_in_memory(vectors)
    store.add(entry("a", text=None), EAST)

    assert answer(store, "a") is None
    assert store.find(exact_of("a")) is not None
    assert vectors.store == {}


def test_an_entry_whose_vector_is_not_taken_is_not_there() -> None:
    vectors, kv = Vectors(), Notebook()
    store = open_in_memory(vectors, kv)
    vectors.failing = {"add"}

    with pytest.raises(StoreError, match=r"Vectors failed to insert"):
        store.add_many([(entry("a"), EAST), (entry("b"), None)])

    assert answer(store, "a") is None
    assert store.get(key_of("a")) is None
    assert store.counts().entries == 0


def test_the_error_is_that_of_the_vector_store_where_both_fail() -> None:
    vectors, kv = Vectors(), Notebook()
    store = open_in_memory(vectors, kv)
    vectors.failing, kv.failing = {"add"}, {"mdelete"}

    with pytest.raises(StoreError, match=r"Vectors failed to insert"):
        store.add(entry("a"), EAST)


def test_a_vector_in_the_way_is_in_no_way() -> None:
    """One that was left behind has another id: some stores refuse to add one twice."""
    vectors = Vectors()
    store = open_in_memory(vectors)
    vectors.failing = {"delete"}
    for _ in range(3):
        store.add(entry("a"), EAST)

    assert len(vectors.store) == 3
    assert near(store) == ["a"]


def test_what_replaces_an_entry_leaves_nothing_of_it() -> None:
    vectors, kv = Vectors(), Notebook()
    store = open_in_memory(vectors, kv)
    store.add(entry("old"), EAST)
    for name in ("yes", "and yes"):
        store.add_alias(exact_of(name), None, key_of("old"))
    store.reject(exact_of("no"), key_of("old"))

    store.add(entry("new", exact=exact_of("old")), NORTH)

    assert len(vectors.store) == 1
    kinds = ("entries", "keys", "aliases", "rejected", "verdicts", "graves")
    assert [len(list(names(kv, kind))) for kind in kinds] == [1, 1, 0, 0, 0, 0]


def test_an_own_answer_takes_the_place_of_an_alias() -> None:
    """The alias does not come back when the answer goes."""
    store = open_in_memory()
    store.add(entry("other"), EAST)
    store.add_alias(exact_of("q"), None, key_of("other"))
    store.add(entry("q"), EAST)
    assert store.counts().aliases == 0
    store.remove(Selection(key=key_of("q")))

    assert answer(store, "q") is None


def test_a_process_that_dies_while_it_replaces_leaves_a_note_of_the_old_vector() -> (
    None
):
    class Dying(Vectors):
        def delete(self, *args: Any, **kwargs: Any) -> Any:
            raise KeyboardInterrupt

    vectors, kv = Dying(), Notebook()
    store = open_in_memory(vectors, kv)
    store.add(entry("a"), EAST)
    with pytest.raises(KeyboardInterrupt):
        store.add(entry("a"), EAST)

    (grave,) = names(kv, "graves")
    assert grave.rpartition("/")[2] == next(iter(vectors.store))


def test_an_alias_that_moved_on_stays_with_its_new_entry() -> None:
    store = open_in_memory()
    for name in ("a", "b"):
        store.add(entry(name), EAST)
        store.add_alias(exact_of("q"), None, key_of(name))

    store.remove(Selection(key=key_of("a")))

    assert answer(store, "q") == "b"


def test_two_stores_on_one_kv_see_each_other() -> None:
    """As two processes do. A prefix of one's own keeps others out."""
    vectors, kv = Vectors(), Notebook()
    one, other = open_in_memory(vectors, kv), open_in_memory(vectors, kv)
    apart = open_in_memory(vectors, kv, prefix="apart")
    one.add(entry("a"), EAST)

    assert answer(other, "a") == "a"
    assert near(other) == ["a"]
    assert answer(apart, "a") is None
    assert near(apart) == []

    apart.add(entry("b"), EAST)
    apart.clear()
    assert near(one) == ["a"]


def test_each_entry_of_a_batch_is_embedded_once() -> None:
    class Once(Embeddings):
        calls = 0

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            self.calls += 1
            return [EAST.tolist() for _ in texts]

        def embed_query(self, text: str) -> list[float]:
            raise AssertionError

    embeddings = Once()
    store = open_in_memory(Vectors(embeddings))
    assert store.add_many((entry(f"{n}"), EAST) for n in range(20)) == 20
    assert embeddings.calls == 1
