"""`prodpatterns cache explain`: which stored questions are near a text."""

import argparse
import heapq
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from langchain_core.embeddings import Embeddings

from langchain_prodpatterns._table import plain_table
from langchain_prodpatterns.cache.costs import NEEDED_UNPRICED
from langchain_prodpatterns.cache.decision import Candidate, Stakes, decide
from langchain_prodpatterns.cache.guards import fired
from langchain_prodpatterns.cache.learning import Learning
from langchain_prodpatterns.cache.steps import unit_vector
from langchain_prodpatterns.cache.stores import CacheStore, Entry, Selection
from langchain_prodpatterns.cache.stores.base import Vector
from langchain_prodpatterns.commands.loading import load_embeddings
from langchain_prodpatterns.commands.output import Output
from langchain_prodpatterns.commands.parsing import add_where
from langchain_prodpatterns.commands.stats import add_delta
from langchain_prodpatterns.commands.values import (
    count,
    shown_seconds,
    shown_text,
    shown_usd,
)
from langchain_prodpatterns.errors import ConfigurationError, ProdPatternsError
from langchain_prodpatterns.fingerprints import Fingerprint, fingerprint_of

_SAME_TEXT = "the same text: served if all else of the request is equal, too"
_IS_OPEN = {
    "judge": ": the judge decides",
    "watch": ": the judge is asked, and not yet believed",
}
_WHOLE = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--query", metavar="TEXT", required=True, help="the question")
    add_where(parser)
    parser.add_argument(
        "--limit", metavar="K", type=count, default=10, help="rows (default: 10)"
    )
    parser.add_argument(
        "--embeddings",
        metavar="MODULE:ATTRIBUTE",
        help="the cache's embeddings, or a function without arguments that returns "
        "them, imported from the working directory or an installed package; or "
        "fastembed[:MODEL]; without it only answers to this very text are found",
    )
    parser.add_argument(
        "--show-values",
        action="store_true",
        help="print the stored answers, too: they are private",
    )
    add_delta(parser)


@dataclass(frozen=True, slots=True)
class Near:
    """A stored question, and what would become of the new one beside it."""

    entry: Entry
    """The entry."""
    similarity: float | None
    """The cosine to the question; `None` where it was found by its text."""
    guards: tuple[str, ...]
    """The guards that see a difference."""
    decision: str
    """`exact`, or what would be done: `serve`, `judge`, `watch` or `miss`."""
    reason: str
    """Why, or what is needed for it to be served."""

    def record(self, *, with_value: bool) -> dict[str, Any]:
        """Return it for machines."""
        entry = self.entry
        value = {"value": entry.value} if with_value else {}
        age = max(time.time() - entry.created, 0.0)
        return {
            "key": entry.key,
            "hit_id": f"{entry.key}.{entry.exact}",
            "text": entry.text,
            "namespace": entry.namespace,
            "partition": entry.partition,
            "similarity": self.similarity,
            "guards": list(self.guards),
            "decision": self.decision,
            "reason": self.reason,
            "age_seconds": age,
            "expires_in_seconds": None if entry.ttl is None else entry.ttl - age,
            "hits": entry.hits,
            "saved_usd": entry.saved.usd,
            "saved_tokens": entry.saved.total_tokens,
            "saved_seconds": entry.saved.seconds,
            **value,
        }


def run(options: argparse.Namespace, store: CacheStore, output: Output) -> int:
    """Print what is near a question.

    Raises:
        ConfigurationError: When the embeddings cannot be had, or are others.
    """
    if options.embeddings is None:
        found = list(_same_text(options, store))
        note = "only answers to this very text: give --embeddings for those near it"
    else:
        found = _nearest(options, store, load_embeddings(options.embeddings))
        note = ""
    records = [one.record(with_value=options.show_values) for one in found]
    record = {"query": options.query, "found": records}
    output.show(record, "\n".join(filter(None, (_text(records), note))))
    return 0


