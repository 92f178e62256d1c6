"""What a cache in PostgreSQL takes as it grows: a model, checked, and then on paper.

1. Bytes an entry, by table, of entries of four shapes that are stored here, beside what
   the model says of them.
2. Milliseconds that it takes to compare all vectors of a partition, beside the model.
3. The model alone, up to a billion entries: what it says there was never measured.

`PRODPATTERNS_SHARED` is not needed: what an entry takes does not depend on its words.
"""

import argparse
import math
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from cache_scale_server import Host, hosted

from langchain_prodpatterns.cache.stores import Entry, PostgresStore
from langchain_prodpatterns.cache.stores.base import Vector
from langchain_prodpatterns.fingerprints import Fingerprint

_PAGE = 8_168
_TOAST = 2_032
_ROW = 263  # of `entries`, without question and answer
_KEYS = 183  # indexes of `entries`
_USES = 145
_LEAF = 0.75  # how full the pages of an index are
_NANOSECONDS = 1.4  # to compare a number of a vector
_SIDE_BY_SIDE = 1_200


@dataclass(frozen=True)
class Shape:
    """Entries of one size."""

    dimensions: int
    """Of their vectors."""
    answer: int
    """Bytes of an answer."""
    question: int = 60
    """Bytes of a question."""


def paged(width: float, fill: float = 1.0) -> float:
    """Return what a row takes of the pages that rows of its width fill."""
    if width > _TOAST:
        # It is stored apart, in pieces.
        return width * 1.35
    return 8_192 / max(math.floor(_PAGE * fill / width), 1)


def entry_bytes(shape: Shape) -> dict[str, float]:
    """Return the bytes that an entry takes, by table."""
    vector = 2 * shape.dimensions
    beside = vector + 57
    leaf = 8_192 / max(math.floor(_PAGE * _LEAF / beside), 1)
    is_long = shape.dimensions > _SIDE_BY_SIDE
    return {
        "entries": paged(_ROW + shape.question + shape.answer) + _KEYS,
        "vectors": paged(vector + 92) + 25,
        "side by side": 0.0 if is_long else leaf,
        "uses": _USES,
    }


def total(shape: Shape) -> float:
    """Return the bytes of an entry; in the index of large partitions it is the same."""
    return sum(entry_bytes(shape).values())


def compared_ms(shape: Shape, rows: int) -> float:
    """Return the milliseconds to compare the vectors of a partition, side by side."""
    return 0.25 + rows * shape.dimensions * _NANOSECONDS / 1e6


