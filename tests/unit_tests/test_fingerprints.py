import pytest
from langchain_core.embeddings import Embeddings
from langchain_openai import AzureOpenAIEmbeddings, OpenAIEmbeddings
from pydantic import SecretStr

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.fingerprints import (
    Fingerprint,
    check_embeddings,
    fingerprint_of,
    length_of,
)
from langchain_prodpatterns.testing import LexicalEmbeddings
from tests.unit_tests.cache.conftest import CountingEmbeddings


class Cached(Embeddings):
    """Embeddings that only cache others, as LangChain has them."""

    def __init__(self, inner: Embeddings) -> None:
        self.underlying_embeddings = inner

    def embed_query(self, text: str) -> list[float]:
        return self.underlying_embeddings.embed_query(text)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self.underlying_embeddings.embed_documents(texts)


def test_a_fingerprint_names_class_and_model_without_a_call() -> None:
    embeddings = CountingEmbeddings(model="mini")

    assert fingerprint_of(embeddings).name == "CountingEmbeddings(mini)"
    assert fingerprint_of(LexicalEmbeddings()).name == "LexicalEmbeddings()"
    assert embeddings.texts == []


def test_a_deployment_that_was_asked_for_is_named() -> None:
    def azure(deployment: str) -> AzureOpenAIEmbeddings:
        return AzureOpenAIEmbeddings(
            deployment=deployment,
            azure_endpoint="https://example.invalid",
            openai_api_key=SecretStr("k"),
            openai_api_version="1",
        )

    expected = "AzureOpenAIEmbeddings(text-embedding-ada-002, deployment small)"
    assert fingerprint_of(azure("small")).name == expected
    assert fingerprint_of(azure("large")) != fingerprint_of(azure("small"))


def test_a_deployment_that_is_only_a_default_is_not() -> None:
    embeddings = OpenAIEmbeddings(
        model="text-embedding-3-small", openai_api_key=SecretStr("k")
    )
    assert embeddings.deployment == "text-embedding-ada-002"
    assert fingerprint_of(embeddings).name == "OpenAIEmbeddings(text-embedding-3-small)"


def test_embeddings_that_cache_are_seen_through() -> None:
    inner = CountingEmbeddings()

    assert fingerprint_of(Cached(inner)) == fingerprint_of(inner)


def test_a_length_is_known_beforehand_where_it_is_declared() -> None:
    assert length_of(Cached(LexicalEmbeddings(dimensions=64))) == 64
    key = SecretStr("k")
    assert length_of(OpenAIEmbeddings(openai_api_key=key)) is None
    assert length_of(OpenAIEmbeddings(openai_api_key=key, dimensions=8)) == 8


def test_a_fingerprint_says_its_dimension() -> None:
    assert str(Fingerprint("m", 3)) == "m, dimension 3"
    assert str(Fingerprint("m")) == "m, dimension unknown"


def test_vectors_stand_beside_those_of_their_own_model_and_length() -> None:
    stored = Fingerprint("model", 3)

    assert stored.admits(stored)
    assert stored.admits(Fingerprint("model"))
    assert not stored.admits(Fingerprint("model", 4))
    assert not stored.admits(Fingerprint("another", 3))


@pytest.mark.parametrize(
    ("given", "got"),
    [
        ("openai", "got str$"),
        (None, "got NoneType$"),
        (LexicalEmbeddings, r"got a class, give LexicalEmbeddings\(\.\.\.\)$"),
    ],
)
def test_what_are_no_embeddings_is_refused(given: object, got: str) -> None:
    with pytest.raises(ConfigurationError, match=got):
        check_embeddings(given)
    check_embeddings(LexicalEmbeddings())
