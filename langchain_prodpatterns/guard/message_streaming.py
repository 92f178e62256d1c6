"""Guarding a message that is still being written."""

from langchain_core.messages import AIMessageChunk

from langchain_prodpatterns.guard.carriers import Visit, rewrite_message
from langchain_prodpatterns.guard.scanning import Record, Scanner
from langchain_prodpatterns.guard.streaming import TextStream


class MessageStream:
    """Guards the chunks of one message.

    Its text flows. Everything else (tool calls and their arguments, extra fields,
    metadata, usage) is held until the message is complete and comes on the last chunk,
    since a value in it can only be seen when all of it is there. Content in blocks is
    held too, from the first block on.
    """

    def __init__(self, scanner: Scanner, record: Record, visit: Visit) -> None:
        """Begin with an empty message.

        Args:
            scanner: Finds the values in the text.
            record: Where they are put down.
            visit: Guards the texts of what is held.
        """
        self._text = TextStream(scanner, record)
        self._visit = visit
        self._rest: list[AIMessageChunk] = []
        self._blocks: list[AIMessageChunk] = []

    def feed(self, chunk: AIMessageChunk) -> AIMessageChunk | None:
        """Take a chunk.

        Args:
            chunk: The next part of the message.

        Returns:
            The text that is decided, guarded, if any.
        """
        if self._blocks:
            self._blocks.append(chunk)
            return None
        first = not self._rest
        if not isinstance(chunk.content, str) and (chunk.content or first):
            self._blocks.append(chunk)
            text = self._text.finish()
            return AIMessageChunk(content=text, id=chunk.id) if text else None
        self._rest.append(chunk.model_copy(update={"content": ""}))
        text = self._text.feed(chunk.content if isinstance(chunk.content, str) else "")
        # The first chunk opens the message for whoever listens, even without text.
        return AIMessageChunk(content=text, id=chunk.id) if text or first else None

    def finish(self) -> AIMessageChunk | None:
        """Say that the message is complete.

        Returns:
            All that was held, guarded; nothing where no chunk came.
        """
        if not self._rest and not self._blocks:
            return None
        whole = _sum([*self._rest, *self._blocks])
        content = _sum(self._blocks).content if self._blocks else ""
        text = self._text.finish()
        last = whole.model_copy(update={"content": content})
        last = rewrite_message(last, self._visit, touched=self._text.touched)
        return last.model_copy(update={"content": text}) if text else last


def _sum(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    """Add chunks up in one go; one by one would read the arguments again each time."""
    return chunks[0] + chunks[1:] if len(chunks) > 1 else chunks[0]
