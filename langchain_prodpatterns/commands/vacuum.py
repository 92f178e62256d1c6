"""`prodpatterns cache vacuum`: remove what is past, and give its room back."""

import argparse
from collections.abc import Callable

from langchain_prodpatterns.cache.stores import CacheStore
from langchain_prodpatterns.commands.output import Output, progress
from langchain_prodpatterns.commands.values import shown_bytes
from langchain_prodpatterns.errors import ConfigurationError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "--reindex",
        action="store_true",
        help="PostgreSQL: give all vectors of large partitions to the index at once, "
        "as after an import of many; lookups of near answers are misses meanwhile",
    )


def run(options: argparse.Namespace, store: CacheStore, output: Output) -> int:
    """Sweep until nothing is left to remove, then give the room back.

    Raises:
        ConfigurationError: When the store has no index that could be made anew.
    """
    reindex: Callable[[], int] | None = getattr(store, "reindex", None)
    if options.reindex and reindex is None:
        msg = (
            f"--reindex is for PostgreSQL: {type(store).__name__} keeps its index "
            "itself; leave it out"
        )
        raise ConfigurationError(msg)
    removed = 0
    with progress("sweep", None) as advance:
        while gone := store.sweep():
            removed += gone
            advance(gone)
    vacuum: Callable[[], int | None] | None = getattr(store, "vacuum", None)
    indexed = reindex() if options.reindex and reindex is not None else None
    freed = None if vacuum is None else vacuum()
    record = {"removed": removed, "freed_bytes": freed, "indexed": indexed}
    room = "" if freed is None else f", {shown_bytes(freed)} given back to the disk"
    given = "" if indexed is None else f", {indexed} vectors given to the index"
    output.show(record, f"{removed} entries removed{given}{room}")
    return 0
