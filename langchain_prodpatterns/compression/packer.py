"""Which passages to quote: the best that fit, nothing twice. Pure."""

import math
import re
from collections import defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from langchain_prodpatterns.compression.passages import Passage
from langchain_prodpatterns.compression.quotes import Quotes


@dataclass(frozen=True, slots=True)
class Limits:
    """What a packing must keep to."""

    tokens: int
    """Tokens of all quotes together, headings and joiners included."""
    documents: int | None = None
    """Documents that may be quoted."""
    min_score: float | None = None
    """The least score of a quoted passage."""
    refusal: str = ""
    """Why no passage is worth quoting, where that is known before."""
    among: frozenset[int] | None = None
    """The passages that a judge chose; `None` where none was asked."""
    neighbors: int = 0
    """Passages on each side of a quoted one that may fill what is left, although they
    have not the least score, or the judge did not choose them."""


@dataclass(frozen=True, slots=True)
class Packing:
    """What was chosen and what was not."""

    chosen: tuple[int, ...]
    """The passages to quote."""
    tokens: int
    """Tokens of their quotes."""
    ranked: tuple[int, ...]
    """The passages worth quoting for their own sake, best first."""
    repeated: int
    """Passages left out because a better one says the same in the same words."""


def pack(quotes: Quotes, limits: Limits) -> Packing:
    """Choose passages, best first; what does not fit is skipped and the rest tried on.

    Costs are added up while choosing, which is fast and a little too careful; then the
    quotes are counted as they will be read, and what that leaves is filled again, then
    with the neighbors of what was chosen. What another document says in the same words
    comes last of all: where there is room for it, it is evidence about that document.

    Args:
        quotes: The passages with their scores and their cost.
        limits: The limits.

    Returns:
        The packing, never over a limit.
    """
    return _Packer(quotes, limits).pack()


class _Packer:
    def __init__(self, quotes: Quotes, limits: Limits) -> None:
        self._quotes = quotes
        self._limits = limits
        self._ranked = _ranked(quotes, limits)
        self._waiting = list(self._ranked)
        self._chosen: list[int] = []
        self._costs: dict[Hashable, int] = {}
        self._headers: set[tuple[int, tuple[int, int]]] = set()
        self._openings: dict[int, int] = {}
        self._said = _Said()
        self._copies = 0
        self._echoes: list[int] = []
        self._takes_echoes = False

    def pack(self) -> Packing:
        spent = self._fill(0)
        self._waiting = self._neighbors()
        spent = self._fill(spent)
        self._waiting, self._takes_echoes = self._echoes, True
        spent = self._fill(spent)
        left_out = set(self._echoes).difference(self._chosen)
        return Packing(
            chosen=tuple(self._chosen),
            tokens=spent,
            ranked=tuple(self._ranked),
            repeated=self._copies + len(left_out),
        )

    def _fill(self, spent: int) -> int:
        """Add what fits to what is chosen, and return the tokens of all that."""
        # Where everything fits, being careful would only leave a sentence out.
        roomy = self._limits.tokens >= self._quotes.tokens_in
        left = math.inf if roomy else self._limits.tokens - spent
        while self._add(left):
            spent = self._tokens()
            # Tokens do not add up exactly; whatever the counter, the limit holds.
            while spent > self._limits.tokens:
                self._chosen.pop()
                spent = self._tokens()
            left = self._limits.tokens - spent
        return spent

    def _neighbors(self) -> list[int]:
        """The passages beside the chosen ones: the nearest first, those of the best."""
        passages, ranked = self._quotes.passages, set(self._ranked)
        steps = range(1, self._limits.neighbors + 1)
        beside = [
            (at, at + sign * step)
            for step in steps
            for at in self._chosen
            # What stands before a passage says whom its pronouns mean.
            for sign in (-1, 1)
        ]
        found = {
            other: None
            for at, other in beside
            if 0 <= other < len(passages)
            and passages[other].document == passages[at].document
            and other not in ranked
        }
        return list(found)

    def _tokens(self) -> int:
        if not self._chosen:
            return 0
        return self._quotes.tokens(self._quotes.spans(self._chosen))

    def _add(self, left: float) -> bool:
        """Add what fits into the tokens left; `False` when nothing did."""
        opened = {self._quotes.passages[at].document for at in self._chosen}
        waiting: list[int] = []
        before = len(self._chosen)
        for position, at in enumerate(self._waiting):
            if left < 1:
                waiting += self._waiting[position:]
                break
            passage = self._quotes.passages[at]
            cost = self._cost(at, passage, opened)
            if cost > left or not self._may_open(passage.document, opened):
                waiting.append(at)
            elif not self._is_repeated(at, passage):
                self._said.add(passage, self._quotes.titles[passage.document])
                self._chosen.append(at)
                opened.add(passage.document)
                if passage.header:
                    self._headers.add((passage.document, passage.header))
                left -= cost
        self._waiting = waiting
        return len(self._chosen) > before

    def _is_repeated(self, at: int, passage: Passage) -> bool:
        """Whether a better passage says the same; an echo is put off for later."""
        found = self._said.find(passage, self._quotes.titles[passage.document])
        if found == "copy":
            self._copies += 1
        elif found == "echo" and not self._takes_echoes:
            self._echoes.append(at)
        else:
            return False
        return True

    def _may_open(self, document: int, opened: set[int]) -> bool:
        most = self._limits.documents
        return most is None or document in opened or len(opened) < most

    def _cost(self, at: int, passage: Passage, opened: set[int]) -> int:
        document = passage.document
        cost = self._counted(at, passage.text)
        header = passage.header
        if header and (document, header) not in self._headers:
            source = self._quotes.documents[document].page_content
            cost += self._counted((document, header), source[slice(*header)])
        if document not in opened:
            if document not in self._openings:
                self._openings[document] = self._quotes.opening_cost(document)
            cost += self._openings[document]
        return cost

    def _counted(self, key: Hashable, text: str) -> int:
        if key not in self._costs:
            self._costs[key] = self._quotes.cost(text)
        return self._costs[key]


