"""`CompressToolOutputMiddleware`: of what a tool found, what answers the question."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain.agents.middleware.types import (
    AgentState,
    ContextT,
    ResponseT,
    ToolCallRequest,
)
from langchain_core.documents import Document
from langchain_core.messages import ToolMessage
from langgraph.types import Command

from langchain_prodpatterns.arguments import check_count
from langchain_prodpatterns.compression import ContextCompressor, format_citations
from langchain_prodpatterns.compression.citations import SPANS_KEY
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.middleware.naming import NamedMiddleware, read_names
from langchain_prodpatterns.middleware.results import messages_of, with_messages
from langchain_prodpatterns.middleware.turns import last_turn

logger = logging.getLogger(__name__)

RECORD_KEY = "prodpatterns.compression"
"""In `response_metadata`: where the quotes stood in the output, or what failed."""
NOTHING = "Nothing in the result of this tool answers the question."
"""What stands in the place of an output of which nothing is worth quoting."""

_BLOCK = "prodpatterns.block"


@dataclass(frozen=True, slots=True)
class _Output:
    """The texts in a tool's output."""

    message: ToolMessage
    """The output."""
    documents: Sequence[Document]
    """The texts."""
    retrieved: bool
    """Whether they are what a retriever put into the artifact."""


class CompressToolOutputMiddleware(
    NamedMiddleware[AgentState[ResponseT], ContextT, ResponseT]
):
    """Quotes from what a tool found the sentences that answer the user's question.

    ```python
    compressor = ContextCompressor(embeddings, token_budget=400)
    middleware = [CompressToolOutputMiddleware(compressor, tools=["search"])]
    agent = create_agent(model, tools, middleware=middleware)
    ```

    The question is what the user said last. Compressed are the results of the named
    tools: a text, a list of text blocks (blocks of other kinds stay as they are), or
    the documents that a retriever's tool leaves in the artifact, which the model then
    sees as `format_citations` shows them. What is quoted is verbatim.

    `response_metadata["prodpatterns.compression"]` says where it stood: for a text and
    for blocks `spans`, a list of `{"block", "spans"}` with `[start, end]` of each quote
    in characters of the block (a text is block 0). Documents stay in the artifact, with
    the offsets in their own metadata.

    It is never an error: where the compressor fails the output goes on whole, with the
    type of the error under `failed` and a warning in the log. Errors of tools, short
    outputs, those of other tools, and turns without a text are left alone.
    """

    def __init__(
        self,
        compressor: ContextCompressor,
        *,
        tools: Sequence[str],
        min_characters: int = 1_000,
        name: str | None = None,
    ) -> None:
        """Set up the middleware.

        Args:
            compressor: What compresses; its budget holds for one output.
            tools: The names of the tools whose results are compressed.
            min_characters: Outputs that are shorter are left alone.
            name: Its name in graphs and traces; two in one agent need two
                names. By default that of the class.

        Raises:
            ConfigurationError: When an argument cannot work.
        """
        super().__init__(name)
        if not isinstance(compressor, ContextCompressor):
            kind = type(compressor).__name__
            msg = f"compressor must be a ContextCompressor, got {kind}"
            raise ConfigurationError(msg)
        check_count("min_characters", min_characters, optional=False)
        self.compressor = compressor
        self.tool_names: frozenset[str] = read_names("tools", tools)
        if not self.tool_names:
            msg = "tools is empty: name the tools whose results are compressed"
            raise ConfigurationError(msg)
        self.min_characters = min_characters

    def wrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]],
    ) -> ToolMessage | Command[Any]:
        """Compress what the tool gives."""
        result = handler(request)
        question = self._question(request)
        if not question:
            return result
        messages = messages_of(result)
        made = [self._compressed(message, question) for message in messages]
        return with_messages(result, made)

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        """Compress what the tool gives, natively async."""
        result = await handler(request)
        question = self._question(request)
        if not question:
            return result
        messages = messages_of(result)
        made = [await self._acompressed(message, question) for message in messages]
        return with_messages(result, made)

    def _question(self, request: ToolCallRequest) -> str:
        """Return what to compress by; nothing where this tool is left alone."""
        if request.tool_call["name"] not in self.tool_names:
            return ""
        return last_turn(request.state["messages"]).text

    def _compressed(self, message: Any, question: str) -> Any:
        output = self._output(message)
        if output is None:
            return message
        try:
            quotes = self.compressor.invoke(_asked(question, output))
        except Exception as error:  # noqa: BLE001 - the output goes on, whatever it is
            return _whole(output, error)
        return _quoting(output, quotes)

    async def _acompressed(self, message: Any, question: str) -> Any:
        output = self._output(message)
        if output is None:
            return message
        try:
            quotes = await self.compressor.ainvoke(_asked(question, output))
        except Exception as error:  # noqa: BLE001 - the output goes on, whatever it is
            return _whole(output, error)
        return _quoting(output, quotes)

    def _output(self, message: Any) -> _Output | None:
        """Read the texts of an output; `None` where it is left alone."""
        if not isinstance(message, ToolMessage) or message.status == "error":
            return None
        if RECORD_KEY in message.response_metadata:
            # A command may send what earlier tools gave to another node.
            return None
        output = _read(message)
        size = sum(len(each.page_content) for each in output.documents)
        return None if size < self.min_characters else output