def _items(
    shape: Shape, count: int, partitions: int
) -> Iterator[tuple[Entry, Vector | None]]:
    draw = np.random.default_rng(0)
    for number in range(count):
        vector = draw.normal(size=shape.dimensions).astype(np.float32)
        value = draw.bytes(shape.answer // 2 + 1).hex()[: shape.answer]
        partition = number % partitions
        yield (
            Entry(
                key=f"{number:032x}",
                partition=f"{partition:032x}",
                exact=f"{number:032x}",
                text="q" * shape.question,
                value=value,
                namespace="default",
            ),
            vector / np.float32(np.linalg.norm(vector)),
        )


_SIZES = """
SELECT c.relname, pg_table_size(c.oid), pg_indexes_size(c.oid) FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = '{schema}' AND c.relkind = 'r'
"""


def check_bytes(host: Host, shape: Shape, count: int) -> None:
    """Store entries of a shape, and print what they take beside the model."""
    schema = f"sizing_{shape.dimensions}_{shape.answer}"
    with closing(PostgresStore(host.dsn, schema=schema, timeout=60)) as store:
        store.bind(Fingerprint("sizing", shape.dimensions))
        store.add_many(_items(shape, count, 7))
        store.vacuum()
    rows = host.rows(_SIZES.format(schema=schema))
    heap = {name: table / count for name, table, _ in rows}
    beside = {name: indexes / count for name, _, indexes in rows}
    measured = {
        "entries": heap["entries"] + beside["entries"],
        "vectors": heap["vectors"] + 25,
        "side by side": max(beside["vectors"] - 25, 0),
        "uses": heap["uses"] + beside["uses"],
    }
    model = entry_bytes(shape)
    cells = [f"{shape.dimensions:>6} {shape.answer:>7}"]
    cells += [f"{measured[name]:>7,.0f} / {model[name]:<7,.0f}" for name in model]
    both = sum(measured.values()), sum(model.values())
    cells.append(f"{both[0]:>7,.0f} / {both[1]:<7,.0f} {both[1] / both[0] - 1:+.0%}")
    print(" ".join(cells))


def check_compared(host: Host, shape: Shape, rows: int) -> None:
    """Print what it takes to compare a partition of so many, beside the model."""
    schema = f"compared_{rows}"
    others = 5
    with closing(PostgresStore(host.dsn, schema=schema, timeout=60)) as store:
        store.bind(Fingerprint("sizing", shape.dimensions))
        store.add_many(_items(shape, rows * others, others))
        store.vacuum()
        question = next(_items(shape, 1, 1))[1]
        assert question is not None  # noqa: S101 - each has one
        seconds = []
        for _ in range(60):
            started = time.perf_counter()
            store.nearest(f"{1:032x}", question, exact="x")
            seconds.append(time.perf_counter() - started)
    model = compared_ms(shape, rows)
    best, median = (1000 * float(np.quantile(seconds, q)) for q in (0.05, 0.5))
    print(f"{rows:>8,} {best:>10.2f} {median:>8.2f} {model:>8.2f}")


_ON_PAPER = (
    (100_000, "LocalStore", "any", "a second host"),
    (1_000_000, "PostgresStore", "2 cores, 8 GB", "memory for the vectors"),
    (10_000_000, "PostgresStore", "8 cores, 64 GB", "inserts into large partitions"),
    (100_000_000, "PostgresStore", "16 cores, 256 GB", "disk, vacuum"),
    (1_000_000_000, "PostgreSQL sharded by partition", "16 of these", "operations"),
)


def on_paper(shape: Shape) -> None:
    """Print the model for more entries than were stored."""
    vectors = entry_bytes(shape)["side by side"]
    print(f"{'entries':>14} {'disk, GB':>9} {'vectors, GB':>12}  store; server; limit")
    for entries, store, server, limit in _ON_PAPER:
        disk = f"{entries * total(shape) / 1e9:,.1f}"
        memory = f"{entries * vectors / 1e9:,.1f}"
        advice = f"{store}; {server}; {limit}"
        print(f"{entries:>14,} {disk:>9} {memory:>12}  {advice}")


def rates(shape: Shape) -> None:
    """Print how many lookups a second a core of the server has time for."""
    print(f"{'rows':>8} {'ms':>6} {'a second':>9}")
    for rows in (100, 1_000, 10_000):
        needed = compared_ms(shape, rows)
        print(f"{rows:>8,} {needed:>6.2f} {1000 / needed:>9,.0f}")


def main() -> None:
    """Check the model, and print what it says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=10_000, help="entries of a shape")
    parser.add_argument("--dsn", help="a server to use")
    options = parser.parse_args()
    usual = Shape(384, 500)
    with hosted(options.dsn) as host:
        print("bytes an entry, measured / model")
        print("  dims  answer    entries         vectors       side by side    uses")
        for shape in (usual, Shape(384, 1_500), Shape(1_024, 500), Shape(1_536, 500)):
            check_bytes(host, shape, options.count)
        print("\nms to compare a partition of 384 dimensions")
        print("    rows    5% best   median    model")
        for rows in (1_000, 5_000, 10_000):
            check_compared(host, usual, rows)
    print("\non paper: lookups a second and core, by the vectors of their partition")
    rates(usual)
    print("\non paper: entries of 384 dimensions with answers of 500 bytes")
    on_paper(usual)


if __name__ == "__main__":
    main()
