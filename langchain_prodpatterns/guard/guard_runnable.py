"""Nothing private goes in or out, and no injection goes in unseen.

Look at every text in what flows by -> replace, block or flag what is found -> ask the
judge about what is left -> report types and counts.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from langchain_core.documents import Document
from langchain_core.messages import AIMessageChunk, AnyMessage
from langchain_core.prompt_values import ChatPromptValueConcrete, StringPromptValue
from langchain_core.runnables import Runnable, RunnableConfig
from pydantic import Field, PrivateAttr, SecretStr, SkipValidation

from langchain_prodpatterns.arguments import check_seconds
from langchain_prodpatterns.errors import ConfigurationError, GuardBlocked
from langchain_prodpatterns.guard.carriers import (
    Guarded,
)
from langchain_prodpatterns.guard.classifier import InjectionClassifier
from langchain_prodpatterns.guard.conclusion import (
    OnError,
    conclude,
    facts,
    objection,
)
from langchain_prodpatterns.guard.detectors import Detector, resolve_detectors
from langchain_prodpatterns.guard.examining import Examination, InjectionJudge
from langchain_prodpatterns.guard.injection import (
    bind_judge,
)
from langchain_prodpatterns.guard.looking import Look, Lookout, Scanners
from langchain_prodpatterns.guard.message_streaming import MessageStream
from langchain_prodpatterns.guard.policy import INJECTION, Policy, PolicyLike, Rule
from langchain_prodpatterns.guard.racing import RacingGuard
from langchain_prodpatterns.guard.scanning import Record
from langchain_prodpatterns.guard.stand_ins import PROCESS_KEY, StandIns
from langchain_prodpatterns.guard.streaming import TextStream
from langchain_prodpatterns.guard.streaming_guard import StreamingGuard
from langchain_prodpatterns.guard.vault import PSEUDONYM, Vault, scope_of
from langchain_prodpatterns.judging import JudgeLike
from langchain_prodpatterns.runnable import PatternRun

G = TypeVar("G", bound=Guarded)


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

    **Injections** are looked for only where there is a judge or a classifier. The judge
    is asked once a call about all texts but system messages (once a document for
    documents), or about those that the classifier is in doubt of; every value that was
    found is taken out before.

    **Streams.** Strings, message chunks and the prose of content blocks are guarded as
    they come: no part of a value is ever let go, and the whole equals what `invoke`
    gives. Tool calls and all else come at the end. With a judge, a classifier, or a
    detector of your own that is no `PatternDetector`, the text is held until it is
    complete.

    **Records.** The decision (`clean`, `redacted`, `blocked`, `flagged`, `error`) and
    the counts of each type are in the ledger; `prodpatterns.findings` in the run's
    metadata lists type, action, offsets and a keyed digest of every value, flagged ones
    included. No value is in any of these, in an exception or in what traces show as the
    guard's input. Its output is what it lets through: values that the policy flags or
    allows, and those that the vault restores. What the runs around it show is up to the
    tracer (LangSmith: `hide_inputs`, `hide_outputs`).
    """

    pattern: ClassVar[str] = "guard"

    detectors: SkipValidation[Sequence[str | Detector] | None] = Field(
        default=None, repr=False
    )
    """Names and detectors; `None` for `DEFAULT_DETECTORS`."""
    direction: Literal["input", "output"] = "input"
    """What is guarded: what goes to a model, or what comes from it."""
    policy: SkipValidation[PolicyLike | None] = None
    """What to do with what is found, where it is not the default."""
    judge: SkipValidation[JudgeLike | None] = Field(default=None, repr=False)
    """Who decides whether a text is an injection."""
    judge_timeout: float | None = 5.0
    """Seconds for a verdict; `None` waits for ever."""
    classifier: SkipValidation[InjectionClassifier | None] = None
    """Who tells what plainly is an injection and what is not, before the judge."""
    on_error: OnError = "block"
    """What happens where a detector or the judge fails."""
    vault: SkipValidation[Vault | None] = None
    """Keeps the values behind stand-ins, and restores them on the way out."""
    key: SecretStr | None = None
    """For hashes and for the digests in records."""
    keys: tuple[str, ...] | None = None
    """The keys of a dict whose values are guarded."""

    _scanners: Scanners = PrivateAttr()
    _bound: InjectionJudge | None = PrivateAttr()

    def __init__(
        self,
        detectors: Sequence[str | Detector] | None = None,
        *,
        direction: Literal["input", "output"] = "input",
        policy: PolicyLike | None = None,
        judge: JudgeLike | None = None,
        judge_timeout: float | None = 5.0,
        classifier: InjectionClassifier | None = None,
        on_error: OnError = "block",
        vault: Vault | None = None,
        key: SecretStr | str | bytes | None = None,
        keys: Sequence[str] | None = None,
        name: str | None = None,
    ) -> None:
        """Set up a guard.

        Args:
            detectors: Names (see `DEFAULT_DETECTORS`; `any_url` also) and detectors,
                such as a `PatternDetector`; `None` for the default set.
            direction: `input` or `output`; named in errors and to the judge.
            policy: What to do a type: `block`, `redact`, `hash`, `pseudonymize` (it
                needs a vault), `mask` (all but the last four), `flag` or `allow`; or a
                list of `Rule`s, which may also name direction, trust and tenant. By
                default values are redacted. Injections are blocked; they take `block`,
                `flag` and `allow`.
            judge: A chat model, or a Runnable or callable from `InjectionRequest` to
                `InjectionVerdict` or `bool`; `None` to look for no injections.
            judge_timeout: Seconds for a verdict; `None` waits for ever.
            classifier: `InjectionClassifier()` blocks what it is sure of, lets through
                what it takes for harmless, and leaves what is in between to the judge.
                That saves most of the judge's calls, and some attacks are never put
                before it: so it is for you to choose. Without a judge, what is in
                between goes through.
            on_error: `block` what a failing detector or judge could not clear, or
                `flag`: let it through and record the error.
            vault: Where `pseudonymize` puts values. With `direction="output"` its
                stand-ins become values again, in tool calls too.
            key: The key of hashes and of the digests in records, for those who must
                compare them over processes; by default each process has its own.
            keys: Take dicts, and guard what is under these keys.
            name: The name of its runs in traces.

        Raises:
            ConfigurationError: When an argument cannot work.
        """
        _check_choice("direction", direction, ("input", "output"))
        _check_choice("on_error", on_error, ("block", "flag"))
        check_seconds("judge_timeout", judge_timeout)
        found = resolve_detectors(detectors)
        types = [detector.name for detector in found]
        injections = judge is not None or classifier is not None
        if not found and not injections:
            msg = (
                "GuardRunnable without detectors, judge or classifier guards nothing: "
                "leave detectors out for the default set"
            )
            raise ConfigurationError(msg)
        rules = Policy(policy, types, judged=injections)
        if PSEUDONYM in types:
            # What has this name is looked up in the vault, and not redacted.
            msg = f"the name {PSEUDONYM!r} belongs to the vault: name it otherwise"
            raise ConfigurationError(msg)
        if vault is None and "pseudonymize" in rules.uses:
            msg = "policy pseudonymizes, so values need a vault: vault=Vault()"
            raise ConfigurationError(msg)
        _check_type("vault", vault, Vault)
        _check_type("classifier", classifier, InjectionClassifier)
        bound = None if judge is None else bind_judge(judge, judge_timeout)
        super().__init__(
            detectors=detectors,
            direction=direction,
            policy=policy,
            judge=judge,
            judge_timeout=judge_timeout,
            classifier=classifier,
            on_error=on_error,
            vault=vault,
            key=_as_secret(key),
            keys=_as_keys(keys),
            name=name,
        )
        restores = vault is not None and direction == "output"
        self._scanners = Scanners(found, rules, restores=restores)
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
        self,
        chain: Runnable[Any, Any],
        *,
        output: "GuardRunnable | None" = None,
        race: bool = False,
    ) -> Runnable[Any, Any]:
        """Put a guard on both sides of a chain.

        Args:
            chain: What to guard. It gets what this guard lets through.
            output: The guard of what comes out; by default one with the same detectors,
                policy, vault and `on_error`, and no judge, so that answers stream.
            race: Run the judge beside the chain. Nothing is released before its
                verdict, and the chain is cancelled where that blocks; so the guard adds
                only the time by which it is slower than the first token.

        Returns:
            Guard, chain and guard, one after the other or racing.

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
        rest = chain if behind is None else chain | behind
        return RacingGuard(guard=self, rest=rest) if race else self | rest

    def _facing_out(self) -> "GuardRunnable | None":
        if not resolve_detectors(self.detectors):
            return None  # it only has a judge, and that looks at what goes in
        return GuardRunnable(
            self.detectors,
            direction="output",
            policy=_for_values(self.policy),
            on_error=self.on_error,
            vault=self.vault,
            key=self.key,
        )

    def _run(self, value: Guarded, run: PatternRun, **kwargs: Any) -> Any:
        examination = self._examination(run, kwargs.get("scanned"))
        guarded, record, blocked = examination.of(value)
        run.decide(*conclude(record, blocked), **facts(record, blocked))
        if blocked is not None:
            raise blocked
        return guarded

    async def _arun(self, value: Guarded, run: PatternRun, **kwargs: Any) -> Any:
        examination = self._examination(run, kwargs.get("scanned"))
        guarded, record, blocked = await examination.aof(value)
        await run.adecide(*conclude(record, blocked), **facts(record, blocked))
        if blocked is not None:
            raise blocked
        return guarded

    def _examination(
        self, run: PatternRun, scanned: Callable[[Any], Any] | None
    ) -> Examination:
        return Examination(
            lookout=self._lookout(run),
            judge=self._bound,
            on_error=self.on_error,
            keys=self.keys,
            run=run,
            scanned=scanned,
        )

    def _lookout(self, run: PatternRun) -> Lookout:
        configurable = run.config.get("configurable") or {}
        key = PROCESS_KEY
        if self.key is not None:
            key = self.key.get_secret_value().encode()
        scope = scope_of(configurable, run.parent_run_id or run.run_id)
        write = StandIns(key, self.vault, scope)
        return Lookout.of(
            self._scanners, self.direction, configurable, write, self.classifier
        )

    @property
    def _asks(self) -> bool:
        """Whether someone is asked about the whole of a text."""
        asked = self._bound is not None or self.classifier is not None
        return asked or self._scanners.waits

    def _objection(self, record: Record) -> GuardBlocked | None:
        return objection(record, self.on_error, self.direction)

    def _stream_for(
        self, first: Any, run: PatternRun
    ) -> tuple[TextStream | MessageStream | None, Record]:
        lookout = self._lookout(run)
        record, write = lookout.record(), lookout.write
        if self._asks:
            return None, record
        if isinstance(first, str):
            scanner, _ = lookout.at("text")
            return TextStream(scanner, record, write), record
        if isinstance(first, AIMessageChunk):
            scanner, _ = lookout.at("ai")
            visit = Look(lookout, record).visit
            return MessageStream(scanner, record, visit, write), record
        return None, record


def _for_values(policy: PolicyLike | None) -> PolicyLike | None:
    """Leave out what a policy says of injections, for a guard that looks for none."""
    if isinstance(policy, Mapping):
        return {name: policy[name] for name in policy if name != INJECTION}
    return [
        Rule(rule.action, types, rule.direction, rule.trust, rule.tenant)
        for rule in policy or ()
        if (types := tuple(name for name in rule.names() if name != INJECTION))
    ]


def _as_secret(key: SecretStr | str | bytes | None) -> SecretStr | None:
    if key is None or (isinstance(key, SecretStr) and key.get_secret_value()):
        return key
    if not isinstance(key, str | bytes) or not key:
        kind = type(key).__name__
        msg = f"key must be a text or bytes that are not empty, got {kind}"
        raise ConfigurationError(msg)
    return SecretStr(key if isinstance(key, str) else key.hex())


def _as_keys(keys: Sequence[str] | None) -> tuple[str, ...] | None:
    if keys is None:
        return None
    if isinstance(keys, str) or not keys or not all(isinstance(k, str) for k in keys):
        msg = f"keys must be a list of texts, ['question', ...], got {keys!r}"
        raise ConfigurationError(msg)
    return tuple(keys)


def _check_type(name: str, value: Any, kind: type) -> None:
    if not (value is None or isinstance(value, kind)):
        msg = f"{name} must be a {kind.__name__} or None, got {value!r}"
        raise ConfigurationError(msg)


def _check_choice(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        msg = f"{name} must be {' or '.join(map(repr, known))}, got {value!r}"
        raise ConfigurationError(msg)
