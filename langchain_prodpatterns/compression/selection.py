"""What comes of a packing: the quotes, or what is done when there are none. Pure."""

import logging
from dataclasses import dataclass
from typing import Literal

from langchain_core.documents import Document

from langchain_prodpatterns.compression.packer import Limits, Packing, pack
from langchain_prodpatterns.compression.quotes import Quotes, Spans

logger = logging.getLogger(__name__)

OnEmpty = Literal["keep_best", "drop", "passthrough"]
"""What is returned when no passage is worth quoting, or none fits."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is returned, and why."""

    documents: list[Document]
    """The quotes."""
    decision: str
    """`compressed`, `unchanged`, `kept best`, `passed through`, `dropped`, `empty`."""
    reason: str
    """Why, in words."""
    tokens_in: int
    """Tokens of all documents, uncompressed."""
    tokens_out: int
    """Tokens of the quotes."""
    repeated: int = 0
    """Passages left out because a better one says the same."""


def select(quotes: Quotes, limits: Limits, on_empty: OnEmpty) -> Selection:
    """Pack and quote; where nothing could be packed do what `on_empty` says.

    Args:
        quotes: The passages with their scores.
        limits: The limits.
        on_empty: The policy.

    Returns:
        The documents to return.
    """
    packing = pack(quotes, limits)
    if not packing.chosen:
        return _empty(quotes, limits, packing, on_empty)
    decision = "compressed" if packing.tokens < quotes.tokens_in else "unchanged"
    documents = quotes.quote(quotes.spans(packing.chosen))
    return Selection(
        documents,
        decision,
        f"{len(packing.chosen)} of {len(quotes.passages)} passages from "
        f"{len(documents)} of {len(quotes.documents)} documents",
        quotes.tokens_in,
        packing.tokens,
        packing.repeated,
    )


def _empty(
    quotes: Quotes, limits: Limits, packing: Packing, on_empty: OnEmpty
) -> Selection:
    if not quotes.documents:
        return Selection([], "empty", "no documents came in", 0, 0)
    why = _why(quotes, limits, packing)
    if on_empty == "passthrough":
        return Selection(
            quotes.quote(quotes.whole()),
            "passed through",
            f"{why}: the documents are returned uncompressed",
            quotes.tokens_in,
            quotes.tokens_in,
        )
    if not quotes.passages:
        return _nothing(quotes, "empty", why)
    if on_empty == "drop":
        return _nothing(quotes, "dropped", why)
    # Of what a judge chose the best, where none of that fits.
    best = packing.ranked[0] if packing.ranked else int(quotes.scores.argmax())
    return _keep_best(best, quotes, limits, why)


def _keep_best(best: int, quotes: Quotes, limits: Limits, why: str) -> Selection:
    spans: Spans = quotes.spans([best])
    if quotes.tokens(spans) > limits.tokens:
        spans = quotes.cut_to_fit(best, limits.tokens)
    if not spans:
        logger.warning(
            "a budget of %d tokens is too small for a heading and a word: "
            "the context is empty",
            limits.tokens,
        )
        return _nothing(quotes, "empty", "the budget is too small for a single word")
    return Selection(
        quotes.quote(spans),
        "kept best",
        f"{why}: the best passage is returned, cut where needed",
        quotes.tokens_in,
        quotes.tokens(spans),
    )


def _nothing(quotes: Quotes, decision: str, reason: str) -> Selection:
    return Selection([], decision, reason, quotes.tokens_in, 0)


def _why(quotes: Quotes, limits: Limits, packing: Packing) -> str:
    if not quotes.passages:
        return "the documents hold no text"
    if limits.refusal:
        return limits.refusal
    if not packing.ranked:
        return "no passage reaches min_score"
    return "no passage fits the budget"
