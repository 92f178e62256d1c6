"""What the guard finds, what it mistakes, and what it costs, beside others.

One table on the sets under `PRODPATTERNS_SHARED/data/guard`: recall a type of
structured values, false alarms on hard negatives, phones of the Presidio set, time for
prose, the slowest of some nasty texts, and how much a stream holds back. The patterns
were tuned on the even rows; the odd rows are reported. The peer is
`langchain.agents.middleware`'s detectors, which `PIIMiddleware` uses; `--peers` adds
Presidio, where it is installed, on a pipeline without a model. `--fuzz SECONDS` looks
for the slowest text instead. Run it with `python -m benchmarks.guard` or
`python benchmarks/guard.py`.
"""

import argparse
import gzip
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from guard_fuzz import fuzz
from shared_data import SHARED

from langchain_prodpatterns.guard.detectors import DEFAULT_DETECTORS, resolve_detectors
from langchain_prodpatterns.guard.scanning import Record, Scanner
from langchain_prodpatterns.guard.streaming import TextStream

Find = Callable[[str], list[tuple[int, int]]]

TYPES = [
    "EMAIL", "CREDIT_CARD", "IBAN", "PHONE", "IPV4", "IPV6", "URL", "SECRET", "US_SSN",
    "CRYPTO",
]  # fmt: skip
NASTY = {
    "x@a.a.a": "x@a.a.a.",
    "digits": "12 34 ",
    "phones": "012 345 6789,",
    "counting": "1 2 3 4 5 6 7 8 9 10 11 12\n",
    "schemes": "aa://",
    "links": "https://u:p@h/?token=abcdefgh&",
    "jwt": "eyJabcdefghi.",
    "pem": "-----BEGIN PRIVATE KEY-----\n",
    "letters": "a",
}


def rows(name: str) -> list[dict[str, Any]]:
    """Read a set, or stop with the reason."""
    path = SHARED / "data" / "guard" / f"{name}.jsonl.gz"
    if not path.exists():
        sys.exit(f"no data: set PRODPATTERNS_SHARED; there is no {path}")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def scanner() -> Scanner:
    """Return our detectors with public links too, which the peer also takes."""
    detectors = resolve_detectors([*DEFAULT_DETECTORS, "any_url"])
    return Scanner(detectors, {each.name: "redact" for each in detectors})


def ours() -> Find:
    """Return our finder."""
    using = scanner()
    return lambda text: [(span.start, span.end) for span in using.find(text, Record())]


def langchains() -> Find:
    """Return the finder of LangChain's detectors."""
    from langchain.agents.middleware import _redaction

    detectors = [
        _redaction.detect_email,
        _redaction.detect_credit_card,
        _redaction.detect_ip,
        _redaction.detect_mac_address,
        _redaction.detect_url,
    ]
    return lambda text: [
        (match["start"], match["end"]) for detect in detectors for match in detect(text)
    ]


def presidios() -> Find:
    """Return the finder of Presidio: no model, any score."""
    from langchain_prodpatterns.guard.detectors import PresidioDetector

    return PresidioDetector(timeout=None, score=0).find


def structured(find: Find) -> dict[str, str]:
    """Count the values that are covered whole, and the hard negatives that are hit."""
    hits, totals, alarms, negatives = Counter[str](), Counter[str](), 0, 0
    for row in rows("pii_structured")[1::2]:
        found = find(row["text"])
        if row["kind"] == "negative":
            negatives += 1
            alarms += bool(found)
        elif row["kind"] == "clean":
            for start, end, name in row["spans"]:
                totals[name] += 1
                hits[name] += any(a <= start and end <= b for a, b in found)
    result = {f"recall {name}": f"{hits[name]}/{totals[name]}" for name in TYPES}
    kept = sum(hits[name] for name in TYPES) / sum(totals[name] for name in TYPES)
    return result | {
        "recall, all of these": f"{kept:.3f}",
        "false alarms": f"{alarms}/{negatives}",
    }


def obfuscated(find: Find) -> dict[str, str]:
    """Count the disguised values that are covered whole, by the original places."""
    covered = [
        any(a <= start and end <= b for a, b in find(row["text"]))
        for row in rows("pii_structured")
        if row["kind"].startswith("obf_")
        for start, end, _ in row["spans"]
    ]
    return {"disguised values, all rows": f"{sum(covered)}/{len(covered)}"}


def secrets(find: Find) -> dict[str, str]:
    """Count the keys that are covered whole, of all rows."""
    covered = [
        any(a <= start and end <= b for a, b in find(row["text"]))
        for row in rows("pii_structured")
        if row["kind"] == "clean"
        for start, end, name in row["spans"]
        if name == "SECRET"
    ]
    return {"keys and tokens, all rows": f"{sum(covered)}/{len(covered)}"}