def _same_text(options: argparse.Namespace, store: CacheStore) -> Iterator[Near]:
    selection = _selection(options, text=options.query)
    for entry, _ in islice(store.scan(selection), options.limit):
        reason = _SAME_TEXT
        if entry.text != options.query:
            reason = "found to have the same answer: served as an alias is"
        yield Near(entry, None, (), "exact", reason)


def _selection(options: argparse.Namespace, text: str | None = None) -> Selection:
    return Selection(
        text=text, namespace=options.namespace, partition=options.partition
    )


def _nearest(
    options: argparse.Namespace, store: CacheStore, embeddings: Embeddings
) -> list[Near]:
    model = fingerprint_of(embeddings)
    vector = unit_vector(_embedded(embeddings, options.query))
    if vector is None:
        return []
    _check_embeddings(store.fingerprint, Fingerprint(model.name, vector.size))
    weigh = partial(_weighed, options.query, Learning(store, options.delta))
    return [weigh(*one) for one in _by_cosine(options, store, vector)]


def _embedded(embeddings: Embeddings, text: str) -> list[float]:
    try:
        return embeddings.embed_query(text)
    except Exception as error:  # a provider fails in any way
        msg = f"the embeddings failed ({type(error).__name__}): try them by themselves"
        raise ProdPatternsError(msg) from error


def _by_cosine(
    options: argparse.Namespace, store: CacheStore, vector: Vector
) -> list[tuple[Entry, float]]:
    """Return the nearest entries; of one partition as a lookup finds them."""
    if options.partition is not None and options.namespace is None:
        near = store.nearest(options.partition, vector, exact="", limit=options.limit)
        return [(one.entry, one.similarity) for one in near]
    cosines = (
        (entry, float(stored @ vector))
        for entry, stored in store.scan(_selection(options))
        if stored is not None
    )
    return heapq.nlargest(options.limit, cosines, key=lambda one: one[1])


def _check_embeddings(stored: Fingerprint | None, given: Fingerprint) -> None:
    if stored is None or (
        stored.name == given.name and stored.dimensions in {None, given.dimensions}
    ):
        return
    msg = (
        f"the cache holds vectors of {stored}, the embeddings given are {given}: give "
        "those that the cache is used with"
    )
    raise ConfigurationError(msg)


def _weighed(query: str, learning: Learning, entry: Entry, similarity: float) -> Near:
    """Say what a lookup would do, with a judge whose price is not known."""
    if entry.text == query:
        return Near(entry, similarity, (), "exact", _SAME_TEXT)
    candidate = Candidate(min(similarity, _WHOLE), fired(query, entry.text or ""))
    learned = learning.of(entry.partition)
    stakes = Stakes(judged=True, needed=NEEDED_UNPRICED)
    decision = decide(candidate, None, learned, stakes)
    reason = decision.reason + _IS_OPEN.get(decision.action, "")
    return Near(entry, similarity, candidate.guards, decision.action, reason)


def _text(records: list[dict[str, Any]]) -> str:
    if not records:
        return "nothing is stored that is near"
    columns = ("cosine", "would", "question", "partition", "age", "hits", "usd")
    rows = [
        (
            "-" if one["similarity"] is None else f"{one['similarity']:.3f}",
            one["decision"],
            shown_text(one["text"], 48),
            one["partition"],
            shown_seconds(one["age_seconds"]),
            str(one["hits"]),
            shown_usd(one["saved_usd"]),
        )
        for one in records
    ]
    table = plain_table(columns, rows, words=("would", "question", "partition"))
    return "\n".join([table, "", *(_details(one) for one in records)])


def _details(one: dict[str, Any]) -> str:
    lines = [f"{one['hit_id']}", f"  {one['reason']}"]
    if "value" in one:
        lines.append(f"  {shown_text(one['value'], 10_000)}")
    return "\n".join(lines)
