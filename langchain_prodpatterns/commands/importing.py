"""`prodpatterns cache import`: what of an export is not there yet.

What was learned of a partition is taken over where nothing was learned of it so far.

What is stored stays so, whatever comes after; to run it again goes on where it ended.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeAlias

from langchain_prodpatterns.cache.stores import CacheStore, Entry
from langchain_prodpatterns.cache.stores.base import Vector
from langchain_prodpatterns.commands.archive import (
    BadLine,
    Header,
    read_entry,
    read_fields,
    read_header,
)
from langchain_prodpatterns.commands.exporting import STANDARD
from langchain_prodpatterns.commands.learned import Learned, Taking, read_learned
from langchain_prodpatterns.commands.output import (
    Advance,
    Output,
    progress,
    tell,
    tell_left_out,
)
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.fingerprints import Fingerprint

_AT_ONCE = 500

Item: TypeAlias = tuple[Entry, Vector | None]
"""An entry and its vector."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("file", metavar="FILE", help="the file to read, - for stdin")
    parser.add_argument(
        "--strict",
        action="store_true",
        help="stop at the first line that is no entry; what was stored stays",
    )


@dataclass(slots=True)
class Report:
    """What became of the lines of a file."""

    stored: int = 0
    """Entries that are in the cache now, and were not."""
    present: int = 0
    """Entries whose request is answered there already; that answer is kept."""
    expired: int = 0
    """Entries whose time is over."""
    learned: int = 0
    """Partitions whose counters of verdicts are taken over."""
    bad: list[tuple[int, str]] = field(default_factory=list)
    """Line number and reason of what is no line of an export."""

    def __str__(self) -> str:
        text = (
            f"{self.stored} entries imported; {self.present} were there, "
            f"{self.expired} are past, {len(self.bad)} lines are bad"
        )
        if not self.learned:
            return text
        return (
            f"{text}; what was learned is taken over: {self.learned} sets of counters"
        )


def run(options: argparse.Namespace, store: CacheStore, output: Output) -> int:
    """Import a cache.

    Raises:
        StoreError: When the file is no export, of another embedding model or, with
            `--strict`, has a line that is no entry.
    """
    report = Report()
    try:
        with _opened(options.file) as page:
            header = _begin(page, options.file, store)
            with progress("import", header.entries) as advance:
                _load(page, header, store, report, advance, strict=options.strict)
    except KeyboardInterrupt:
        tell(f"interrupted: {report}; run it again to go on")
        raise
    tell_left_out(report.bad)
    record = {
        "stored": report.stored,
        "present": report.present,
        "expired": report.expired,
        "learned": report.learned,
        "bad": [{"line": line, "reason": reason} for line, reason in report.bad],
    }
    output.show(record, str(report))
    return 0


def check_source(file: str) -> None:
    """Refuse a file that cannot be read, before a cache is made for it.

    Raises:
        OSError: When it cannot.
    """
    # What is in a pipe can be read once.
    if file != STANDARD and not Path(file).is_fifo():
        with _opened(file):
            pass


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == STANDARD:
        yield sys.stdin.buffer
        return
    with open(file, "rb") as page:  # noqa: PTH123 - as it was typed
        yield page


def _begin(page: BinaryIO, file: str, store: CacheStore) -> Header:
    """Read the header, and have the store take note of the embedding model."""
    try:
        header = read_header(_text(page.readline()))
    except BadLine as error:
        msg = f"cannot import {file}: {error}"
        raise StoreError(msg) from error
    if header.embedder is not None:
        _check_embedder(header.embedder, store.fingerprint, file)
        store.bind(header.embedder)
    return header


def _check_embedder(given: Fingerprint, stored: Fingerprint | None, file: str) -> None:
    if stored is None or (
        stored.name == given.name
        and (None in {stored.dimensions, given.dimensions} or stored == given)
    ):
        return
    msg = (
        f"{file} holds vectors of {given}, the cache has vectors of {stored}: import "
        "it into a new cache, or one with the same embeddings"
    )
    raise StoreError(msg)


def _load(
    page: BinaryIO,
    header: Header,
    store: CacheStore,
    report: Report,
    advance: Advance,
    *,
    strict: bool,
) -> None:
    batch: list[Item] = []
    taking = Taking(store)
    for item in _items(page, header, report, advance):
        if isinstance(item, BadLine) and strict:
            _store(batch, store, report)
            number, reason = report.bad[-1]
            msg = f"line {number} is no entry: {reason}. So far: {report}"
            raise StoreError(msg) from item
        if isinstance(item, Learned):
            report.learned += taking.take(item)
        elif isinstance(item, tuple):
            batch.append(item)
        if len(batch) == _AT_ONCE:
            _store(batch, store, report)
            batch = []
    _store(batch, store, report)


def _items(
    page: BinaryIO, header: Header, report: Report, advance: Advance
) -> Iterator[Item | Learned | BadLine]:
    """Yield what is in the lines; bad ones and what is past are reported."""
    for number, line in enumerate(page, 2):
        advance()
        if not line.strip():
            continue
        try:
            given = read_fields(_text(line))
            item = read_learned(given) or read_entry(given, header, time.time())
        except BadLine as error:
            report.bad.append((number, str(error)))
            yield error
            continue
        if isinstance(item, tuple) and item[0].ttl is not None and item[0].ttl <= 0:
            report.expired += 1
            continue
        yield item


def _text(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        msg = "no text"
        raise BadLine(msg) from error


def _store(batch: list[Item], store: CacheStore, report: Report) -> None:
    """Store those whose request has no answer of its own yet."""
    new = [item for item in batch if not _is_answered(item[0], store)]
    report.present += len(batch) - len(new)
    report.stored += store.add_many(new)


def _is_answered(entry: Entry, store: CacheStore) -> bool:
    found = store.find(entry.exact)
    return found is not None and found.by == "exact"
