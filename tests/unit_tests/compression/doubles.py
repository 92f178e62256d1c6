"""Embedders and documents for the tests of compression."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.stores import BaseStore

from langchain_prodpatterns.compression import CompressInput, Passage
from langchain_prodpatterns.testing import LexicalEmbeddings


class CountingEmbeddings(Embeddings):
    """Embeds by spelling and records what it was asked for, and how."""

    def __init__(self) -> None:
        self.embedder = LexicalEmbeddings(dimensions=256)
        self.queries: list[str] = []
        self.texts: list[str] = []
        self.sync_calls = 0
        self.threads: set[int] = set()

    def embed_query(self, text: str) -> list[float]:
        self.sync_calls += 1
        return self._query(text)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.sync_calls += 1
        return self._documents(texts)

    async def aembed_query(self, text: str) -> list[float]:
        self.threads.add(threading.get_ident())
        return self._query(text)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        self.threads.add(threading.get_ident())
        return self._documents(texts)

    def _query(self, text: str) -> list[float]:
        self.queries.append(text)
        return self.embedder.embed_query(text)

    def _documents(self, texts: list[str]) -> list[list[float]]:
        self.texts += texts
        return self.embedder.embed_documents(texts)


class BrokenEmbeddings(Embeddings):
    """Fails as told."""

    def __init__(self, error: BaseException | None = None, answer: Any = None) -> None:
        self.error = error
        self.answer = answer
        self.calls = 0

    def embed_query(self, text: str) -> list[float]:
        return [1.0, 0.0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.calls += 1
        if self.error is not None:
            raise self.error
        answer: list[list[float]] = self.answer
        return answer


class FileStore(BaseStore[str, bytes]):
    """One file a value, as LangChain's `LocalFileStore` keeps them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        paths = [self.folder / key for key in keys]
        return [path.read_bytes() if path.is_file() else None for path in paths]

    def mset(self, key_value_pairs: Sequence[tuple[str, bytes]]) -> None:
        for key, value in key_value_pairs:
            (self.folder / key).write_bytes(value)

    def mdelete(self, keys: Sequence[str]) -> None:
        for key in keys:
            (self.folder / key).unlink(missing_ok=True)

    def yield_keys(self, *, prefix: str | None = None) -> Iterator[str]:
        for path in sorted(self.folder.glob(f"{prefix or ''}*")):
            yield path.name


QUESTION = "Who scored the first goal of the first World Cup?"


def world_cup() -> list[Document]:
    return [
        Document(
            "Penguins live in the south. They eat fish and krill. They cannot fly.",
            metadata={"title": "Penguins", "page": 7},
            id="penguins",
        ),
        Document(
            "The tournament was held in Uruguay in July. Lucien Laurent scored the "
            "first goal of the World Cup. It snowed a little that afternoon.",
            metadata={"title": "1930 tournament", "source": "cup.md"},
            id="cup",
        ),
        Document(
            "Lucien Laurent was a French worker at a car factory. He took unpaid leave.",
            metadata={"title": "Lucien Laurent"},
            id="laurent",
        ),
    ]


def asked(
    documents: list[Document] | None = None, question: str = QUESTION
) -> CompressInput:
    return {
        "question": question,
        "documents": world_cup() if documents is None else documents,
    }


def passage(
    text: str, document: int = 0, title: str = "", section: str = ""
) -> Passage:
    return Passage(document, 0, len(text), text, title, section)
