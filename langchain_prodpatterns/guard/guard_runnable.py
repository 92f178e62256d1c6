"""Nothing private goes in or out, and no injection goes in unseen.

Look at every text in what flows by -> replace, block or flag what is found -> ask the
judge about what is left -> report types and counts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from langchain_core.documents import Document
from langchain_core.messages import AIMessageChunk, AnyMessage
from langchain_core.prompt_values import ChatPromptValueConcrete, StringPromptValue
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ContextThreadPoolExecutor
from langchain_core.runnables.utils import gather_with_concurrency
from pydantic import Field, PrivateAttr, SkipValidation

from langchain_prodpatterns.errors import ConfigurationError, GuardBlocked
from langchain_prodpatterns.guard.carriers import (
    METADATA,
    Guarded,
    Visit,
    is_documents,
    length,
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
from langchain_prodpatterns.guard.streaming_guard import StreamingGuard, off_the_loop
from langchain_prodpatterns.judging import BoundJudge, JudgeLike, Judgement
from langchain_prodpatterns.runnable import (
    PatternRun,
)

G = TypeVar("G", bound=Guarded)
V = TypeVar("V", Guarded, Document)

Rewriting = Callable[[V, Visit], V]
Examined = tuple[V, Record, GuardBlocked | None]
_Judge = BoundJudge[InjectionRequest, InjectionVerdict]


@dataclass
class _Look:
    """What one look at the texts of a value gave."""

    scanner: Scanner
    record: Record
    seen: dict[str, None]
    """What the judge gets to see of each text, once: every value taken out."""

    def visit(self, text: str, role: str, label: str) -> str:
        """Guard one text."""
        spans = self.scanner.find(text, self.record, label=label)
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
    other type is a `TypeError`: nothing passes unseen. In arguments and metadata a key
    says what is under it, as a label does in a text. In metadata and artifacts, plain
    data, documents and messages are looked into; objects of other types are not, nor
    are pictures and files that a content block holds in base64.

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
    _bound: _Judge | None = PrivateAttr()

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
        if is_documents(value):
            return self._run_documents(value, run)
        guarded, record, blocked = self._examine(value, rewrite, self.direction, run)
        run.decide(*conclude(record, blocked), **facts(record))
        if blocked is not None:
            raise blocked
        return guarded

    async def _arun(self, value: Guarded, run: PatternRun, **kwargs: Any) -> Guarded:
        if is_documents(value):
            return await self._arun_documents(value, run)
        examined = await self._aexamine(value, rewrite, self.direction, run)
        guarded, record, blocked = examined
        await run.adecide(*conclude(record, blocked), **facts(record))
        if blocked is not None:
            raise blocked
        return guarded

    def _run_documents(self, value: list[Document], run: PatternRun) -> list[Document]:
        executor = ContextThreadPoolExecutor(run.config.get("max_concurrency"))
        try:
            results = list(
                executor.map(
                    lambda each: self._examine(each, rewrite_document, "document", run),
                    value,
                )
            )
        except BaseException:
            # An interrupt does not wait for the judges that are running.
            executor.shutdown(wait=False, cancel_futures=True)
            raise
        executor.shutdown()
        documents, record = _keep(results)
        run.decide(*conclude(record, None), **facts(record))
        return documents

    async def _arun_documents(
        self, value: list[Document], run: PatternRun
    ) -> list[Document]:
        results = await gather_with_concurrency(
            run.config.get("max_concurrency"),
            *(
                self._aexamine(each, rewrite_document, "document", run)
                for each in value
            ),
        )
        documents, record = _keep(results)
        await run.adecide(*conclude(record, None), **facts(record))
        return documents

    def _examine(
        self, value: V, rewriting: Rewriting[V], direction: str, run: PatternRun
    ) -> Examined[V]:
        """Guard a value or a document: replace what is found, ask about the rest."""
        guarded, look = self._look(value, rewriting)
        blocked = objection(look.record, self.on_error, direction)
        if (judge := self._judge_of(look, blocked)) is not None:
            child = run.child("judge", hidden=True)
            judgement = judge.ask(look.request(direction), child)
            blocked = self._weigh(judgement, look.record, direction)
        return guarded, look.record, blocked

    async def _aexamine(
        self, value: V, rewriting: Rewriting[V], direction: str, run: PatternRun
    ) -> Examined[V]:
        """Guard a value or a document, natively async."""
        size = length(value)
        guarded, look = await off_the_loop(size, self._look, value, rewriting)
        blocked = objection(look.record, self.on_error, direction)
        if (judge := self._judge_of(look, blocked)) is not None:
            child = run.child("judge", hidden=True)
            judgement = await judge.aask(look.request(direction), child)
            blocked = self._weigh(judgement, look.record, direction)
        return guarded, look.record, blocked

    def _look(self, value: V, rewriting: Rewriting[V]) -> tuple[V, _Look]:
        """Find and replace what the patterns see."""
        look = _Look(self._scanner, Record(), {})
        return rewriting(value, look.visit), look

    def _judge_of(self, look: _Look, blocked: GuardBlocked | None) -> _Judge | None:
        """Return whom to ask about what was seen, if there is anything to ask."""
        return self._bound if blocked is None and look.seen else None

    def _objection(self, record: Record) -> GuardBlocked | None:
        return objection(record, self.on_error, self.direction)

    def _weigh(
        self, judgement: Judgement[InjectionVerdict], record: Record, direction: str
    ) -> GuardBlocked | None:
        action = self._policy[INJECTION]
        return weigh(judgement, record, action, self.on_error, direction)

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


def _keep(results: Sequence[Examined[Document]]) -> tuple[list[Document], Record]:
    """Put together what was seen in each document, and leave the blocked ones out."""
    whole = Record()
    for _, record, _ in results:
        whole.take(record)
    kept = [document for document, _, blocked in results if blocked is None]
    whole.documents = len(results)
    whole.dropped = len(results) - len(kept)
    return kept, whole


def _check_choice(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        msg = f"{name} must be {' or '.join(map(repr, known))}, got {value!r}"
        raise ConfigurationError(msg)
