"""LangChain's own suite for retrievers, unmodified."""

from typing import Any

from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_tests.integration_tests import RetrieversIntegrationTests

from langchain_prodpatterns.compression import CompressingRetriever
from langchain_prodpatterns.testing import LexicalEmbeddings

FACTS = (
    "The first goal of 1930 was scored by Lucien Laurent.",
    "The first final was won by the hosts.",
    "The second tournament was held in Italy.",
    "A goal counts when the ball is over the line.",
)


def _store() -> InMemoryVectorStore:
    store = InMemoryVectorStore(LexicalEmbeddings())
    store.add_documents([Document(fact) for fact in FACTS])
    return store


class _Standard(RetrieversIntegrationTests):
    @property
    def retriever_constructor(self) -> type[CompressingRetriever]:
        return CompressingRetriever

    @property
    def retriever_query_example(self) -> str:
        return "Who scored the first goal?"


class TestByWords(_Standard):
    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"retriever": _store().as_retriever()}


class TestWithEmbeddings(_Standard):
    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {
            "retriever": _store().as_retriever(),
            "embeddings": LexicalEmbeddings(),
            "token_budget": 200,
            "k": 2,
        }