def _ranked(quotes: Quotes, limits: Limits) -> list[int]:
    """The passages worth quoting, best first; equal ones as retrieved."""
    if limits.refusal:
        return []
    best_first: list[int] = np.argsort(-quotes.scores, kind="stable").tolist()
    least = -math.inf if limits.min_score is None else limits.min_score
    among = limits.among
    return [
        at
        for at in best_first
        if quotes.scores[at] >= least and (among is None or at in among)
    ]


_TOKEN = re.compile(r"-?\d++(?:[.,]\d++)*+|[^\W\d]++|[^\w\s.,;:!?'\"()…]")
_ARTICLES = frozenset({"a", "an", "the"})
_TELLING = 8

_Pairs = frozenset[tuple[str, ...]]


class _Said:
    """What has been quoted, to recognize what would be quoted twice.

    A passage repeats a better one when each pair of neighboring words in it is also in
    the other one, apart from case, punctuation and articles: a copy, or a part of it.
    A number, a name or a `not` that differs is never a repetition. A short passage
    means what its context makes of it, so its title and section have to be the same.
    Under another title a long one is an echo: it says so of something else.
    """

    def __init__(self) -> None:
        self._passages: list[tuple[_Pairs, str]] = []
        self._holders: dict[tuple[str | None, tuple[str, ...]], list[int]]
        self._holders = defaultdict(list)

    def find(self, passage: Passage, title: str) -> Literal["copy", "echo"] | None:
        pairs = _word_pairs(passage)
        long = len(pairs) >= _TELLING
        sections = self._sections(pairs, title)
        if any(long or section == passage.section for section in sections):
            return "copy"
        return "echo" if long and any(True for _ in self._sections(pairs)) else None

    def add(self, passage: Passage, title: str) -> None:
        pairs = _word_pairs(passage)
        for key in [(of, pair) for pair in pairs for of in (title, None)]:
            self._holders[key].append(len(self._passages))
        self._passages.append((pairs, passage.section))

    def _sections(self, pairs: _Pairs, title: str | None = None) -> Iterator[str]:
        """Yield the sections of what holds all pairs, under one title or under any."""
        rarest = min((self._holders.get((title, pair), ()) for pair in pairs), key=len)
        for holder in rarest:
            said, section = self._passages[holder]
            if pairs <= said:
                yield section


def _word_pairs(passage: Passage) -> _Pairs:
    words = list(_telling_words(passage.text))
    # A row means what its header says, and is never the row of another table.
    table = () if passage.header is None else (passage.document, *passage.header)
    mark = tuple(map(str, table))
    if len(words) < 2:  # noqa: PLR2004 - a pair has two
        return frozenset({(*words, *mark) if words else (passage.text, *mark)})
    return frozenset((*pair, *mark) for pair in pairwise(words))


def _telling_words(text: str) -> Iterator[str]:
    for word in _TOKEN.findall(text.casefold()):
        if word not in _ARTICLES:
            yield word
