"""What is asked of a vector store and a key-value store, and who asks it.

What to ask is written once, as generators that yield it; a sync and an async driver
ask. So the two cannot differ but in the waiting.
"""

import re
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import (
    AbstractContextManager,
    closing,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, TypeVar, cast

from langchain_core.documents import Document
from langchain_core.stores import BaseStore
from langchain_core.vectorstores import VectorStore

from langchain_prodpatterns.cache.stores.base import Vector
from langchain_prodpatterns.cache.stores.vector_store.filters import (
    PARTITION,
    PartitionFilter,
)
from langchain_prodpatterns.cache.stores.vector_store.handover import VectorHandover
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.forking import guard

T = TypeVar("T")

SLOT = "entry"
"""The metadata field that names the entry of a vector."""

_SLOT = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Read:
    """Read what is kept under some names; `None` where there is nothing."""

    names: Sequence[str]
    """The names."""


@dataclass(frozen=True, slots=True)
class Write:
    """Keep something under some names."""

    pairs: Sequence[tuple[str, bytes]]
    """The names, and what to keep."""


@dataclass(frozen=True, slots=True)
class Forget:
    """Keep nothing under some names any more."""

    names: Sequence[str]
    """The names."""


@dataclass(frozen=True, slots=True)
class Enumerate:
    """Tell what there is of a kind: the last part of each name."""

    kind: str
    """The first part of the names."""


@dataclass(frozen=True, slots=True)
class Search:
    """Search the vector store in a partition, where it can tell them apart."""

    partition: str
    """The partition, as the vector store has it."""
    vector: Vector
    """What to be near to."""
    count: int
    """How many to find at most."""


@dataclass(frozen=True, slots=True)
class Point:
    """A vector in the vector store."""

    id: str
    """Names it there."""
    slot: str
    """Names its entry."""
    partition: str
    """The partition, as the vector store has it."""
    vector: Vector
    """The vector."""
    text: str
    """What it is of."""


@dataclass(frozen=True, slots=True)
class Insert:
    """Add points to the vector store."""

    points: Sequence[Point]
    """The points."""


@dataclass(frozen=True, slots=True)
class Erase:
    """Remove points from the vector store, those of them that are there."""

    ids: Sequence[str]
    """The ids of the points."""


Question: TypeAlias = Read | Write | Forget | Enumerate | Search | Insert | Erase
Questions: TypeAlias = Generator[Question, Any, T]
"""Something to do, that yields what is to be asked for it."""


class Backends:
    """A vector store and a key-value store, asked by blocking or by awaiting."""

    def __init__(
        self,
        vectorstore: VectorStore,
        kv: BaseStore[str, bytes],
        *,
        handover: VectorHandover | None,
        partition_filter: PartitionFilter | None,
        prefix: str,
        concurrent: bool,
    ) -> None:
        """Ask two stores.

        Args:
            vectorstore: The vector store.
            kv: The key-value store.
            handover: What it embeds by, if it is handed vectors.
            partition_filter: How it is told to look in one partition only.
            prefix: What every name in the key-value store begins with.
            concurrent: Whether both can be asked by several threads at once.
        """
        self._vectorstore = vectorstore
        self._kv = kv
        self._handover = handover
        self._filter: PartitionFilter = partition_filter or (lambda _: {})
        self._prefix = prefix
        self._closed = False
        self._lock = threading.RLock()
        guard(self, "_lock")
        self._concurrent = concurrent
        self._has_inserted = False

    def run(self, questions: Questions[T]) -> T:
        """Ask what is to be asked, blocking this thread.

        Raises:
            StoreError: When one of the two fails, or nothing may be asked any more.
        """
        go_on: Callable[[], Question] = partial(next, questions)
        # An interrupt ends them now, not when the last reference to them goes.
        with closing(questions):
            while True:
                try:
                    question = go_on()
                except StopIteration as end:
                    return cast("T", end.value)
                try:
                    with self._errors(question), self._turn(question):
                        answer = self._ask(question)
                except StoreError as error:
                    go_on = partial(questions.throw, error)
                else:
                    go_on = partial(questions.send, answer)

    async def arun(self, questions: Questions[T]) -> T:
        """Ask what is to be asked by the async methods of both.

        Raises:
            StoreError: When one of the two fails, or nothing may be asked any more.
        """
        go_on: Callable[[], Question] = partial(next, questions)
        # As in `run`: so does a cancellation.
        with closing(questions):
            while True:
                try:
                    question = go_on()
                except StopIteration as end:
                    return cast("T", end.value)
                try:
                    with self._errors(question):
                        answer = await self._aask(question)
                except StoreError as error:
                    go_on = partial(questions.throw, error)
                else:
                    go_on = partial(questions.send, answer)

    def close(self) -> None:
        """Have nothing asked any more. Both stores are their owner's to close."""
        self._closed = True

    def check_open(self) -> None:
        """Refuse to go on after `close`.

        Raises:
            StoreError: When it is closed.
        """
        if self._closed:
            msg = "the cache's store is closed: open another"
            raise StoreError(msg)

    def _turn(self, question: Question) -> AbstractContextManager[Any]:
        # Many vector stores make their collection when they are given the first
        # vectors, and fail where two threads do so at once.
        is_first = isinstance(question, Insert) and not self._has_inserted
        return nullcontext() if self._concurrent and not is_first else self._lock

    @contextmanager
    def _errors(self, question: Question) -> Iterator[None]:
        """Tell of any error in this package's own: it names a type, never a value."""
        self.check_open()
        try:
            yield
        except StoreError:
            raise
        except Exception as error:
            asked: object = self._kv
            if isinstance(question, Search | Insert | Erase):
                asked = self._vectorstore
            verb = type(question).__name__.lower()
            msg = f"{type(asked).__name__} failed to {verb} ({type(error).__name__})"
            raise StoreError(msg) from error

    def _ask(self, question: Question) -> Any:
        match question:
            case Read(names):
                return self._kv.mget(self._full(names)) if names else []
            case Write(pairs):
                return self._kv.mset(self._full_pairs(pairs)) if pairs else None
            case Forget(names):
                return self._kv.mdelete(self._full(names)) if names else None
            case Enumerate(kind):
                folder = self._folder(kind)
                return self._last_parts(
                    folder, list(self._kv.yield_keys(prefix=folder))
                )
            case Search(partition, vector, count):
                return self._vectorstore.similarity_search_by_vector(
                    as_numbers(vector), k=count, **self._filter(partition)
                )
            case Insert(points):
                with self._holding(points):
                    self._vectorstore.add_texts(**self._texts(points))
                self._has_inserted = True
            case Erase(ids):
                self._erase(list(ids))
        return None

    async def _aask(self, question: Question) -> Any:
        match question:
            case Read(names):
                return await self._kv.amget(self._full(names)) if names else []
            case Write(pairs):
                return await self._kv.amset(self._full_pairs(pairs)) if pairs else None
            case Forget(names):
                return await self._kv.amdelete(self._full(names)) if names else None
            case Enumerate(kind):
                folder = self._folder(kind)
                names = [name async for name in self._kv.ayield_keys(prefix=folder)]
                return self._last_parts(folder, names)
            case Search(partition, vector, count):
                return await self._vectorstore.asimilarity_search_by_vector(
                    as_numbers(vector), k=count, **self._filter(partition)
                )
            case Insert(points):
                with self._holding(points):
                    await self._vectorstore.aadd_texts(**self._texts(points))
            case Erase(ids):
                await self._aerase(list(ids))
        return None

    def _full(self, names: Sequence[str]) -> list[str]:
        return [f"{self._prefix}/{name}" for name in names]

    def _full_pairs(
        self, pairs: Sequence[tuple[str, bytes]]
    ) -> list[tuple[str, bytes]]:
        return [(f"{self._prefix}/{name}", raw) for name, raw in pairs]

    def _folder(self, kind: str) -> str:
        # With a slash at its end: to some a prefix is a text, to others a folder.
        return f"{self._prefix}/{kind}/"

    def _last_parts(self, folder: str, names: Sequence[str]) -> list[str]:
        # `LocalFileStore` writes names as the system writes paths.
        plain = (name.replace("\\", "/") for name in names)
        return [name.removeprefix(folder) for name in plain if name.startswith(folder)]

    def _holding(self, points: Sequence[Point]) -> AbstractContextManager[None]:
        if self._handover is None:
            return nullcontext()
        return self._handover.holding({point.id: point.vector for point in points})

    def _texts(self, points: Sequence[Point]) -> dict[str, Any]:
        by_id = self._handover is not None
        return {
            # What a user wrote only goes where it has to be embedded again.
            "texts": [point.id if by_id else point.text for point in points],
            "metadatas": [
                {PARTITION: point.partition, SLOT: point.slot} for point in points
            ],
            "ids": [point.id for point in points],
        }

    def _erase(self, ids: list[str]) -> None:
        # Without that method, to remove what is not there has to be no error.
        with suppress(NotImplementedError):
            ids = _present(self._vectorstore.get_by_ids(ids))
        if ids and self._vectorstore.delete(ids) is False:
            raise StoreError(self._not_erased())

    async def _aerase(self, ids: list[str]) -> None:
        # As above.
        with suppress(NotImplementedError):
            ids = _present(await self._vectorstore.aget_by_ids(ids))
        if ids and await self._vectorstore.adelete(ids) is False:
            raise StoreError(self._not_erased())

    def _not_erased(self) -> str:
        return f"{type(self._vectorstore).__name__} did not remove vectors"


def _present(documents: Sequence[Document]) -> list[str]:
    return [document.id for document in documents if document.id is not None]


def as_numbers(vector: Vector) -> list[float]:
    """Return a vector as LangChain has it."""
    numbers: list[float] = vector.tolist()
    return numbers


def slot_of(document: Document, partition: str) -> str | None:
    """Return the name of the entry that was found, if it is of a partition.

    Args:
        document: What the vector store found.
        partition: The partition, as the vector store has it.
    """
    metadata: Mapping[str, Any] = document.metadata
    slot = metadata.get(SLOT)
    if metadata.get(PARTITION) != partition or not isinstance(slot, str):
        return None
    # It becomes a part of a name, and may have been written by anybody.
    return slot if _SLOT.fullmatch(slot) else None
