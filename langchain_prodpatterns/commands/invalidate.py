"""`prodpatterns cache invalidate`: remove the answers that fit every criterion."""

import argparse
import sys
from typing import Any

from langchain_prodpatterns.cache.arguments import selection_of
from langchain_prodpatterns.cache.stores import CacheStore, Selection
from langchain_prodpatterns.commands.output import Output
from langchain_prodpatterns.commands.parsing import add_where
from langchain_prodpatterns.commands.values import (
    duration,
    metadata_filter,
    pair,
    require,
)

_YES = frozenset({"y", "yes"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "--hit-id", metavar="ID", help="the answer that was served under this id"
    )
    parser.add_argument(
        "--query", metavar="TEXT", help="answers to this text, word for word"
    )
    add_where(parser)
    parser.add_argument(
        "--older-than",
        metavar="AGE",
        type=duration,
        help="answers stored at least so long ago: 45s, 30m, 12h, 7d, 2w",
    )
    parser.add_argument(
        "--metadata",
        metavar="KEY=VALUE",
        type=pair,
        action="append",
        default=[],
        help="answers whose metadata has this, or a list with it; may be repeated",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="count them, and remove nothing"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(options: argparse.Namespace, store: CacheStore, output: Output) -> int:
    """Remove entries.

    Raises:
        ConfigurationError: Without a criterion, or when nobody can be asked.
    """
    selection = _selection(options)
    if options.dry_run:
        matched = _count(store, selection)
        record = {"matched": matched, "removed": 0, "dry_run": True}
        output.show(record, f"{matched} answers would be removed")
        return 0
    if not options.yes:
        require(
            sys.stdin.isatty(),
            "nobody can be asked: give --yes to remove, or --dry-run to count",
        )
        matched = _count(store, selection)
        if not _agreed(matched):
            record = {"matched": matched, "removed": 0, "dry_run": False}
            output.show(record, "nothing was removed")
            return 0
    removed = store.remove(selection)
    record = {"matched": removed, "removed": removed, "dry_run": False}
    output.show(record, f"{removed} answers removed")
    return 0


def _selection(options: argparse.Namespace) -> Selection:
    criteria: dict[str, Any] = {
        "hit_id": options.hit_id,
        "query": options.query,
        "partition": options.partition,
        "namespace": options.namespace,
        "older_than": options.older_than,
        "where": metadata_filter(options.metadata),
    }
    require(
        any(one is not None for one in criteria.values()),
        "give a criterion: --hit-id, --query, --partition, --namespace, --older-than "
        "or --metadata",
    )
    return selection_of(**criteria)


def _count(store: CacheStore, selection: Selection) -> int:
    return sum(1 for _ in store.scan(selection))


def _agreed(matched: int) -> bool:
    sys.stderr.write(f"Remove {matched} answers? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in _YES
