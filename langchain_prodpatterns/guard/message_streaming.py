"""Guarding a message that is still being written."""

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Any

from langchain_core.messages import AIMessageChunk

from langchain_prodpatterns.guard.carriers import Visit, length, rewrite_message
from langchain_prodpatterns.guard.policy import replacement
from langchain_prodpatterns.guard.scanning import Record, Scanner, Write
from langchain_prodpatterns.guard.streaming import TextStream


class MessageStream:
    """Guards the chunks of one message.

    Its text flows. Everything else (tool calls and their arguments, extra fields,
    metadata, usage) is held until the message is complete and comes on the last chunk,
    since a value in it can only be seen when all of it is there. Content in blocks is
    held too, from the first block on.
    """

    def __init__(
        self,
        scanner: Scanner,
        record: Record,
        visit: Visit,
        write: Write = replacement,
    ) -> None:
        """Begin with an empty message.

        Args:
            scanner: Finds the values in the text.
            record: Where they are put down.
            visit: Guards the texts of what is held.
            write: What writes in the place of a value in the text.
        """
        self._text = TextStream(scanner, record, write)
        self._visit = visit
        self._waiting = 0
        self._rest: list[AIMessageChunk] = []
        self._blocks: list[AIMessageChunk] = []

    @property
    def held(self) -> int:
        """How many characters came in and are not let go."""
        return self._text.held + self._waiting

    def feed(self, chunk: AIMessageChunk) -> AIMessageChunk | None:
        """Take a chunk.

        Args:
            chunk: The next part of the message.

        Returns:
            The text that is decided, guarded, if any.
        """
        if self._blocks:
            self._wait(chunk, self._blocks)
            return None
        first = not self._rest
        if not isinstance(chunk.content, str) and (chunk.content or first):
            self._wait(chunk, self._blocks)
            text = self._text.finish()
            return AIMessageChunk(content=text, id=chunk.id) if text else None
        self._wait(chunk.model_copy(update={"content": ""}), self._rest)
        text = self._text.feed(chunk.content if isinstance(chunk.content, str) else "")
        # The first chunk opens the message for whoever listens, even without text.
        return AIMessageChunk(content=text, id=chunk.id) if text or first else None

    def _wait(self, chunk: AIMessageChunk, others: list[AIMessageChunk]) -> None:
        self._waiting += length(chunk)
        others.append(chunk)

    def finish(self) -> AIMessageChunk | None:
        """Say that the message is complete.

        Returns:
            All that was held, guarded; nothing where no chunk came.
        """
        if not self._rest and not self._blocks:
            return None
        whole: AIMessageChunk = add_up([*self._rest, *self._blocks])
        content = add_up(self._blocks).content if self._blocks else ""
        text = self._text.finish()
        last = whole.model_copy(update={"content": content})
        last = rewrite_message(last, self._visit, touched=self._text.touched)
        return last.model_copy(update={"content": text}) if text else last


def add_up(chunks: Sequence[Any]) -> Any:
    """Add the chunks of a stream up, messages in one go.

    One by one would read the arguments of a tool call again with each chunk.

    Args:
        chunks: At least one chunk, all of one kind.

    Returns:
        Their sum.
    """
    first, rest = chunks[0], list(chunks[1:])
    if isinstance(first, str):
        return "".join(chunks)
    if rest and all(isinstance(chunk, AIMessageChunk) for chunk in chunks):
        return first + rest
    return reduce(add, rest, first)