def found_by(find: Find) -> dict[str, str]:
    """Score a finder on everything but time."""
    return structured(find) | secrets(find) | obfuscated(find)


def phones() -> dict[str, str]:
    """Score phones on the Presidio set; the peer has no detector of phones."""
    (detector,) = resolve_detectors(["phone"])
    hit = missed = wrong = 0
    for row in rows("pii_presidio_synth")[1::2]:
        found = list(detector.find(row["text"]))
        gold = [(a, b) for a, b, name in row["spans"] if name == "PHONE_NUMBER"]
        covered = [any(x <= a and b <= y for x, y in found) for a, b in gold]
        hit, missed = hit + sum(covered), missed + len(gold) - sum(covered)
        wrong += sum(not any(a < y and x < b for a, b in gold) for x, y in found)
    return {"Presidio phones: hit, missed, wrong": f"{hit}, {missed}, {wrong}"}


def prose_speed(find: Find, prose: str) -> dict[str, str]:
    """Time prose."""
    find(prose[:2000])
    taken = min(_seconds(find, prose) for _ in range(3))
    return {"us per KB of prose": f"{taken * 1e6 / (len(prose) / 1024):.0f}"}


def worst_speed(find: Find) -> dict[str, str]:
    """Time the slowest nasty text of 10 KB and of 20 KB."""
    slowest = {
        name: [
            min(_seconds(find, (unit * 20_000)[:size]) for _ in range(3))
            for size in (10_000, 20_000)
        ]
        for name, unit in NASTY.items()
    }
    name, (half, whole) = max(slowest.items(), key=lambda item: item[1][1])
    return {
        "slowest 20 KB, ms": f"{whole * 1000:.0f} ({name})",
        "the same, us per character": f"{whole * 1e6 / 20_000:.1f}",
        "its growth from 10 KB": f"x{whole / half:.1f}",
    }


def _seconds(find: Find, text: str) -> float:
    # Of this process alone: what else runs would be taken for growth.
    started = time.process_time()
    find(text)
    return time.process_time() - started


def holding(prose: str) -> dict[str, str]:
    """Stream prose in chunks of four characters, about a token each."""
    guard, held = TextStream(scanner(), Record()), []
    started = time.process_time()
    for start in range(0, len(prose), 4):
        guard.feed(prose[start : start + 4])
        held.append(guard.held)
    taken = time.process_time() - started
    return {
        "held back, mean": f"{statistics.mean(held):.1f}",
        "held back, p95": f"{statistics.quantiles(held, n=20)[-1]:.0f}",
        "us a chunk": f"{taken * 1e6 / len(held):.0f}",
    }


GOALS = {
    "recall, all of these": ">= .99",
    "false alarms": "<= 3 of 600",
    "keys and tokens, all rows": ">= 118/120",
    "disguised values, all rows": ">= 440/465",
    "Presidio phones: hit, missed, wrong": "R .85, P .95",
    "us per KB of prose": "<= 250",
    "slowest 20 KB, ms": "<= 50",
    "its growth from 10 KB": "x2",
    "held back, mean": "<= 5",
    "held back, p95": "<= 16",
    "us a chunk": "<= 25",
}


def table(*, peers: bool) -> dict[str, dict[str, str]]:
    """Measure everybody; what hangs Presidio for minutes is not asked of it."""
    prose = " ".join(row["text"] for row in rows("tab")[1:12:2])[:30_000]
    mine, theirs = ours(), langchains()
    columns = {
        "guard": found_by(mine)
        | phones()
        | prose_speed(mine, prose)
        | worst_speed(mine)
        | holding(prose),
        "LangChain": found_by(theirs)
        | prose_speed(theirs, prose)
        | worst_speed(theirs),
    }
    if peers:
        presidio = presidios()
        columns["Presidio"] = found_by(presidio) | prose_speed(presidio, prose)
    return columns


def main() -> None:
    """Print one table, or the slowest texts that are found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", action="store_true", help="measure Presidio too")
    parser.add_argument(
        "--fuzz", type=float, metavar="SECONDS", help="look for the worst"
    )
    given = parser.parse_args()
    if given.fuzz:
        fuzz(ours(), given.fuzz)
        return
    columns = table(peers=given.peers)
    print(f"{'odd rows':<38}{'goal':>14}" + "".join(f"{n:>17}" for n in columns))
    for name in columns["guard"]:
        values = "".join(f"{column.get(name, '-'):>17}" for column in columns.values())
        print(f"{name:<38}{GOALS.get(name, ''):>14}{values}")


if __name__ == "__main__":
    main()
