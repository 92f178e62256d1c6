"""Spotlighting as a step of a chain: untrusted text gets marks that it cannot forge."""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeGuard, TypeVar, cast, get_args

from langchain_core.callbacks import (
    AsyncCallbackManagerForChainRun,
    CallbackManagerForChainRun,
)
from langchain_core.documents import Document
from langchain_core.messages import BaseMessage, FunctionMessage, ToolMessage
from langchain_core.prompt_values import ChatPromptValue, ChatPromptValueConcrete
from langchain_core.runnables import RunnableConfig
from pydantic import Field

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.fencing import fresh_nonce
from langchain_prodpatterns.guard.marking import (
    MARKINGS,
    Mode,
    instructions_for,
    marked,
)
from langchain_prodpatterns.guard.message_streaming import add_up
from langchain_prodpatterns.guard.streaming_guard import off_the_loop
from langchain_prodpatterns.runnable import (
    PatternRun,
    PatternRunnable,
    pattern_config,
)

Untrusted = (
    str | Document | BaseMessage | ChatPromptValue | list[Document] | list[BaseMessage]
)
"""What spotlighting takes."""

S = TypeVar("S", bound=Untrusted)

_NONCE = re.compile("[0-9a-f]{16,64}")
_END: Any = object()


class Spotlight(PatternRunnable[Untrusted, Untrusted]):
    """Marks what is not to be obeyed: documents, results of tools, texts.

    ```python
    spotlight = Spotlight()
    prompt = ChatPromptTemplate(
        [
            ("system", f"Answer from the context. {spotlight.instructions}"),
            ("human", "{context}"),
            ("human", "{question}"),
        ]
    )
    context = retriever | spotlight | format_documents
    chain = {"context": context, "question": RunnablePassthrough()} | prompt | llm
    ```

    Of documents the text is marked; of messages those that come from tools, every text
    in their content. All else in them stays as it is, other messages too, and what came
    in is never changed. A text that comes in chunks is marked as it comes. Mark once,
    on the way to the model: what is marked twice has marks within marks.

    No text can forge the marks: `delimit` replaces its own nonce in texts (in any case,
    and where up to two other characters stand between its digits), `datamark` takes its
    mark out of them, and `encode` leaves nothing as it was. Weaker models read `encode`
    badly; `datamark` costs a token or more a word.
    """

    pattern: ClassVar[str] = "guard"

    mode: Mode = "delimit"
    """How text is marked."""
    nonce: str = Field(default="", repr=False)
    """What the marks are made by; the instructions name it."""

    def __init__(
        self,
        mode: Mode = "delimit",
        *,
        nonce: str | None = None,
        name: str | None = None,
    ) -> None:
        """Set up spotlighting.

        Args:
            mode: `delimit` puts texts between delimiters with a nonce, `datamark` puts
                a mark at every word, `encode` writes them in Base64.
            nonce: 16 to 64 hexadecimal digits, lower case; by default a fresh one. Give
                it where several processes serve one prompt.
            name: The name of its runs in traces.

        Raises:
            ConfigurationError: When an argument cannot work.
        """
        if mode not in get_args(Mode):
            known = ", ".join(get_args(Mode))
            msg = f"Spotlight has no mode {mode!r}; known: {known}"
            raise ConfigurationError(msg)
        chosen = fresh_nonce() if nonce is None else nonce
        if not (isinstance(chosen, str) and _NONCE.fullmatch(chosen)):
            msg = "nonce must be 16 to 64 hexadecimal digits in lower case"
            raise ConfigurationError(msg)
        super().__init__(mode=mode, nonce=chosen, name=name)

    @property
    def instructions(self) -> str:
        """What to say of the marks in the system prompt; it has no braces."""
        return instructions_for(self.mode, self.nonce)

    @property
    def InputType(self) -> Any:  # noqa: N802 - LangChain's name
        """What it takes."""
        return (
            str
            | Document
            | ToolMessage
            | ChatPromptValueConcrete
            | list[Document]
            | list[ToolMessage]
        )

    @property
    def OutputType(self) -> Any:  # noqa: N802 - LangChain's name
        """The same as goes in."""
        return self.InputType

    if TYPE_CHECKING:  # the type that goes in comes out: say so to type checkers

        def invoke(
            self, input: S, config: RunnableConfig | None = None, **kwargs: Any
        ) -> S:
            """Mark what is untrusted in a value."""
            ...

        async def ainvoke(
            self, input: S, config: RunnableConfig | None = None, **kwargs: Any
        ) -> S:
            """Mark what is untrusted in a value, natively async."""
            ...

    def transform(
        self,
        input: Iterator[Untrusted],
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[Untrusted]:
        """Mark a stream; a text as it comes, anything else when it is complete.

        Args:
            input: The chunks.
            config: The config of the run.
            **kwargs: Not used.

        Yields:
            What is marked. The sum of it is what `invoke` gives for the sum of the
            chunks.
        """
        yield from self._transform_stream_with_config(
            input, self._stream, pattern_config(self.pattern, config)
        )

    async def atransform(
        self,
        input: AsyncIterator[Untrusted],
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Untrusted]:
        """Mark a stream, natively async.

        Args:
            input: The chunks.
            config: The config of the run.
            **kwargs: Not used.

        Yields:
            What is marked.
        """
        async for out in self._atransform_stream_with_config(
            input, self._astream, pattern_config(self.pattern, config)
        ):
            yield out

    def _run(self, value: Untrusted, run: PatternRun, **_: Any) -> Any:
        marker = _Marker(self.mode, self.nonce)
        out = marker.of(value)
        run.decide("marked", marker.report)
        return out

    async def _arun(self, value: Untrusted, run: PatternRun, **_: Any) -> Any:
        marker = _Marker(self.mode, self.nonce)
        out = await off_the_loop(_size(value), marker.of, value)
        await run.adecide("marked", marker.report)
        return out

    def _stream(
        self,
        input: Iterator[Any],
        run_manager: CallbackManagerForChainRun,
        config: RunnableConfig,
    ) -> Iterator[Any]:
        run = PatternRun(self.pattern, run_manager, config)
        first = next(input, _END)
        if first is _END:
            return
        if not isinstance(first, str):
            yield self._run(add_up([first, *input]), run)
            return
        marking = MARKINGS[self.mode](self.nonce)
        yield marking.feed(first)
        for chunk in input:
            if out := marking.feed(_text_of(chunk)):
                yield out
        yield marking.finish()
        run.decide("marked", _report(self.mode, 1))

    async def _astream(
        self,
        input: AsyncIterator[Any],
        run_manager: AsyncCallbackManagerForChainRun,
        config: RunnableConfig,
    ) -> AsyncIterator[Any]:
        run = PatternRun(self.pattern, run_manager, config)
        first = await anext(input, _END)
        if first is _END:
            return
        if not isinstance(first, str):
            rest = [chunk async for chunk in input]
            yield await self._arun(add_up([first, *rest]), run)
            return
        marking = MARKINGS[self.mode](self.nonce)
        yield await off_the_loop(len(first), marking.feed, first)
        async for chunk in input:
            text = _text_of(chunk)
            if out := await off_the_loop(len(text), marking.feed, text):
                yield out
        yield marking.finish()
        await run.adecide("marked", _report(self.mode, 1))


class _Marker:
    """Marks what is untrusted in one value, and counts the texts."""

    def __init__(self, mode: Mode, nonce: str) -> None:
        self._mode = mode
        self._nonce = nonce
        self._count = 0

    @property
    def report(self) -> str:
        """How texts were marked, and how many."""
        return _report(self._mode, self._count)

    def of(self, value: Untrusted) -> Untrusted:
        """Mark a value of any type that spotlighting takes."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Document):
            return self._document(value)
        if _is_from_tool(value):
            return self._message(value)
        if isinstance(value, ChatPromptValue):
            messages = [self._message(each) for each in value.messages]
            return value.model_copy(update={"messages": messages})
        if isinstance(value, list):
            if all(isinstance(each, Document) for each in value):
                return [self._document(cast("Document", each)) for each in value]
            if all(isinstance(each, BaseMessage) for each in value):
                return [self._message(cast("BaseMessage", each)) for each in value]
        raise TypeError(_unsupported(value))

    def _text(self, text: str) -> str:
        self._count += 1
        return marked(text, self._mode, self._nonce)

    def _document(self, document: Document) -> Document:
        text = self._text(document.page_content)
        return document.model_copy(update={"page_content": text})

    def _message(self, message: BaseMessage) -> BaseMessage:
        if not _is_from_tool(message):
            return message
        content: Any = message.content
        if isinstance(content, str):
            return message.model_copy(update={"content": self._text(content)})
        blocks = [
            self._text(each) if isinstance(each, str) else self._block(each)
            for each in content
        ]
        return message.model_copy(update={"content": blocks})

    def _block(self, block: Any) -> Any:
        """Mark the texts of a content block and of the blocks in it."""
        if isinstance(block, list):
            return [self._block(each) for each in block]
        if not isinstance(block, Mapping):
            return block
        return {
            key: self._text(value)
            if isinstance(value, str) and _is_text(key, block)
            else self._block(value)
            for key, value in block.items()
        }


def _is_text(key: str, block: Mapping[str, Any]) -> bool:
    """Whether a field of a content block is what it says, and not what it is."""
    return key == "text" or (key == "data" and block.get("type") == "text")


def _is_from_tool(value: object) -> TypeGuard[ToolMessage | FunctionMessage]:
    return isinstance(value, ToolMessage | FunctionMessage)


def _text_of(chunk: Any) -> str:
    """Refuse a stream that changes its type on the way."""
    if not isinstance(chunk, str):
        raise TypeError(_unsupported(chunk))
    return chunk


def _report(mode: str, count: int) -> str:
    return f"{mode}: {count} text{'' if count == 1 else 's'}"


def _size(value: Untrusted) -> int:
    """Say about how much there is to mark, in characters."""
    return len(str(value))


def _unsupported(value: object) -> str:
    got = type(value).__name__
    if isinstance(value, list):
        got = f"a list of {', '.join(sorted({type(each).__name__ for each in value}))}"
    return (
        "Spotlight takes a str, a document, a message of a tool, a list of documents "
        f"or of messages, or a chat prompt value, got {got}"
    )
