"""`prodpatterns cache stats`: what there is in a cache, and what is known of it."""

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from langchain_prodpatterns._table import plain_table
from langchain_prodpatterns.cache.costs import NEEDED_UNPRICED
from langchain_prodpatterns.cache.learning import Learning
from langchain_prodpatterns.cache.promise import Promise, promise_of
from langchain_prodpatterns.cache.stores import CacheStore, StoreCounts
from langchain_prodpatterns.cache.stores.census import Census, Group, take_census
from langchain_prodpatterns.commands.output import Output
from langchain_prodpatterns.commands.values import (
    share,
    shown_bytes,
    shown_seconds,
    shown_text,
)
from langchain_prodpatterns.fingerprints import Fingerprint

DELTA = 0.02
"""The promised share of wrong answers, as `SemanticJudgeCache` has it by default."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_delta(parser)
    parser.add_argument(
        "--largest",
        metavar="K",
        type=int,
        default=10,
        help="of how many partitions to tell, the largest first (default: 10)",
    )


def add_delta(parser: argparse.ArgumentParser) -> None:
    """Add the argument that a store cannot know: it is the cache's."""
    parser.add_argument(
        "--delta",
        type=share,
        default=DELTA,
        help="the share of wrong answers that your cache promises, its `delta` "
        f"(default: {DELTA})",
    )


def run(options: argparse.Namespace, store: CacheStore, output: Output) -> int:
    """Print the figures of a cache."""
    counts, model = store.counts(), store.fingerprint
    census = take_census(store, max(options.largest, 0))
    learned = Learning(store, options.delta).afresh()
    promise = promise_of(learned, NEEDED_UNPRICED, None)
    record = _record(counts, model, census, promise)
    output.show(record, _text(record, census))
    return 0


def _record(
    counts: StoreCounts, model: Fingerprint | None, census: Census, promise: Promise
) -> dict[str, Any]:
    put_aside, now = census.quarantined, time.time()
    return {
        "entries": counts.entries,
        "bytes": counts.bytes,
        "aliases": counts.aliases,
        "rejected": counts.rejected,
        "expired": census.expired,
        "quarantined": counts.quarantined if put_aside is None else put_aside,
        "embedder": model and asdict(model),
        "oldest_seconds": _age(census.oldest, now),
        "newest_seconds": _age(census.newest, now),
        "namespaces": [_without_partition(group) for group in census.namespaces],
        "partitions": census.partitions,
        "largest": [asdict(group) for group in census.largest],
        "promise": asdict(promise),
    }


def _without_partition(group: Group) -> dict[str, Any]:
    return {n: value for n, value in asdict(group).items() if n != "partition"}


def _age(created: float | None, now: float) -> float | None:
    return None if created is None else max(now - created, 0.0)


def _text(record: dict[str, Any], census: Census) -> str:
    model, promise = record["embedder"], record["promise"]
    facts = [
        ("entries", str(record["entries"])),
        ("bytes", shown_bytes(record["bytes"])),
        ("aliases", str(record["aliases"])),
        ("rejected pairs", str(record["rejected"])),
        ("expired, not yet swept", str(record["expired"])),
        ("quarantined", str(record["quarantined"])),
        ("embedder", str(Fingerprint(**model)) if model else "none yet"),
        ("oldest", shown_seconds(record["oldest_seconds"])),
        ("newest", shown_seconds(record["newest_seconds"])),
        ("partitions", str(record["partitions"])),
        ("evidence", f"{promise['evidence']} verdicts"),
        ("promised / bound", f"{promise['delta']:.1%} / {promise['bound']:.1%}"),
    ]
    parts = [plain_table(("cache", ""), facts, words=("cache", ""))]
    if census.namespaces:
        parts.append(_groups("namespace", census.namespaces))
        parts.append(_groups("partition", census.largest))
    return "\n\n".join([*parts, promise["reason"]])


def _groups(by: str, groups: Sequence[Group]) -> str:
    names = ["namespace"] if by == "namespace" else ["partition", "namespace"]
    rows = [
        [
            *(shown_text(getattr(group, name), 40) for name in names),
            str(group.entries),
            shown_bytes(group.bytes),
            str(group.hits),
        ]
        for group in groups
    ]
    return plain_table((*names, "entries", "bytes", "hits"), rows, words=names)
