"""Recording a stream while it is read, and playing it again."""

import copy
from collections.abc import Iterator
from typing import Any

from langchain_core.messages import BaseMessageChunk, message_chunk_to_message

from langchain_prodpatterns.cache.lookups import Lookup
from langchain_prodpatterns.cache.values import Unstorable


class Tape:
    """What a chain has streamed, for the cache to store at the end."""

    def __init__(self) -> None:
        self._chunks: list[Any] = []
        self._error: Exception | None = None

    def record(self, chunk: Any) -> None:
        """Take a copy of a chunk: the reader may change what it is given.

        A chunk that cannot be copied ends the recording, not the stream.
        """
        if self._error is not None:
            return
        try:
            self._chunks.append(copy.deepcopy(chunk))
        except Exception as error:  # noqa: BLE001 - an object of the user's refuses in any way
            self._error = error
            self._chunks.clear()

    def value(self) -> dict[str, Any] | None:
        """Return what to store: the sum of the chunks, and they themselves.

        Returns:
            The value, or `None` if nothing was streamed.

        Raises:
            Unstorable: When a chunk could not be copied, or the chunks not be added.
        """
        if self._error is not None:
            msg = f"a chunk cannot be copied ({type(self._error).__name__})"
            raise Unstorable(msg) from self._error
        if not self._chunks:
            return None
        try:
            output = _sum(self._chunks)
        except Exception as error:
            msg = f"the chunks cannot be added ({type(error).__name__})"
            raise Unstorable(msg) from error
        # Of a single chunk, the sum is all there is to play.
        chunks = self._chunks if len(self._chunks) > 1 else None
        return {"output": output, "chunks": chunks}


def replay(found: Lookup, run_id: str) -> Iterator[Any]:
    """Yield an answer as it was streamed, or in one piece."""
    if found.value.get("chunks"):
        yield from found.serve(run_id, "chunks")
    else:
        yield found.serve(run_id)


def _sum(chunks: list[Any]) -> Any:
    total = chunks[0]
    for chunk in chunks[1:]:
        try:
            total = total + chunk
        except TypeError:
            # As in core: of what does not add up, the last one is all of it.
            total = chunk
    if isinstance(total, BaseMessageChunk):
        return message_chunk_to_message(total)
    return total
