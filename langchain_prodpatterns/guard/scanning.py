"""One look at one text: find, decide, replace, and keep the record."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from operator import index

from langchain_prodpatterns.guard.detectors import BoundedDetector, Detector
from langchain_prodpatterns.guard.detectors.patterns import LOOKBACK, Shape
from langchain_prodpatterns.guard.frontiers import AnyFrontier, frontiers_of, shapes_of
from langchain_prodpatterns.guard.normalizing import View, view_of
from langchain_prodpatterns.guard.policy import Handling, replacement
from langchain_prodpatterns.guard.seams import Seams
from langchain_prodpatterns.guard.spans import Span, resolve
from langchain_prodpatterns.guard.stand_ins import PROCESS_KEY, digest_of

Write = Callable[[str, str, Handling], str]
"""Takes a value, its type and what is done with it; returns what to write instead."""

_ROOM = 256
"""Characters for each change below which a text is looked at as a whole: many small
parts would cost more."""
_NEXT_WORD = re.compile("(?<=[a-z0-9])(?=[A-Z])|[_-]")


@dataclass(frozen=True, slots=True)
class Finding:
    """The record of a value, without the value."""

    type: str
    """Its type."""
    action: Handling
    """What was done."""
    start: int
    """Where it started in its text, in characters."""
    end: int
    """Where it ended."""
    digest: str
    """A keyed digest of the value: equal values have equal ones."""


@dataclass
class Record:
    """What a guard saw in one run."""

    findings: list[Finding] = field(default_factory=list)
    """Every value that was found, in order."""
    failures: list[str] = field(default_factory=list)
    """What failed: the name of the detector or `judge`, and how."""
    injections: int = 0
    """How many texts the classifier or the judge took for an injection."""
    gray: int = 0
    """How many texts the classifier was in doubt about."""
    dropped: int = 0
    """How many documents were dropped."""
    documents: int = 0
    """How many documents there were."""
    key: bytes = field(default=PROCESS_KEY, repr=False)
    """For the digests; by default they can be compared within one process only."""

    def take(self, other: "Record") -> None:
        """Add what another record holds."""
        self.findings += other.findings
        self.failures += other.failures
        self.injections += other.injections
        self.gray += other.gray

    def of(self, *actions: Handling) -> list[Finding]:
        """Return the findings with one of these actions."""
        return [finding for finding in self.findings if finding.action in actions]

    def counts(self, *actions: Handling) -> str:
        """Count the findings with one of these actions: `card 1, email 2`."""
        types = Counter(finding.type for finding in self.of(*actions))
        return ", ".join(f"{name} {count}" for name, count in sorted(types.items()))


class Scanner:
    """Finds values with every detector that the policy does not switch off."""

    def __init__(
        self, detectors: Iterable[Detector], policy: Mapping[str, Handling]
    ) -> None:
        """Pair detectors with their actions.

        Args:
            detectors: The detectors.
            policy: An action for each.
        """
        self.detectors: Sequence[tuple[Detector, Handling]] = [
            (detector, policy[detector.name])
            for detector in detectors
            if policy[detector.name] != "allow"
        ]
        # Only these look at a value and at what is near it, and not at the whole text.
        self._bounded = [
            isinstance(detector, BoundedDetector) for detector, _ in self.detectors
        ]

    @cached_property
    def shapes(self) -> Sequence[Shape] | None:
        """What decides a stream; `None` where a detector has no bound."""
        return shapes_of(detector for detector, _ in self.detectors)

    @cached_property
    def frontiers(self) -> Sequence[AnyFrontier] | None:
        """What is asked for it, at the start of a stream: to be copied for each."""
        return None if self.shapes is None else frontiers_of(self.shapes)

    @cached_property
    def calm(self) -> float:
        """Calm texts that are shorter hold no value; 0 where that is not known."""
        shapes = [
            shape
            for detector, _ in self.detectors
            if isinstance(detector, BoundedDetector)
            for shape in detector.shapes
        ]
        if self.shapes is None:
            return 0
        return min((shape.calm for shape in shapes), default=inf)

    @cached_property
    def _seams(self) -> Seams | None:
        """Where to cut a text; `None` where a detector sees it as a whole only."""
        return None if self.shapes is None else Seams(self.shapes)

    def find(
        self, text: str, record: Record, *, since: int = 0, label: str = ""
    ) -> list[Span]:
        """Find the values in a text.

        Args:
            text: The text.
            record: Where a detector that fails is put down.
            since: Values that start before this are not looked at.
            label: What the text stands under, such as `order_id`: it says of digits
                what they are, as a word in front of them does.

        Returns:
            Disjoint spans in order.
        """
        spans = self._seen(text, record, label)
        view = view_of(text)
        if view is not None:
            spans += self._seen_in(view, record, label)
        return resolve(span for span in spans if span.start >= since)

    def _seen_in(self, view: View, record: Record, label: str) -> Iterator[Span]:
        """Find what is seen only where looks do not matter: near what they change."""
        whole = [(0, len(view.text))]
        seams = None if len(view.changes) * _ROOM > len(view.text) else self._seams
        parts = whole if seams is None else seams.around(view.text, view.changes)
        for start, end in parts:
            lead = max(0, start - LOOKBACK)
            part = view.text[lead : end + 1]
            # Deeper in the text no value is so near to what the text stands under.
            for span in self._seen(part, record, "" if lead else label):
                if lead + span.start >= start:
                    place = view.place(lead + span.start, lead + span.end)
                    yield Span(*place, span.type, span.action)

    def _seen(self, text: str, record: Record, label: str) -> list[Span]:
        """Find the values in a text as it stands."""
        spans: list[Span] = []
        heading = _heading(label) if label else ""
        for (detector, action), bounded in zip(
            self.detectors, self._bounded, strict=True
        ):
            if heading and bounded:
                under = self._ask(detector, action, heading + text, record)
                spans += _behind(under, len(heading))
            else:
                spans += self._ask(detector, action, text, record)
        return spans

    def _ask(
        self, detector: Detector, action: Handling, text: str, record: Record
    ) -> list[Span]:
        """Ask one detector; what it raises may hold the value: only its type stays.

        What it found before it failed counts. A place that is none is a failure: what
        it was meant to point at cannot be told.
        """
        spans: list[Span] = []
        failure = ""
        try:
            for start, end in detector.find(text):
                if 0 <= (first := index(start)) < (last := index(end)) <= len(text):
                    spans.append(Span(first, last, detector.name, action))
                else:
                    failure = f"{detector.name} (a place outside the text)"
        except Exception as error:  # noqa: BLE001 - any failure of any detector counts
            failure = f"{detector.name} ({type(error).__name__})"
        if failure and failure not in record.failures:
            record.failures.append(failure)
        return spans


def _heading(label: str) -> str:
    """Spell keys, `orderId` or `order_id`, as a label in a text would be."""
    words = _NEXT_WORD.sub(" ", label)
    return f"{words[2 - LOOKBACK :]}: "


def _behind(spans: Iterable[Span], size: int) -> Iterator[Span]:
    """Yield the spans behind a heading, in places of the text that it heads."""
    for span in spans:
        if span.end > size:
            start = max(0, span.start - size)
            yield Span(start, span.end - size, span.type, span.action)


def note(text: str, span: Span, offset: int, record: Record) -> None:
    """Put a value down without the value.

    Args:
        text: The text that the span is in.
        span: Where the value is.
        offset: Where that text starts in the whole.
        record: The record.
    """
    if span.action == "restore":
        return  # a stand-in is no value
    value = text[span.start : span.end]
    record.findings.append(
        Finding(
            span.type,
            span.action,
            span.start + offset,
            span.end + offset,
            digest_of(value, record.key),
        )
    )


def replaced(
    text: str,
    spans: Iterable[Span],
    start: int,
    end: int,
    *,
    write: Write = replacement,
    hide: bool = False,
) -> str:
    """Return a part of a text with the values replaced as their actions say.

    Args:
        text: The text.
        spans: The values, in order; none reaches across the ends of the part.
        start: Where the part starts.
        end: Where it ends.
        write: What writes in the place of a value.
        hide: Redact every value, whatever its action: what a judge gets to see.

    Returns:
        The text of the part.
    """
    parts: list[str] = []
    position = start
    for span in spans:
        if start <= span.start and span.end <= end:
            value = text[span.start : span.end]
            shown = (
                replacement(value, span.type, "redact")
                if hide
                else write(value, span.type, span.action)
            )
            parts += text[position : span.start], shown
            position = span.end
    return "".join([*parts, text[position:end]])
