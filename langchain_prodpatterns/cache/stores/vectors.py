"""The vectors of one partition, in FAISS: derived from the table, never the truth."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from langchain_prodpatterns.cache.stores.base import Vector
from langchain_prodpatterns.cache.stores.loading import load_faiss

Matrix: TypeAlias = npt.NDArray[np.float32]
"""Vectors, one a row."""

Numbers: TypeAlias = npt.NDArray[np.int64]
"""Row ids, positions, or numbers of lists."""

HALF_ERROR = 5e-4
"""How far off a similarity is, at most: a half-precision number is off by 2**-11 of
itself, and the vectors are of unit length."""

FEW = 64
"""Vectors up to which a partition has no index of FAISS."""

_PROBES = 192
_SPARE = 16
_DEAD_SHARE = 0.25


class Partition(Protocol):
    """Inner-product search by half-precision copies. Not thread-safe."""

    @property
    def dimensions(self) -> int:
        """The length of the vectors."""
        ...

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left in it."""
        ...

    def __len__(self) -> int: ...

    def ids(self) -> set[int]:
        """Return the rows in it."""
        ...

    def add(self, ids: Numbers, matrix: Matrix) -> None:
        """Add the vectors of rows; each row is added once."""
        ...

    def search(self, vector: Vector, count: int) -> list[tuple[int, float]]:
        """Return row ids and about the cosines, the nearest first."""
        ...

    def remove(self, ids: Collection[int]) -> None:
        """Drop rows that are no longer in the table, or never were."""
        ...


class Few:
    """A handful of vectors as an array: an index of FAISS takes a kilobyte more.

    There are many such partitions: each state of a conversation is one.
    """

    __slots__ = ("_halves", "_ids")

    def __init__(self, dimensions: int) -> None:
        """Make an empty one."""
        self._ids = np.empty(0, np.int64)
        self._halves = np.empty((0, dimensions), np.float16)

    @property
    def dimensions(self) -> int:
        """The length of the vectors."""
        return int(self._halves.shape[1])

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left in it."""
        return not len(self)

    def __len__(self) -> int:
        return len(self._ids)

    def ids(self) -> set[int]:
        """Return the rows in it."""
        return set(self._ids.tolist())

    def add(self, ids: Numbers, matrix: Matrix) -> None:
        """Add the vectors of rows; each row is added once."""
        self._ids = np.concatenate([self._ids, ids])
        self._halves = np.concatenate([self._halves, matrix.astype(np.float16)])

    def search(self, vector: Vector, count: int) -> list[tuple[int, float]]:
        """Return row ids and about the cosines, the nearest first."""
        if vector.size != self.dimensions:
            return []
        scores = self._halves.astype(np.float32) @ vector
        best = np.argsort(-scores, kind="stable")[:count]
        return list(zip(self._ids[best].tolist(), scores[best].tolist(), strict=True))

    def remove(self, ids: Collection[int]) -> None:
        """Drop rows that are no longer in the table, or never were."""
        kept = ~np.isin(self._ids, list(ids))
        self._ids, self._halves = self._ids[kept], self._halves[kept]

    def into(self, other: "Flat") -> None:
        """Add all of them to one for more."""
        if len(self):
            other.add(self._ids, self._halves.astype(np.float32))


class Indexed(ABC):
    """Vectors in an index of FAISS.

    To remove is to remember: the vectors go once they are a quarter of all, or stand
    in the way.
    """

    def __init__(self, dimensions: int, index: Any) -> None:
        """Begin.

        Args:
            dimensions: The length of the vectors.
            index: The index, by row ids.
        """
        self.dimensions = dimensions
        """The length of the vectors."""
        self._index = index
        self._dead: set[int] = set()
        self._is_held = False

    def __len__(self) -> int:
        return max(0, int(self._index.ntotal) - len(self._dead))

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left in it; rows that it never had may be removed, too."""
        if not len(self):
            self._purge()
        return not self._index.ntotal

    @abstractmethod
    def ids(self) -> set[int]:
        """Return the rows in it."""

    def add(self, ids: Numbers, matrix: Matrix) -> None:
        """Add the vectors of rows; each row is added once."""
        with one_thread():
            self._index.add_with_ids(matrix, ids)

    def search(self, vector: Vector, count: int) -> list[tuple[int, float]]:
        """Return row ids and about the cosines, the nearest first."""
        if vector.size != self.dimensions:
            return []
        in_the_way = len(self._dead) if self._is_held else min(len(self._dead), _SPARE)
        living, found = self._living(vector, count + in_the_way)
        if len(living) < min(count, found) and self._purge():
            living, _ = self._living(vector, count)
        return living[:count]

    def _living(
        self, vector: Vector, count: int
    ) -> tuple[list[tuple[int, float]], int]:
        """Return those found that were not removed, and how many were found."""
        count = min(count, self._index.ntotal)
        if not count:
            return [], 0
        with one_thread():
            scores, ids = self._index.search(vector.reshape(1, -1), count)
        pairs = zip(ids[0].tolist(), scores[0].tolist(), strict=True)
        found = [pair for pair in pairs if pair[0] >= 0]
        if not self._dead:
            return found, len(found)
        return [pair for pair in found if pair[0] not in self._dead], len(found)

    def remove(self, ids: Collection[int]) -> None:
        """Drop rows that are no longer in the table, or never were."""
        self._dead.update(ids)
        if len(self._dead) > _SPARE + _DEAD_SHARE * self._index.ntotal:
            self._purge()

    def removed(self) -> set[int]:
        """Return the rows that were removed and not yet dropped."""
        return set(self._dead)

    def _purge(self) -> bool:
        """Drop the removed rows for good, which takes as long for one as for all.

        Returns:
            Whether there were any that may be dropped.
        """
        if not self._dead or self._is_held:
            return False
        self._index.remove_ids(np.fromiter(self._dead, np.int64))
        self._dead.clear()
        return True


