"""Quotes for a prompt, and from a citation in an answer back to the source."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from langchain_core.documents import Document

from langchain_prodpatterns.compression.passages import plain_title

SPANS_KEY = "prodpatterns.spans"
"""Metadata of a quote: `[start, end]` of each part, in characters of the source."""
SCORE_KEY = "prodpatterns.score"
"""Metadata of a quote: the score of its best passage."""
TOKENS_IN_KEY = "prodpatterns.tokens_in"
"""Metadata of a quote: tokens of the source."""
TOKENS_OUT_KEY = "prodpatterns.tokens_out"
"""Metadata of a quote: tokens of the quote."""

JOINER = "\n"
"""Between two parts of a document that are not neighbors."""

_BREAKS = r"\n\r\v\f\x1c-\x1e\x85\u2028\u2029"
_LIKE_HEADING = re.compile(
    rf"(?:^|(?<=[{_BREAKS}]))([^\S{_BREAKS}]*+)\[(?=[^\S{_BREAKS}]*+\d)"
)


# Possessive and of bounded parts: linear. An escaped bracket, as `format_citations`
# writes it, cites nothing.
_CITED = re.compile(
    r"(?<!\\)\[\s{0,3}(\d{1,4}(?:\s{0,3}[-\u2013,;]\s{0,3}\d{1,4}){0,50}+)\s{0,3}\]",
    re.ASCII,
)
_DIGITS = re.compile(r"\d+", re.ASCII)
_LONGEST_RANGE = 50


class Citation(NamedTuple):
    """What a number in an answer refers to."""

    document: Document
    """The quote with the metadata and the id of its source."""
    spans: list[tuple[int, int]]
    """The parts of the source it quotes, in characters of the source."""


class Reference(NamedTuple):
    """A place in an answer that cites."""

    start: int
    """Offset of its bracket in the answer."""
    end: int
    """Offset behind its bracket."""
    number: int
    """The number it cites; `[1, 3]` is two references at one place."""
    citation: Citation | None
    """What it refers to; `None` where it cites what is not there."""


def format_citations(documents: Iterable[Document]) -> str:
    r"""Render documents for a prompt, numbered so that an answer can cite them.

    The `token_budget` of a `ContextCompressor` holds for exactly this text. A line of
    a document that begins like a heading of this one, `[2]`, is written `\[2]`, so
    that no document can speak under the number of another.

    Args:
        documents: The documents, as a compressor returned them.

    Returns:
        `[1] title` and under it the text, then a blank line and `[2]`. The title is the
        metadata `title`, else `source`, else nothing.
    """
    return render((headline(document), document.page_content) for document in documents)


def resolve_citation(number: int, documents: Sequence[Document]) -> Citation:
    """Find what a citation refers to.

    Args:
        number: The number in the answer, from 1.
        documents: The documents that were formatted, in the same order.

    Returns:
        The document and the parts of its source. A document that was not compressed is
        quoted whole.

    Raises:
        IndexError: When nothing has that number: the answer cites what is not there.
    """
    if not 1 <= number <= len(documents):
        msg = f"there is no citation [{number}] among {len(documents)} documents"
        raise IndexError(msg)
    document = documents[number - 1]
    whole = [[0, len(document.page_content)]]
    spans = document.metadata.get(SPANS_KEY, whole)
    return Citation(document, [(start, end) for start, end in spans])


def find_citations(answer: str, documents: Sequence[Document]) -> list[Reference]:
    """Find what an answer cites, also `[1, 3]` and `[2-4]`.

    Args:
        answer: The answer of a model that was shown `format_citations(documents)`.
        documents: The documents that were formatted, in the same order.

    Returns:
        The references in the order of the answer. Those whose `citation` is `None` are
        numbers that the model made up.
    """
    return [
        Reference(
            match.start(),
            match.end(),
            number,
            resolve_citation(number, documents)
            if 1 <= number <= len(documents)
            else None,
        )
        for match in _CITED.finditer(answer)
        for number in _numbers(match[1])
    ]


def _numbers(listed: str) -> Iterator[int]:
    """Read `1, 3-5`."""
    for part in re.split("[,;]", listed):
        first, *rest = map(int, _DIGITS.findall(part))
        last = rest[-1] if rest else first
        # What is no range of a prompt is two numbers.
        if 0 <= last - first <= _LONGEST_RANGE:
            yield from range(first, last + 1)
        else:
            yield from (first, last)


def headline(document: Document) -> str:
    """Return what a document is called in a prompt."""
    metadata = document.metadata
    return plain_title(metadata.get("title")) or plain_title(metadata.get("source"))


def is_quote(document: Document) -> bool:
    """Whether a document says of itself what it quotes, and says it truly."""
    spans = document.metadata.get(SPANS_KEY)
    if not (isinstance(spans, list) and spans and all(map(_is_span, spans))):
        return False
    # A text that was cut or changed since has another length.
    length = sum(end - start for start, end in spans)
    length += len(JOINER) * (len(spans) - 1)
    ascending = all(one[1] <= other[0] for one, other in pairwise(spans))
    return ascending and length == len(document.page_content)


def in_source(
    document: Document, parts: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Find where parts of a document stand in its source.

    Args:
        document: A document, which may be a quote itself.
        parts: Offsets into its text, ascending.

    Returns:
        Offsets into the text that the quote was taken from; the parts as they are
        where the document is no quote.
    """
    if not is_quote(document):
        return list(parts)
    quoted = document.metadata[SPANS_KEY]
    lengths = (end - start + len(JOINER) for start, end in quoted)
    begins = list(accumulate(lengths, initial=0))[:-1]
    found: list[tuple[int, int]] = []
    for start, end in parts:
        at = bisect_right(begins, start) - 1
        while at < len(begins) and begins[at] < end:
            offset = quoted[at][0] - begins[at]
            first, last = max(start, begins[at]), min(end, quoted[at][1] - offset)
            if first < last:
                found.append((first + offset, last + offset))
            at += 1
    return found


def render(entries: Iterable[tuple[str, str]]) -> str:
    """Render titles and texts."""
    return "\n\n".join(
        f"{heading(number, title)}\n{_LIKE_HEADING.sub(_ESCAPED, text)}"
        for number, (title, text) in enumerate(entries, 1)
    )


_ESCAPED = r"\1\\["


def _is_span(value: Any) -> bool:
    pair = isinstance(value, list | tuple) and len(value) == 2  # noqa: PLR2004 - a pair
    return pair and all(type(at) is int for at in value) and 0 <= value[0] <= value[1]


def heading(number: int, title: str) -> str:
    """Render the line above a text."""
    return f"[{number}] {title}".rstrip()
