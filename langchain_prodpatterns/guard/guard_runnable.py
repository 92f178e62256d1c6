"""Nothing private goes in or out, and no injection goes in unseen.

Look at every text in what flows by -> replace, block or flag what is found -> ask the
judge about what is left -> report types and counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from langchain_core.documents import Document
from langchain_core.messages import AIMessageChunk, AnyMessage
from langchain_core.prompt_values import ChatPromptValueConcrete, StringPromptValue
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import get_executor_for_config
from langchain_core.runnables.utils import gather_with_concurrency
from pydantic import Field, PrivateAttr, SkipValidation

from langchain_prodpatterns.errors import ConfigurationError, GuardBlocked
from langchain_prodpatterns.guard.carriers import (
    METADATA,
    Guarded,
    is_documents,
    rewrite,
    rewrite_document,
)
from langchain_prodpatterns.guard.conclusion import (
    OnError,
    conclude,
    facts,
    objection,
    weigh,
)
from langchain_prodpatterns.guard.detectors import Detector, resolve_detectors
from langchain_prodpatterns.guard.injection import (
    InjectionRequest,
    InjectionVerdict,
    bind_judge,
)
from langchain_prodpatterns.guard.message_streaming import MessageStream
from langchain_prodpatterns.guard.policy import INJECTION, complete_policy
from langchain_prodpatterns.guard.scanning import Record, Scanner, note, replaced
from langchain_prodpatterns.guard.streaming import TextStream
from langchain_prodpatterns.guard.streaming_guard import StreamingGuard
from langchain_prodpatterns.judging import BoundJudge, JudgeLike
from langchain_prodpatterns.runnable import (
    PatternRun,
)

G = TypeVar("G", bound=Guarded)


@dataclass
class _Look:
    """What one look at the texts of a value gave."""

    scanner: Scanner
    record: Record
    seen: dict[str, None]
    """What the judge gets to see of each text, once: every value taken out."""

    def visit(self, text: str, role: str) -> str:
        """Guard one text."""
        spans = self.scanner.find(text, self.record)
        for span in spans:
            note(text, span, 0, self.record)
        # The system prompt is the operator's own; it is full of orders to the model.
        if role not in ("system", METADATA) and text.strip():
            self.seen[replaced(text, spans, 0, len(text), hide=True)] = None
        return replaced(text, spans, 0, len(text))

    def request(self, direction: str) -> InjectionRequest:
        """Put what was seen before the judge, in one go."""
        return InjectionRequest(text="\n\n".join(self.seen), direction=direction)


class GuardRunnable(StreamingGuard):
    """Redacts, blocks or flags private data, keys and prompt injections.

    ```python
    guard = GuardRunnable(judge=llm)
    chain = guard | prompt | llm | GuardRunnable(direction="output")
    chain = guard.wrap(prompt | llm)  # the same
    ```

    It takes a string, a message or a list of messages of any role (content blocks,
    tool-call arguments and extra fields too), a string or chat prompt value, or a list
    of documents, and gives the same type back; what came in is never changed. Any
    other type is a `TypeError`: nothing passes unseen. In metadata and artifacts, plain
    data, documents and messages are looked into; objects of other types are not.

    **Documents.** What is blocked in a document (by type, as an injection, or by an
    error) drops that document and is recorded; the others go on.

    **Injections** are looked for only where there is a judge: it is asked once a call
    about all texts but system messages (once a document for documents), and every
    value that was found is taken out before.

    **Streams.** Strings and message chunks are guarded as they come: no part of a value
    is ever let go, and the whole equals what `invoke` gives. Tool calls and content
    blocks come at the end. With a judge, or a detector of your own that is no
    `PatternDetector`, the text is held until it is complete.

    **Records.** The decision (`clean`, `redacted`, `blocked`, `flagged`, `error`) and
    the counts of each type are in the ledger; `prodpatterns.findings` in the run's
    metadata lists type, action, offsets and a keyed digest of every value, flagged ones
    included. No value is in any of these, in an exception or in what traces show of
    the guard's run. What the runs around it show as their input is up to the tracer
    (LangSmith: `hide_inputs`).
    """

    pattern: ClassVar[str] = "guard"

    detectors: SkipValidation[Sequence[str | Detector] | None] = Field(
        default=None, repr=False
    )
    """Names and detectors; `None` for `DEFAULT_DETECTORS`."""
    direction: Literal["input", "output"] = "input"
    """What is guarded: what goes to a model, or what comes from it."""
    policy: SkipValidation[Mapping[str, str] | None] = None
    """Type to action, where it is not the default."""
    judge: SkipValidation[JudgeLike | None] = Field(default=None, repr=False)
    """Who decides whether a text is an injection."""
    judge_timeout: float | None = 5.0
    """Seconds for a verdict; `None` waits for ever."""
    on_error: OnError = "block"
    """What happens where a detector or the judge fails."""

    _scanner: Scanner = PrivateAttr()
    _policy: dict[str, Any] = PrivateAttr()
    _bound: BoundJudge[InjectionRequest, InjectionVerdict] | None = PrivateAttr()

    def __init__(
        self,
        detectors: Sequence[str | Detector] | None = None,
        *,
        direction: Literal["input", "output"] = "input",
        policy: Mapping[str, str] | None = None,
        judge: JudgeLike | None = None,
        judge_timeout: float | None = 5.0,
        on_error: OnError = "block",
        name: str | None = None,
    ) -> None:
        """Set up a guard.

        Args:
            detectors: Names (see `DEFAULT_DETECTORS`; `any_url` also) and detectors,
                such as a `PatternDetector`; `None` for the default set.
            direction: `input` or `output`; named in errors and to the judge.
            policy: What to do a type: `block`, `redact`, `mask` (all but the last
                four), `flag` or `allow`. By default values are redacted. Injections are
                blocked; they take `block` and `flag`.
            judge: A chat model, or a Runnable or callable from `InjectionRequest` to
                `InjectionVerdict` or `bool`; `None` to look for no injections.
            judge_timeout: Seconds for a verdict; `None` waits for ever.
            on_error: `block` what a failing detector or judge could not clear, or
                `flag`: let it through and record the error.
            name: The name of its runs in traces.

        Raises:
            ConfigurationError: When an argument cannot work.
        """
        _check_choice("direction", direction, ("input", "output"))
        _check_choice("on_error", on_error, ("block", "flag"))
        found = resolve_detectors(detectors)
        types = [detector.name for detector in found]
        if not found and judge is None:
            msg = "GuardRunnable without detectors and without a judge guards nothing"
            raise ConfigurationError(msg)
        actions = complete_policy(policy, types, judged=judge is not None)
        bound = None if judge is None else bind_judge(judge, judge_timeout)
        super().__init__(
            detectors=detectors,
            direction=direction,
            policy=policy,
            judge=judge,
            judge_timeout=judge_timeout,
            on_error=on_error,
            name=name,
        )
        self._scanner = Scanner(found, actions)
        self._policy = actions
        self._bound = bound

    @property
    def InputType(self) -> Any:  # noqa: N802 - LangChain's name
        """What a guard takes."""
        return (
            str
            | StringPromptValue
            | ChatPromptValueConcrete
            | AnyMessage
            | list[AnyMessage]
            | list[Document]
        )

    @property
    def OutputType(self) -> Any:  # noqa: N802 - LangChain's name
        """The same as goes in."""
        return self.InputType

    if TYPE_CHECKING:  # the type that goes in comes out: say so to type checkers

        def invoke(
            self, input: G, config: RunnableConfig | None = None, **kwargs: Any
        ) -> G:
            """Guard a value."""
            ...

        async def ainvoke(
            self, input: G, config: RunnableConfig | None = None, **kwargs: Any
        ) -> G:
            """Guard a value, natively async."""
            ...

    def wrap(
        self, chain: Runnable[Any, Any], *, output: "GuardRunnable | None" = None
    ) -> Runnable[Any, Any]:
        """Put a guard on both sides of a chain.

        Args:
            chain: What to guard. It gets what this guard lets through.
            output: The guard of what comes out; by default one with the same detectors,
                policy and `on_error`, and no judge, so that answers stream.

        Returns:
            Guard, chain and guard, one after the other.

        Raises:
            ConfigurationError: When the guards face the wrong way.
        """
        outward = output is None or getattr(output, "direction", "") == "output"
        if self.direction != "input" or not outward:
            msg = (
                "wrap is called on a guard with direction='input' and takes as output= "
                "one with direction='output'"
            )
            raise ConfigurationError(msg)
        behind = output or self._facing_out()
        return self | chain if behind is None else self | chain | behind

    def _facing_out(self) -> "GuardRunnable | None":
        if not self._scanner.detectors:
            return None  # it only has a judge, and that looks at what goes in
        policy = {
            name: action
            for name, action in (self.policy or {}).items()
            if name != INJECTION
        }
        return GuardRunnable(
            self.detectors, direction="output", policy=policy, on_error=self.on_error
        )

    def _run(self, value: Guarded, run: PatternRun, **kwargs: Any) -> Guarded:
        record = Record()
        if is_documents(value):
            return self._run_documents(value, record, run)
        guarded, look = self._look(value, record)
        blocked = self._objection(record)
        if blocked is None and self._bound is not None and look.seen:
            blocked = self._weigh(
                self._bound.ask(
                    look.request(self.direction), run.child("judge", hidden=True)
                ),
                record,
            )
        run.decide(*conclude(record, blocked), **facts(record))
        if blocked is not None:
            raise blocked
        return guarded

    async def _arun(self, value: Guarded, run: PatternRun, **kwargs: Any) -> Guarded:
        record = Record()
        if is_documents(value):
            return await self._arun_documents(value, record, run)
        guarded, look = self._look(value, record)
        blocked = self._objection(record)
        if blocked is None and self._bound is not None and look.seen:
            blocked = self._weigh(
                await self._bound.aask(
                    look.request(self.direction), run.child("judge", hidden=True)
                ),
                record,
            )
        await run.adecide(*conclude(record, blocked), **facts(record))
        if blocked is not None:
            raise blocked
        return guarded

    def _look(self, value: Guarded, record: Record) -> tuple[Guarded, _Look]:
        """Find and replace what the patterns see."""
        look = _Look(self._scanner, record, {})
        return rewrite(value, look.visit), look

    def _look_at(self, document: Document, record: Record) -> tuple[Document, _Look]:
        """Find and replace what the patterns see in a document."""
        look = _Look(self._scanner, record, {})
        return rewrite_document(document, look.visit), look

    def _objection(self, record: Record) -> GuardBlocked | None:
        return objection(record, self.on_error, self.direction)

    def _weigh(
        self, judgement: Any, record: Record, direction: str | None = None
    ) -> GuardBlocked | None:
        return weigh(
            judgement,
            record,
            self._policy[INJECTION],
            self.on_error,
            direction or self.direction,
        )

    def _run_documents(
        self, value: list[Document], record: Record, run: PatternRun
    ) -> list[Document]:
        with get_executor_for_config(run.config) as executor:
            kept = list(executor.map(partial(self._document, run=run), value))
        documents = self._keep(kept, record)
        run.decide(*conclude(record, None), **facts(record))
        return documents

    async def _arun_documents(
        self, value: list[Document], record: Record, run: PatternRun
    ) -> list[Document]:
        kept = await gather_with_concurrency(
            run.config.get("max_concurrency"),
            *(self._adocument(document, run) for document in value),
        )
        documents = self._keep(kept, record)
        await run.adecide(*conclude(record, None), **facts(record))
        return documents

    def _document(
        self, document: Document, run: PatternRun
    ) -> tuple[Document | None, Record]:
        """Guard one document; `None` where it is to be dropped."""
        record = Record()
        guarded, look = self._look_at(document, record)
        blocked = objection(record, self.on_error, "document")
        if blocked is None and self._bound is not None and look.seen:
            judgement = self._bound.ask(
                look.request("document"), run.child("judge", hidden=True)
            )
            blocked = self._weigh(judgement, record, "document")
        return (guarded if blocked is None else None), record

    async def _adocument(
        self, document: Document, run: PatternRun
    ) -> tuple[Document | None, Record]:
        """Guard one document, natively async."""
        record = Record()
        guarded, look = self._look_at(document, record)
        blocked = objection(record, self.on_error, "document")
        if blocked is None and self._bound is not None and look.seen:
            judgement = await self._bound.aask(
                look.request("document"), run.child("judge", hidden=True)
            )
            blocked = self._weigh(judgement, record, "document")
        return (guarded if blocked is None else None), record

    def _keep(
        self, results: Sequence[tuple[Document | None, Record]], record: Record
    ) -> list[Document]:
        """Put together what was seen in each, and leave the dropped ones out."""
        for _, own in results:
            record.take(own)
        kept = [document for document, _ in results if document is not None]
        record.documents = len(results)
        record.dropped = len(results) - len(kept)
        return kept

    def _stream_for(
        self, first: Any, record: Record
    ) -> TextStream | MessageStream | None:
        if self._bound is not None:
            return None
        if isinstance(first, str):
            return TextStream(self._scanner, record)
        if isinstance(first, AIMessageChunk):
            visit = _Look(self._scanner, record, {}).visit
            return MessageStream(self._scanner, record, visit)
        return None


def _check_choice(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        msg = f"{name} must be {' or '.join(map(repr, known))}, got {value!r}"
        raise ConfigurationError(msg)
