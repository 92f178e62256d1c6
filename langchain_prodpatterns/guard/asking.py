"""Asking the detectors that wait, for a model or another process, from a coroutine.

A look at a value is one pass over its texts that cannot wait. So a coroutine first goes
over them to see which there are, asks about all of them at once, and then looks with
the answers at hand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from langchain_core.documents import Document
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import set_config_context
from langchain_core.runnables.utils import coro_with_context, gather_with_concurrency

from langchain_prodpatterns.guard.carriers import Guarded, Rewriting
from langchain_prodpatterns.guard.classifier import InjectionClassifier, Suspicion
from langchain_prodpatterns.guard.detectors import AsyncDetector, Detector, Place
from langchain_prodpatterns.guard.embedded_head import windows_of
from langchain_prodpatterns.guard.looking import Lookout, gives_orders
from langchain_prodpatterns.guard.normalizing import view_of
from langchain_prodpatterns.guard.scanning import Record, Scanner, replaced

ByText = Mapping[str, Sequence[str]]
"""Texts, and the windows of each."""

V = TypeVar("V", Guarded, Document)

Said = Sequence[Place] | Exception
"""Where a detector saw values, or how it failed."""


@dataclass(frozen=True, slots=True)
class Question:
    """What one detector is asked about one text."""

    detector: AsyncDetector
    """Who is asked."""
    text: str
    """The text, as it stands or as it is to be read."""

    @property
    def key(self) -> tuple[str, str]:
        """What its answer is kept under."""
        return self.detector.name, self.text

    async def ask(self) -> Said:
        """Ask, and keep a failure for when the text is looked at."""
        try:
            return list(await self.detector.afind(self.text))
        except Exception as error:  # noqa: BLE001 - any failure of any detector counts
            return error


@dataclass(frozen=True, slots=True)
class Answers:
    """What the detectors that wait said of the texts of one value."""

    said: Mapping[tuple[str, str], Said]
    """By the detector's name and the text."""

    def within(self, scanner: Scanner) -> Scanner:
        """Return a scanner in which no detector waits.

        Args:
            scanner: The scanner for some place.

        Returns:
            One that finds the same, for the texts that were asked about.
        """
        return Scanner(
            [self._told(detector) for detector, _ in scanner.detectors],
            {detector.name: handling for detector, handling in scanner.detectors},
        )

    def _told(self, detector: Detector) -> Detector:
        if isinstance(detector, AsyncDetector):
            return _Told(detector.name, self.said)
        return detector


@dataclass(frozen=True, slots=True)
class _Told:
    """Says what a detector said before."""

    name: str
    said: Mapping[tuple[str, str], Said]

    def find(self, text: str) -> Sequence[Place]:
        # A text that nobody asked about is a failure, as any other is: never clean.
        said = self.said[self.name, text]
        if isinstance(said, Exception):
            raise said
        return said


def questions(lookout: Lookout, value: V, rewriting: Rewriting[V]) -> list[Question]:
    """Go over the texts of a value to see what the detectors that wait are asked.

    Args:
        lookout: Who looks at the texts.
        value: What flows through the chain.
        rewriting: Visits each of its texts.

    Returns:
        Every question once.
    """
    found: dict[tuple[str, str], Question] = {}

    def note(text: str, role: str, _: str) -> str:
        scanner, _action = lookout.at(role)
        view = view_of(text)
        for detector, _handling in scanner.detectors:
            if isinstance(detector, AsyncDetector):
                for read in (text, text if view is None else view.text):
                    question = Question(detector, read)
                    found.setdefault(question.key, question)
        return text

    rewriting(value, note)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Embedded:
    """A classifier, with the vectors of the texts of one value at hand."""

    classifier: InjectionClassifier
    """Who tells injections."""
    vectors: Mapping[str, Sequence[Sequence[float]] | Exception]
    """Those of each text's windows, or how the embedder failed."""
    waits: bool = True
    """Its texts held no value."""

    def screen(self, text: str, *, untrusted: bool = False) -> Suspicion:
        """Say what a text looks like."""
        # A text that nobody asked about is a failure, as any other is: never clean.
        vectors = self.vectors[text]
        if isinstance(vectors, Exception):
            raise vectors
        return self.classifier.judged(text, vectors, untrusted=untrusted)


def shown_texts(
    lookout: Lookout, value: V, rewriting: Rewriting[V]
) -> dict[str, list[str]]:
    """Go over the texts of a value to see what a classifier's embedder is shown.

    Args:
        lookout: Who looks at the texts.
        value: What flows through the chain.
        rewriting: Visits each of its texts.

    Returns:
        Each text once, without the values in it, and its windows.
    """
    texts: dict[str, list[str]] = {}

    def note(text: str, role: str, label: str) -> str:
        scanner, injection = lookout.at(role)
        if injection != "allow" and gives_orders(text, role):
            spans = scanner.find(text, Record(), label=label)
            shown = replaced(text, spans, 0, len(text), hide=True)
            texts[shown] = windows_of(shown)
        return text

    rewriting(value, note)
    return texts


async def embed_all(classifier: InjectionClassifier, texts: ByText) -> Embedded:
    """Embed the windows of texts in one call.

    Args:
        classifier: Who will look at them, with its embedder.
        texts: The texts, and the windows of each.

    Returns:
        Who looks, with the vectors or with how the embedder failed.
    """
    flat = list(dict.fromkeys(part for parts in texts.values() for part in parts))
    if not flat or classifier.embeddings is None:
        return Embedded(classifier, {})
    try:
        found = await classifier.embeddings.aembed_documents(flat)
        known = dict(zip(flat, found, strict=True))
    except Exception as error:  # noqa: BLE001 - told when the texts are looked at
        return Embedded(classifier, dict.fromkeys(texts, error))
    return Embedded(
        classifier,
        {text: [known[part] for part in parts] for text, parts in texts.items()},
    )


async def ask_all(asked: Sequence[Question], config: RunnableConfig) -> Answers:
    """Ask all questions at once, as many as the config's `max_concurrency` allows.

    Args:
        asked: The questions.
        config: The config in whose context the detectors are asked: models that they
            call are its children.

    Returns:
        What was said.
    """
    every = gather_with_concurrency(
        config.get("max_concurrency"), *(each.ask() for each in asked)
    )
    with set_config_context(config) as context:
        said = await coro_with_context(every, context)
    return Answers({each.key: what for each, what in zip(asked, said, strict=True)})
