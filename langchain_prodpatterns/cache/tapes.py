"""Recording a stream while it is read, and playing it again."""

import copy
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from langchain_core.load.serializable import Serializable
from langchain_core.messages import BaseMessageChunk, message_chunk_to_message
from pydantic import BaseModel

from langchain_prodpatterns.cache.lookups import Lookup
from langchain_prodpatterns.cache.values import Unstorable

_ATOMS = frozenset({type(None), bool, int, float, str})


class Tape:
    """What a chain has streamed, for the cache to store at the end.

    Of objects that grow, as a JSON parser streams them, only the last is kept, which is
    all of it: together they would be as long as the square of the answer.
    """

    def __init__(self, *, steps: bool = False) -> None:
        """Begin.

        Args:
            steps: Whether the chain streams the steps of its work, such as a graph's
                updates: they are no parts of its output, and not added up.
        """
        self._steps = steps
        self._chunks: list[Any] = []
        self._error: Exception | None = None

    def record(self, chunk: Any) -> None:
        """Take a copy of a chunk: the reader may change what it is given.

        A chunk that cannot be copied ends the recording, not the stream.
        """
        if self._error is not None:
            return
        try:
            self._take(_copied(chunk))
        except Exception as error:  # noqa: BLE001 - an object of the user's refuses in any way
            self._error = error
            self._chunks.clear()

    def _take(self, chunk: Any) -> None:
        if self._chunks and not self._steps and _replaces(chunk, self._chunks[-1]):
            self._chunks.pop()
        self._chunks.append(chunk)

    def value(self) -> dict[str, Any] | None:
        """Return what to store: the sum of the chunks, and they themselves.

        Returns:
            The output and the chunks, or of steps only these; `None` if nothing was
            streamed.

        Raises:
            Unstorable: When a chunk could not be copied, or the chunks not be added.
        """
        if self._error is not None:
            msg = f"a chunk cannot be copied ({type(self._error).__name__})"
            raise Unstorable(msg) from self._error
        if not self._chunks:
            return None
        if self._steps:
            return {"chunks": self._chunks}
        if _is_list_that_grows(self._chunks):
            return whole(self._chunks[-1])
        try:
            output = _sum(self._chunks)
        except Exception as error:
            msg = f"the chunks cannot be added ({type(error).__name__})"
            raise Unstorable(msg) from error
        # Of a single chunk, the sum is all there is to play.
        chunks = self._chunks if len(self._chunks) > 1 else None
        return {"output": output, "chunks": chunks}


def whole(output: Any) -> dict[str, Any]:
    """Return what to store of an output that came in one piece."""
    return {"output": output, "chunks": None}


def replay(found: Lookup, run_id: str) -> Iterator[Any]:
    """Yield an answer as it was streamed, or in one piece."""
    if found.value.get("chunks"):
        yield from found.serve(run_id, "chunks")
    else:
        yield found.serve(run_id)


def _copied(value: Any) -> Any:
    """Copy a value. Plain data is copied here: `deepcopy` takes ten times as long."""
    kind = type(value)
    if kind in _ATOMS:
        return value
    if kind is dict:
        return {key: _copied(inner) for key, inner in value.items()}
    if kind is list:
        return [_copied(item) for item in value]
    return copy.deepcopy(value)


def _replaces(chunk: Any, before: Any) -> bool:
    """Whether a chunk is all there is so far, and not a part to be added."""
    kind = type(chunk)
    if kind is dict:
        return type(before) is dict and before.keys() <= chunk.keys()
    # LangChain's own models are messages and documents: parts, or one of many.
    is_object = issubclass(kind, BaseModel) and not issubclass(kind, Serializable)
    return is_object and type(before) in {dict, kind}


def _is_list_that_grows(chunks: list[Any]) -> bool:
    """Whether each chunk is the list so far, as a JSON parser streams it.

    A parser of lists streams them item by item instead: those lists are added.
    """
    if any(type(chunk) is not list for chunk in chunks):
        return False
    first, last = chunks[0], chunks[-1]
    gets_longer = first in ([], [""]) or len(last) > len(first)
    return gets_longer and all(
        before != after and _grows(before, after) for before, after in pairwise(chunks)
    )


def _grows(before: Any, after: Any) -> bool:
    """Whether a value is the one before, with more at its end."""
    if type(before) is list and type(after) is list:
        end = len(before) - 1
        return end < 0 or (
            end < len(after)
            and before[:end] == after[:end]
            and _grows(before[end], after[end])
        )
    if type(before) is dict and type(after) is dict:
        return before.keys() <= after.keys()
    return str(after).startswith(str(before))


def _sum(chunks: list[Any]) -> Any:
    total = chunks[0]
    for chunk in chunks[1:]:
        total = total + chunk
    if isinstance(total, BaseMessageChunk):
        return message_chunk_to_message(total)
    return total
