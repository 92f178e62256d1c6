"""Handing vectors to a vector store that only takes texts."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from langchain_core.embeddings import Embeddings

from langchain_prodpatterns.arguments import check_count
from langchain_prodpatterns.cache.stores.base import Vector
from langchain_prodpatterns.errors import StoreError


class VectorHandover(Embeddings):
    """Embeddings for a vector store whose vectors are made elsewhere.

    LangChain's `VectorStore` has one way to add that all of them share: `add_texts`,
    which embeds the texts by the embeddings that the vector store was made with. Made
    with these, it is handed the vectors that the cache has already: nothing is
    embedded twice, and what it gets for a text is an id, not what a user wrote.

    Nothing else can be added to such a vector store: a text that is no id of a vector
    on its way is refused.
    """

    def __init__(self, dimensions: int | None = None) -> None:
        """Hold no vector yet.

        Args:
            dimensions: The length of the vectors. For vector stores that find it out by
                embedding a text of their own; without it such a text is refused.

        Raises:
            ConfigurationError: When it is not a whole number, at least 1.
        """
        check_count("dimensions", dimensions)
        self.dimensions = dimensions
        """The length of the vectors, where it was told."""
        self._held: dict[str, Vector] = {}

    @contextmanager
    def holding(self, vectors: Mapping[str, Vector]) -> Iterator[None]:
        """Hold vectors by their ids while a vector store is asked to add them.

        By the id, not in a context variable: some vector stores embed in threads of
        their own, or in several batches.

        Args:
            vectors: Id to vector; an id is of use once.
        """
        self._held.update(vectors)
        try:
            yield
        finally:
            for name in vectors:
                self._held.pop(name, None)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of ids that are on their way.

        Raises:
            StoreError: When a text is no such id.
        """
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of an id that is on its way.

        Raises:
            StoreError: When the text is no such id.
        """
        vector = self._held.get(text)
        if vector is not None:
            numbers: list[float] = vector.tolist()
            return numbers
        if self.dimensions is None:
            msg = (
                "a vector store made with VectorHandover() embedded a text of its own: "
                "if that is to find out the dimension, make it with "
                "VectorHandover(dimensions)"
            )
            raise StoreError(msg)
        return [1.0] + [0.0] * (self.dimensions - 1)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of ids that are on their way, without a thread."""
        return self.embed_documents(texts)

    async def aembed_query(self, text: str) -> list[float]:
        """Return the vector of an id that is on its way, without a thread."""
        return self.embed_query(text)
