"""`prodpatterns cache vacuum`: remove what is past, and give its room back."""

import argparse
from collections.abc import Callable

from langchain_prodpatterns.cache.stores import CacheStore
from langchain_prodpatterns.commands.output import Output, progress
from langchain_prodpatterns.commands.values import shown_bytes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command: there are none."""


def run(_: argparse.Namespace, store: CacheStore, output: Output) -> int:
    """Sweep until nothing is left to remove, then give the room back."""
    removed = 0
    with progress("sweep", None) as advance:
        while gone := store.sweep():
            removed += gone
            advance(gone)
    vacuum: Callable[[], int | None] | None = getattr(store, "vacuum", None)
    freed = None if vacuum is None else vacuum()
    record = {"removed": removed, "freed_bytes": freed}
    room = "" if freed is None else f", {shown_bytes(freed)} given back to the disk"
    output.show(record, f"{removed} entries removed{room}")
    return 0
