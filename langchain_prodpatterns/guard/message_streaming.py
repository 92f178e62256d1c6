"""Guarding a message that is still being written."""

from collections.abc import Sequence
from functools import partial, reduce
from operator import add
from typing import Any, cast

from langchain_core.messages import AIMessageChunk

from langchain_prodpatterns.guard.block_streaming import (
    BlockStream,
    Content,
    add_up_blocks,
)
from langchain_prodpatterns.guard.carriers import Visit, length, rewrite_message
from langchain_prodpatterns.guard.policy import replacement
from langchain_prodpatterns.guard.scanning import Record, Scanner, Write
from langchain_prodpatterns.guard.streaming import TextStream


class MessageStream:
    """Guards the chunks of one message.

    Its text flows, and so does the prose of content blocks. Everything else (tool calls
    and their arguments, extra fields, metadata, usage) is held until the message is
    complete and comes on the last chunk, since a value in it can only be seen when all
    of it is there.
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
        self._begin = partial(TextStream, scanner, record, write)
        self._text = self._begin()
        self._visit = visit
        self._waiting = 0
        self._rest: list[AIMessageChunk] = []
        self._blocks: BlockStream | None = None
        self._ready: list[Any] = []

    @property
    def held(self) -> int:
        """How many characters came in and are not let go."""
        in_blocks = 0 if self._blocks is None else self._blocks.held
        return self._text.held + self._waiting + in_blocks

    def feed(self, chunk: AIMessageChunk) -> AIMessageChunk | None:
        """Take a chunk.

        Args:
            chunk: The next part of the message.

        Returns:
            What is decided, guarded, if anything.
        """
        first = not self._rest
        rest = chunk.model_copy(update={"content": ""})
        self._waiting += length(rest)
        self._rest.append(rest)
        content = chunk.content
        if self._blocks is not None:
            return self._go_on(self._blocks, content, chunk, first=False)
        if not isinstance(content, str) and (content or first):
            return self._turn_to_blocks(content, chunk, first=first)
        text = self._text.feed(content if isinstance(content, str) else "")
        # The first chunk opens the message for whoever listens, even without text.
        return AIMessageChunk(content=text, id=chunk.id) if text or first else None

    def _turn_to_blocks(
        self, content: Content, chunk: AIMessageChunk, *, first: bool
    ) -> AIMessageChunk | None:
        """Begin with blocks; a text before them is complete."""
        self._blocks = BlockStream(self._begin, self._visit)
        text = self._text.finish()
        if not text:
            return self._go_on(self._blocks, content, chunk, first=first)
        # What the blocks let go comes with the next chunk: this one ends the text.
        self._ready = self._blocks.feed(content)
        return AIMessageChunk(content=text, id=chunk.id)

    def _go_on(
        self,
        blocks: BlockStream,
        content: Content,
        chunk: AIMessageChunk,
        *,
        first: bool,
    ) -> AIMessageChunk | None:
        ready = add_up_blocks(self._ready, blocks.feed(content))
        self._ready = []
        opens = first and blocks.opens
        return AIMessageChunk(content=ready, id=chunk.id) if ready or opens else None

    def finish(self) -> AIMessageChunk | None:
        """Say that the message is complete.

        Returns:
            All that was held, guarded; nothing where no chunk came.
        """
        if not self._rest:
            return None
        content: Content = self._text.finish()
        touched = self._text.touched
        if self._blocks is not None:
            content = add_up_blocks(self._ready, self._blocks.finish())
            touched = touched or self._blocks.touched
        last = rewrite_message(add_up(self._rest), self._visit, touched=touched)
        return cast("AIMessageChunk", last.model_copy(update={"content": content}))


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
