"""One examination of one value: replace what is found, then ask about what is left."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from langchain_core.documents import Document
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import set_config_context
from langchain_core.runnables.utils import gather_with_concurrency

from langchain_prodpatterns.errors import GuardBlocked
from langchain_prodpatterns.guard.asking import (
    ask_all,
    embed_all,
    questions,
    shown_texts,
)
from langchain_prodpatterns.guard.carriers import (
    Guarded,
    Rewriting,
    is_documents,
    length,
    rewrite,
    rewrite_document,
    unsupported,
)
from langchain_prodpatterns.guard.classifier import InjectionClassifier
from langchain_prodpatterns.guard.conclusion import (
    OnError,
    objection,
    plain_attack,
    weigh,
)
from langchain_prodpatterns.guard.injection import InjectionRequest, InjectionVerdict
from langchain_prodpatterns.guard.looking import Look, Lookout
from langchain_prodpatterns.guard.scanning import Record
from langchain_prodpatterns.guard.streaming_guard import off_the_loop
from langchain_prodpatterns.judging import BoundJudge, Judgement
from langchain_prodpatterns.runnable import PatternRun

V = TypeVar("V", Guarded, Document)

Examined = tuple[V, Record, GuardBlocked | None]
"""What a value became, what was found in it, and why it is blocked if it is."""
InjectionJudge = BoundJudge[InjectionRequest, InjectionVerdict]


@dataclass(frozen=True, kw_only=True, slots=True)
class Examination:
    """How the values of one run are examined."""

    lookout: Lookout
    """Who looks at texts."""
    judge: InjectionJudge | None
    """Who is asked about injections."""
    on_error: OnError
    """What happens where a detector or the judge fails."""
    keys: Sequence[str] | None
    """Which keys of a dict are guarded."""
    run: PatternRun
    """The run whose children the judge's calls are."""
    scanned: Callable[[Any], Any] | None = None
    """Is told what a value became before the judge is asked, if it is."""

    def of(self, value: Any) -> Examined[Any]:
        """Examine a value.

        Args:
            value: What flows through the chain.

        Returns:
            What it became, what was found, and the error to raise, if any.
        """
        if isinstance(value, dict):
            parts: dict[str, Examined[Any]] = {}
            for key, part in self._parts(value).items():
                beside = self._beside(value, parts, key)
                parts[key] = beside._part(part)  # noqa: SLF001 - one of its own
            return _put_back(value, parts)
        return self._part(value)

    async def aof(self, value: Any) -> Examined[Any]:
        """Examine a value, natively async."""
        if isinstance(value, dict):
            parts: dict[str, Examined[Any]] = {}
            for key, part in self._parts(value).items():
                beside = self._beside(value, parts, key)
                parts[key] = await beside._apart(part)  # noqa: SLF001 - one of its own
            return _put_back(value, parts)
        return await self._apart(value)

    def _parts(self, value: dict[str, Any]) -> dict[str, Any]:
        """Return what of a dict is guarded."""
        if self.keys is None:
            raise TypeError(unsupported(value))
        missing = [key for key in self.keys if key not in value]
        if missing:
            msg = (
                f"GuardRunnable(keys=...) guards {', '.join(self.keys)}, but the dict "
                f"has no {', '.join(missing)}"
            )
            raise KeyError(msg)
        return {key: value[key] for key in self.keys}

    def _beside(
        self, value: dict[str, Any], parts: dict[str, Examined[Any]], key: str
    ) -> "Examination":
        """Examine the next part of a dict: of the last one on, the whole is known."""
        told, complete = self.scanned, [*parts, key] == list(self._parts(value))
        if told is None or not complete or _first_block(parts) is not None:
            return replace(self, scanned=None)
        return replace(
            self, scanned=lambda part: told({**_whole(value, parts), key: part})
        )

    def _part(self, value: Any) -> Examined[Any]:
        """Examine a value, or each of several documents."""
        if not is_documents(value):
            return self._examine(value, rewrite, self.lookout.direction)
        return *_keep(self.run.in_threads(self._document, value)), None

    async def _apart(self, value: Any) -> Examined[Any]:
        """Examine a value, or each of several documents, natively async."""
        if not is_documents(value):
            return await self._aexamine(value, rewrite, self.lookout.direction)
        results = await gather_with_concurrency(
            self.run.config.get("max_concurrency"),
            *(self._adocument(each) for each in value),
        )
        return *_keep(results), None

    def _document(self, document: Document) -> Examined[Document]:
        return self._examine(document, rewrite_document, "document")

    async def _adocument(self, document: Document) -> Examined[Document]:
        return await self._aexamine(document, rewrite_document, "document")

    def _examine(
        self, value: V, rewriting: Rewriting[V], direction: str
    ) -> Examined[V]:
        guarded, look = self._look_and_ask(value, rewriting)
        blocked = objection(look.record, self.on_error, direction)
        blocked = blocked or plain_attack(look.attack, direction)
        if self.judge is not None and blocked is None and look.seen:
            self._tell(guarded)
            child = self.run.child("judge", hidden=True)
            judgement = self.judge.ask(look.request(direction), child)
            blocked = self._weigh(judgement, look, direction)
        return guarded, look.record, blocked

    async def _aexamine(
        self, value: V, rewriting: Rewriting[V], direction: str
    ) -> Examined[V]:
        told = await self._ask_first(value, rewriting)
        guarded, look = await off_the_loop(
            length(value), self._look, value, rewriting, told
        )
        blocked = objection(look.record, self.on_error, direction)
        blocked = blocked or plain_attack(look.attack, direction)
        if self.judge is not None and blocked is None and look.seen:
            self._tell(guarded)
            child = self.run.child("judge", hidden=True)
            judgement = await self.judge.aask(look.request(direction), child)
            blocked = self._weigh(judgement, look, direction)
        return guarded, look.record, blocked

    def _look_and_ask(self, value: V, rewriting: Rewriting[V]) -> tuple[V, Look]:
        """Find and replace what the detectors see, those that wait as well."""
        if not self.lookout.scanners.waits:
            return self._look(value, rewriting, self.lookout)
        with set_config_context(self._asking) as context:
            return context.run(self._look, value, rewriting, self.lookout)

    async def _ask_first(self, value: V, rewriting: Rewriting[V]) -> Lookout:
        """Ask whoever waits, and return who looks with their answers."""
        lookout, size = self.lookout, length(value)
        if lookout.scanners.waits:
            asked = await off_the_loop(size, questions, lookout, value, rewriting)
            answers = await ask_all(asked, self._asking)
            lookout = replace(lookout, told=answers.within)
        classifier = lookout.classifier
        if isinstance(classifier, InjectionClassifier) and classifier.waits:
            texts = await off_the_loop(size, shown_texts, lookout, value, rewriting)
            lookout = replace(lookout, classifier=await embed_all(classifier, texts))
        return lookout

    @property
    def _asking(self) -> RunnableConfig:
        """In whose context the detectors that wait are asked."""
        config = self.run.child("detect", hidden=True)
        config.pop("run_name")  # what is called within keeps its own
        return config

    def _look(
        self, value: V, rewriting: Rewriting[V], lookout: Lookout
    ) -> tuple[V, Look]:
        """Find and replace what the detectors see."""
        look = Look(lookout, lookout.record())
        return rewriting(value, look.visit), look

    def _tell(self, guarded: Any) -> None:
        # Of documents, the judge decides which there are: nothing can go on before.
        if self.scanned is not None and not isinstance(guarded, Document):
            self.scanned(guarded)

    def _weigh(
        self, judgement: Judgement[InjectionVerdict], look: Look, direction: str
    ) -> GuardBlocked | None:
        return weigh(judgement, look.record, look.action, self.on_error, direction)


def _keep(results: Sequence[Examined[Document]]) -> tuple[list[Document], Record]:
    """Put together what was seen in each document, and leave the blocked ones out."""
    whole = Record()
    for _, record, _ in results:
        whole.take(record)
    kept = [document for document, _, blocked in results if blocked is None]
    whole.documents = len(results)
    whole.dropped = len(results) - len(kept)
    return kept, whole


def _put_back(value: dict[str, Any], parts: dict[str, Examined[Any]]) -> Examined[Any]:
    """Put the guarded parts back into a copy of a dict."""
    record = Record()
    for _, found, _ in parts.values():
        record.take(found)
        record.documents += found.documents
        record.dropped += found.dropped
    return _whole(value, parts), record, _first_block(parts)


def _whole(value: dict[str, Any], parts: dict[str, Examined[Any]]) -> dict[str, Any]:
    return {**value, **{key: part for key, (part, _, _) in parts.items()}}


def _first_block(parts: dict[str, Examined[Any]]) -> GuardBlocked | None:
    return next((block for _, _, block in parts.values() if block is not None), None)
