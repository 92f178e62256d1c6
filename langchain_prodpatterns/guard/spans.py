"""Where values are, and what becomes of those that overlap. Pure functions."""

from collections.abc import Iterable
from dataclasses import dataclass

from langchain_prodpatterns.guard.policy import STRICTEST, Handling


@dataclass(frozen=True, slots=True)
class Span:
    """A value that a detector found."""

    start: int
    """Where it starts, in characters of the text."""
    end: int
    """Where it ends."""
    type: str
    """The name of its detector."""
    action: Handling
    """What is done with it."""


def resolve(spans: Iterable[Span]) -> list[Span]:
    """Join spans that overlap.

    A part of a value is as private as the whole, so what overlaps becomes one span:
    with the strictest action of all, and the type of the longest span that has it.
    Spans that only touch stay apart. The order of the spans does not matter.

    Args:
        spans: Spans in any order.

    Returns:
        Disjoint spans in the order of the text.
    """
    joined: list[list[Span]] = []
    end = -1
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if span.start >= end:
            joined.append([])
        joined[-1].append(span)
        end = max(end, span.end)
    return [_join(group) for group in joined]


def _join(group: list[Span]) -> Span:
    lead = max(group, key=_weight)
    start = min(span.start for span in group)
    end = max(span.end for span in group)
    return Span(start, end, lead.type, lead.action)


def _weight(span: Span) -> tuple[int, int, bool, str]:
    # Of equals, a key of a known form is more than a secret.
    size = span.end - span.start
    return STRICTEST[span.action], size, span.type != "secret", span.type
