"""From chosen passages to documents: verbatim spans, counted as they will be read."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

from langchain_core.documents import Document

from langchain_prodpatterns.compression.bm25 import Scores
from langchain_prodpatterns.compression.characters import between_characters
from langchain_prodpatterns.compression.citations import (
    JOINER,
    SCORE_KEY,
    SPANS_KEY,
    TOKENS_IN_KEY,
    TOKENS_OUT_KEY,
    heading,
    headline,
    in_source,
    is_quote,
    render,
)
from langchain_prodpatterns.compression.passages import Passage
from langchain_prodpatterns.tokens import TokenCounter

Order = Literal["rank", "source", "edges"]
"""`rank`: the document with the best passage first. `source`: as retrieved. `edges`:
the best first, the next best last, and so on to the worst in the middle."""

Spans = Mapping[int, Sequence[tuple[int, int]]]
"""The quoted parts of each document."""

_LARGEST_BLANK = 4


class Quotes:
    """Quotes from the documents of one question."""

    def __init__(
        self,
        documents: Sequence[Document],
        passages: Sequence[Passage],
        scores: Scores,
        count: TokenCounter,
        order: Order,
    ) -> None:
        """Hold what is quoted from.

        Args:
            documents: What was retrieved.
            passages: Their passages.
            scores: The score of each passage.
            count: How to count tokens.
            order: The order of the documents that are returned.
        """
        self.documents = documents
        self.passages = passages
        self.scores = scores
        self.count = count
        self._order = order
        self.titles = [headline(document) for document in documents]
        self._passages_of: dict[int, list[int]] = defaultdict(list)
        for at, passage in enumerate(passages):
            self._passages_of[passage.document].append(at)

    @cached_property
    def tokens_in(self) -> int:
        """Tokens of all documents, uncompressed, as `format_citations` shows them."""
        texts = (document.page_content for document in self.documents)
        return self.count(render(zip(self.titles, texts, strict=True)))

    def tokens(self, spans: Spans) -> int:
        """Count the tokens of quotes, with their headings and all that joins them."""
        return self.count(render(self._entries(spans)))

    def opening_cost(self, document: int) -> int:
        """Estimate what the first quote of a document costs besides its own text."""
        title = heading(len(self.documents), self.titles[document])
        return self.count(f"\n\n{title}")

    def cost(self, text: str) -> int:
        """Estimate what one more part costs: at least 1."""
        return max(1, self.count(f"{JOINER}{text}"))

    def spans(self, chosen: Iterable[int]) -> Spans:
        """Return the parts of each document that are quoted, neighbors as one."""
        parts: dict[int, set[tuple[int, int]]] = defaultdict(set)
        for at in chosen:
            passage = self.passages[at]
            parts[passage.document].add((passage.start, passage.end))
            if passage.header:
                parts[passage.document].add(passage.header)
        return {
            document: _joined(self.documents[document].page_content, sorted(found))
            for document, found in parts.items()
        }

    def quote(self, spans: Spans) -> list[Document]:
        """Return the quotes as new documents: metadata copied, id kept."""
        best = self._best(spans)
        return [
            self._document(number, spans[number], best[number])
            for number in self._sorted(spans)
        ]

    def whole(self) -> Spans:
        """Return the spans that quote every document from end to end."""
        return {
            number: [(0, len(document.page_content))]
            for number, document in enumerate(self.documents)
        }

    def cut_to_fit(self, best: int, limit: int) -> Spans:
        """Return the longest beginning of a passage that fits, cut between words.

        Args:
            best: The passage.
            limit: The tokens it may have.

        Returns:
            Its span, or nothing when not even one character fits.
        """
        passage = self.passages[best]
        source = self.documents[passage.document].page_content

        def fits(stop: int) -> bool:
            return self.tokens({passage.document: [(passage.start, stop)]}) <= limit

        low, high = passage.start, passage.end
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if fits(middle) else (low, middle - 1)
        stop = _between_words(source, passage.start, low, passage.end)
        if stop > passage.start and fits(stop):
            return {passage.document: [(passage.start, stop)]}
        return {}

    def _sorted(self, spans: Spans) -> list[int]:
        if self._order == "source":
            return sorted(spans)
        best = self._best(spans)
        ranked = sorted(spans, key=lambda number: (-best[number], number))
        if self._order == "edges":
            # Models read the middle of a long context with the least attention: Liu et
            # al., 2023, "Lost in the Middle".
            return [*ranked[::2], *reversed(ranked[1::2])]
        return ranked

    def _best(self, spans: Spans) -> dict[int, float]:
        """Return the score of the best passage that is quoted of each document."""
        best: dict[int, float] = {}
        for number, parts in spans.items():
            begins = [start for start, _ in parts]
            quoted = (
                float(self.scores[at])
                for at in self._passages_of[number]
                if _is_within(self.passages[at].start, begins, parts)
            )
            best[number] = max(quoted, default=0.0)
        return best

    def _entries(self, spans: Spans) -> list[tuple[str, str]]:
        return [
            (self.titles[number], self._text(number, spans[number]))
            for number in self._sorted(spans)
        ]

    def _text(self, document: int, parts: Sequence[tuple[int, int]]) -> str:
        source = self.documents[document].page_content
        return JOINER.join(source[start:end] for start, end in parts)

    def _document(
        self, number: int, parts: Sequence[tuple[int, int]], score: float
    ) -> Document:
        source = self.documents[number]
        text = self._text(number, parts)
        tokens_in = self.count(source.page_content)
        if is_quote(source):
            tokens_in = source.metadata.get(TOKENS_IN_KEY, tokens_in)
        return Document(
            page_content=text,
            id=source.id,
            metadata={
                **_copied(source.metadata),
                SPANS_KEY: [list(part) for part in in_source(source, parts)],
                SCORE_KEY: score,
                TOKENS_IN_KEY: tokens_in,
                TOKENS_OUT_KEY: self.count(text),
            },
        )


def _copied(value: Any) -> Any:
    """Copy lists and dicts at any depth, and leave alone what they hold."""
    if type(value) is dict:
        return {key: _copied(item) for key, item in value.items()}
    if type(value) is list:
        return [_copied(item) for item in value]
    return value


def _is_within(
    at: int, begins: Sequence[int], parts: Sequence[tuple[int, int]]
) -> bool:
    """Whether an offset is in one of the parts, which begin at `begins`."""
    part = bisect_right(begins, at) - 1
    return part >= 0 and at < parts[part][1]


def _joined(source: str, parts: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join parts that only a few blanks separate, so that their text stays whole."""
    joined = [parts[0]]
    for start, end in parts[1:]:
        behind = joined[-1][1]
        near = start - behind <= _LARGEST_BLANK
        if near and not source[behind:start].strip():
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _between_words(text: str, start: int, stop: int, end: int) -> int:
    """Move an offset back to the end of a word, or at least of a character."""
    if stop >= end:
        return stop
    if stop > start and not (text[stop].isspace() or text[stop - 1].isspace()):
        words = text[start:stop].rsplit(maxsplit=1)
        if len(words) > 1:
            return start + len(words[0].rstrip())
    stop = between_characters(text, start, stop, end)
    return start + len(text[start:stop].rstrip())
