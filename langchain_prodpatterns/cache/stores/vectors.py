"""The vectors of the partitions, in FAISS: derived from the table, never the truth."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from langchain_prodpatterns.cache.stores.base import Vector


class VectorIndex:
    """Exact inner-product search, one flat index a partition. Not thread-safe."""

    def __init__(self) -> None:
        self._partitions: dict[str, Any] = {}
        self.last_id = 0
        """The greatest row id that was ever added."""
        self.size = 0
        """The vectors in it, those of removed rows included."""

    def add(self, partition: str, ids: list[int], vectors: list[Vector]) -> None:
        """Add the vectors of rows; each row is added once."""
        import faiss

        matrix = np.vstack(vectors)
        index = self._partitions.get(partition)
        if index is None:
            index = faiss.IndexIDMap2(faiss.IndexFlatIP(matrix.shape[1]))
            self._partitions[partition] = index
        index.add_with_ids(matrix, np.array(ids, np.int64))
        self.last_id = max(self.last_id, *ids)
        self.size += len(ids)

    def search(
        self, partition: str, vector: Vector, limit: int
    ) -> list[tuple[int, float]]:
        """Return row ids and cosines, the nearest first."""
        index = self._partitions.get(partition)
        if index is None or index.d != vector.size:
            return []
        query, count = vector.reshape(1, -1), min(limit, index.ntotal)
        with _one_thread():
            scores, ids = index.search(query, count)
        pairs = zip(ids[0].tolist(), scores[0].tolist(), strict=True)
        return [(row, min(score, 1.0)) for row, score in pairs if row >= 0]

    def ids(self, partition: str) -> set[int]:
        """Return the row ids of a partition, those of removed rows included."""
        import faiss

        index = self._partitions.get(partition)
        return (
            set()
            if index is None
            else set(faiss.vector_to_array(index.id_map).tolist())
        )

    def remove(self, partition: str, ids: Iterable[int]) -> None:
        """Drop rows that are no longer in the table."""
        index = self._partitions.get(partition)
        if index is not None:
            self.size -= index.remove_ids(np.fromiter(ids, np.int64))
            if index.ntotal == 0:
                del self._partitions[partition]

    def clear(self) -> None:
        """Drop everything; rows that are added later have greater ids."""
        self._partitions.clear()
        self.size = 0


@contextmanager
def _one_thread() -> Iterator[None]:
    """Search in this thread alone, and leave FAISS's setting as it was.

    For one query, handing the work to OpenMP's threads and back takes longer than the
    work, on a busy machine many times as long. The setting is the calling thread's own.
    """
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
