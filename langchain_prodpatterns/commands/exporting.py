"""`prodpatterns cache export`: every entry as a line, in a file that is whole or none.

What was learned follows: the counters of verdicts, of all partitions that have entries.

What is being written is `FILE.part`, which only its owner can read; it becomes `FILE`
when all is there.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from langchain_prodpatterns.cache.stores import CacheStore, Selection
from langchain_prodpatterns.cache.stores.urls import SqliteFile, parse_url
from langchain_prodpatterns.commands.archive import (
    BadLine,
    Header,
    entry_line,
    header_line,
    key_of,
    read_header,
)
from langchain_prodpatterns.commands.learned import learned_of
from langchain_prodpatterns.commands.output import Advance, Output, progress, tell
from langchain_prodpatterns.commands.parsing import add_where
from langchain_prodpatterns.commands.targets import check_targets
from langchain_prodpatterns.commands.values import require
from langchain_prodpatterns.errors import StoreError

STANDARD = "-"
"""Stands for the standard output, or the standard input."""

_OWNER_ONLY = 0o600


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("file", metavar="FILE", help="the file to write, - for stdout")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on from the FILE.part of an export that was interrupted: what was "
        "removed from the cache since then stays in it",
    )
    add_where(parser)


def run(options: argparse.Namespace, store: CacheStore, output: Output) -> int:
    """Export a cache.

    Raises:
        ConfigurationError: When the arguments do not go together.
        StoreError: When the file cannot be gone on from.
    """
    counts = store.counts()
    header = Header(store.fingerprint, counts.entries)
    with progress("export", counts.entries) as advance:
        if options.file == STANDARD:
            require(not options.resume, "--resume needs a FILE, not -")
            sys.stdout.write(f"{header_line(header)}\n")
            writing = _Writing(sys.stdout.write, advance)
            writing.run(store, options)
            sys.stdout.flush()
        else:
            target = Path(options.file)
            source = parse_url(options.store)
            # A database has no file that could be written over.
            read = [source.path] if isinstance(source, SqliteFile) else []
            check_targets({"FILE": options.file}, read)
            with _part(target, header, resume=options.resume) as (page, known):
                advance(len(known))
                writing = _Writing(page.write, advance, known)
                writing.run(store, options)
    entries, resumed = writing.entries, len(writing.known)
    record = {
        "entries": entries,
        "resumed": resumed,
        "learned": writing.learned,
        "file": options.file,
    }
    text = f"{entries} entries exported to {options.file}"
    output.show(record, f"{text}, {resumed} of them earlier" if resumed else text)
    return 0


@dataclass(slots=True)
class _Writing:
    """Writes the lines that follow the header."""

    write: Callable[[str], object]
    advance: Advance
    known: AbstractSet[str] = frozenset()
    """The keys of the entries that are written already."""
    entries: int = 0
    """How many entries are written, earlier ones too."""
    learned: int = 0
    """Of how many partitions the counters are written."""

    def run(self, store: CacheStore, options: argparse.Namespace) -> None:
        selection = Selection(namespace=options.namespace, partition=options.partition)
        self.entries = len(self.known)
        partitions = dict[str, None]()
        for entry, vector in store.scan(selection):
            partitions[entry.partition] = None
            if entry.key not in self.known:
                self.write(f"{entry_line(entry, vector)}\n")
                self.entries += 1
                self.advance()
        for one in learned_of(store, partitions, whole=selection == Selection()):
            self.write(f"{one.line()}\n")
            self.learned += 1


@contextmanager
def _part(
    target: Path, header: Header, *, resume: bool
) -> Iterator[tuple[TextIO, AbstractSet[str]]]:
    """Lend the file to write to, with the keys that are in it; make it whole after."""
    path = target.with_name(f"{target.name}.part")
    known = _kept(path, header) if resume and path.exists() else None
    if known is None:
        path.unlink(missing_ok=True)
        path.touch(_OWNER_ONLY, exist_ok=False)
    with path.open("a", encoding="ascii") as page:
        if known is None:
            page.write(f"{header_line(header)}\n")
        try:
            yield page, known or set()
        except BaseException:
            tell(f"not finished: what was written is in {path}; --resume goes on there")
            raise
        page.flush()
        os.fsync(page.fileno())
        _check_own(page, path, target)
    path.replace(target)


def _check_own(page: TextIO, path: Path, target: Path) -> None:
    """Refuse to make whole what another has begun anew meanwhile.

    Raises:
        StoreError: When what is at a path is not what was written.
    """
    with suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(page.fileno()), path.stat()):
            return
    msg = (
        f"another export to {target} has begun meanwhile, and this one is gone: wait "
        "for it, or name another file"
    )
    raise StoreError(msg)


def _kept(path: Path, header: Header) -> set[str]:
    """Return the keys in an unfinished file, whose half last line is cut off.

    Raises:
        StoreError: When it is none, or of another embedding model.
    """
    keys: set[str] = set()
    with path.open("r+b") as page:
        try:
            begun = read_header(page.readline().decode())
        except (BadLine, UnicodeDecodeError) as error:
            msg = f"{path} is no unfinished export: leave --resume out"
            raise StoreError(msg) from error
        if begun.embedder != header.embedder:
            msg = (
                f"{path} was begun with vectors of {begun.embedder}, the cache has "
                f"{header.embedder}: leave --resume out"
            )
            raise StoreError(msg)
        whole = page.tell()
        while (line := page.readline()).endswith(b"\n"):
            try:
                keys.add(key_of(line.decode()))
            except (BadLine, UnicodeDecodeError):
                break
            whole = page.tell()
        page.truncate(whole)
    return keys