def _read(message: ToolMessage) -> _Output:
    found = message.artifact
    if isinstance(found, list) and found:
        documents = [each for each in found if isinstance(each, Document)]
        if len(documents) == len(found):
            return _Output(message, documents, retrieved=True)
    blocks = message.content
    texts = enumerate([blocks] if isinstance(blocks, str) else map(_text, blocks))
    documents = [Document(text, metadata={_BLOCK: at}) for at, text in texts if text]
    return _Output(message, documents, retrieved=False)


def _text(block: str | Mapping[str, Any]) -> str:
    if isinstance(block, str):
        return block
    text = block.get("text") if block.get("type") == "text" else None
    return text if isinstance(text, str) else ""


def _asked(question: str, output: _Output) -> Any:
    return {"question": question, "documents": list(output.documents)}


def _whole(output: _Output, error: Exception) -> ToolMessage:
    # The message of an error may quote the output: only its type is safe.
    kind = type(error).__name__
    logger.warning("compression: a tool's output goes on whole (%s)", kind)
    return _with(output.message, {"failed": kind})


def _quoting(output: _Output, quotes: Sequence[Document]) -> ToolMessage:
    """Put quotes in the place of an output."""
    if output.retrieved:
        content: Any = format_citations(quotes) if quotes else NOTHING
        record = {"documents": len(quotes), "of": len(output.documents)}
        return _with(output.message, record, content=content, artifact=list(quotes))
    by_block = {quote.metadata[_BLOCK]: quote for quote in quotes}
    spans = [{"block": at, "spans": _spans(by_block[at])} for at in sorted(by_block)]
    blocks = output.message.content
    if not by_block:
        content = NOTHING
    elif isinstance(blocks, str):
        content = by_block[0].page_content
    else:
        content = [*_blocks(blocks, by_block)]
    return _with(output.message, {"spans": spans}, content=content)


def _spans(quote: Document) -> list[list[int]]:
    """Return where a quote stood; one that was not compressed is quoted whole."""
    whole = [[0, len(quote.page_content)]]
    return [list(span) for span in quote.metadata.get(SPANS_KEY, whole)]


def _blocks(blocks: Sequence[Any], quotes: Mapping[int, Document]) -> list[Any]:
    """Put quotes in the place of text blocks; those without a quote are left out."""
    kept: list[Any] = []
    for at, block in enumerate(blocks):
        if at in quotes:
            text = quotes[at].page_content
            kept.append(text if isinstance(block, str) else {**block, "text": text})
        elif not _text(block):
            kept.append(block)
    return kept


def _with(
    message: ToolMessage, record: Mapping[str, Any], **changes: Any
) -> ToolMessage:
    metadata = {**message.response_metadata, RECORD_KEY: dict(record)}
    return message.model_copy(update={**changes, "response_metadata": metadata})