class Flat(Indexed):
    """Looks at all vectors: finds the nearest for sure."""

    def __init__(self, dimensions: int) -> None:
        """Make an empty one."""
        load_faiss()
        import faiss

        half, inner = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        self._vectors = faiss.IndexScalarQuantizer(dimensions, half, inner)
        super().__init__(dimensions, faiss.IndexIDMap(self._vectors))

    def ids(self) -> set[int]:
        """Return the rows in it."""
        import faiss

        return set(faiss.vector_to_array(self._index.id_map).tolist()) - self._dead

    def reserve(self, count: int) -> None:
        """Take the memory of so many vectors at once, if there are none.

        To grow leaves holes that are too small for the next copy, up to a half more.
        """
        for held, width in (
            (self._vectors.codes, self._vectors.code_size),
            (self._index.id_map, 1),
        ):
            held.resize(count * width)
            held.resize(0)

    def sample(self, count: int) -> Matrix:
        """Return at most so many of the vectors, spread over all."""
        held = self._index.ntotal
        positions = np.linspace(0, held - 1, min(count, held)).astype(np.int64)
        matrix: Matrix = self._vectors.reconstruct_batch(positions)
        return matrix

    def hold(self) -> None:
        """Leave each vector at its position from now on: they are being moved."""
        self._purge()
        self._is_held = True

    def piece(self, start: int, count: int) -> Matrix:
        """Return the vectors from a position on, as far as there are any."""
        count = min(count, self._index.ntotal - start)
        matrix: Matrix = self._vectors.reconstruct_n(start, count)
        return matrix

    def halves(self, positions: Numbers) -> tuple[Numbers, npt.NDArray[np.uint8]]:
        """Return the ids and the half-precision bytes at some positions."""
        import faiss

        held, width = self._index.ntotal, self._vectors.code_size
        ids = faiss.rev_swig_ptr(self._index.id_map.data(), held)
        codes = faiss.rev_swig_ptr(self._vectors.codes.data(), held * width)
        # To index with an array is to copy: what is behind may be freed later.
        return ids[positions], codes.reshape(held, width)[positions]


class Divided(Indexed):
    """Looks at the vectors around the 192 centers that are nearest: may miss one."""

    def __init__(self, centers: Matrix) -> None:
        """Make an empty one.

        Args:
            centers: The vectors that the lists of others are around.
        """
        import faiss

        half, inner = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        count, dimensions = centers.shape
        self._centers = faiss.IndexFlatIP(dimensions)
        self._centers.add(centers)
        index = faiss.IndexIVFScalarQuantizer(
            self._centers, dimensions, count, half, inner
        )
        index.by_residual = False
        index.train(centers)
        index.nprobe = _PROBES
        super().__init__(dimensions, index)

    def ids(self) -> set[int]:
        """Return the rows in it."""
        import faiss

        lists = self._index.invlists
        sizes = ((number, lists.list_size(number)) for number in range(lists.nlist))
        held = (
            row
            for number, size in sizes
            if size
            for row in faiss.rev_swig_ptr(lists.get_ids(number), size).tolist()
        )
        return set(held) - self._dead

    def lists_of(self, matrix: Matrix) -> Numbers:
        """Return the number of the list that each vector is to be in."""
        with one_thread():
            _, lists = self._centers.search(matrix, 1)
        numbers: Numbers = lists[:, 0]
        return numbers

    def fill(self, number: int, ids: Numbers, halves: npt.NDArray[np.uint8]) -> None:
        """Fill an empty list at once, so that it takes no more memory than it needs."""
        import faiss

        if len(ids):
            self._index.invlists.add_entries(
                number, len(ids), faiss.swig_ptr(ids), faiss.swig_ptr(halves)
            )
            self._index.ntotal += len(ids)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute in this thread alone, and leave FAISS's setting as it was.

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
