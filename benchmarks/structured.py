"""How much malformed output is read, how fast, and what instructions cost.

The cases are texts with a schema and the value that their author expects, from the test
suites of several parsers; each suite encodes its author's taste. `right` is exactly the
expected value, `wrong` another one, `failed` an error: a wrong value is worse than
none. `must fail` are texts that hold no answer. Peers in the same run: json_repair with
pydantic validation of the result, and langchain-core's own JSON parser with the same
validation (its `PydanticOutputParser` for the timings and the sizes).

Some suites expect a text that breaks off to be completed. `SchemaParser` refuses that
by design, so texts that leave a bracket open are also counted apart. It refuses as well
what some suites expect to be dropped: an ellipsis that stands for items, and words that
are no part of the value. And it keeps a line break at the end of a text, which one
suite expects to be trimmed: those count as wrong.

The split is by SHA-256 of the case's id: rules may be tuned on the even half; the odd
half is reported. `--half tune` shows the other one. Times are CPU milliseconds, median.
Sizes are estimated tokens (4 characters each).

The data is looked for in `PRODPATTERNS_SHARED`, by default `../shared`.
"""

import argparse
import gzip
import hashlib
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any, Literal

import json_repair
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from pydantic import BaseModel, Field
from shared_data import SHARED

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.structured import SchemaParser
from langchain_prodpatterns.structured.target import MisfitError
from langchain_prodpatterns.tokens import estimate_tokens

CASES = Path("data/structured/malformed_cases.jsonl.gz")
SIZE_GOAL = 0.30
SPEED_GOAL = 1.5

Parse = Callable[[str, SchemaParser], Any]
"""From a text, and the parser with the target, to a value; raises without one."""


class Ticket(BaseModel):
    """A support ticket."""

    title: str = Field(description="What it is about, in a few words")
    priority: Literal["low", "medium", "high"] = Field(description="How urgent it is")
    customer: str = Field(description="Full name of the customer")
    product: str | None = Field(default=None, description="The product, if named")
    tags: list[str] = Field(default_factory=list, description="Up to five keywords")
    needs_reply: bool = Field(description="Whether the customer expects an answer")


class Party(BaseModel):
    """A buyer or a seller."""

    name: str
    street: str
    city: str
    country: str = Field(description="Two-letter code")


class Line(BaseModel):
    """One position."""

    text: str
    quantity: int = Field(ge=1)
    unit_price: float = Field(description="Net, in the invoice's currency")


class Invoice(BaseModel):
    """An invoice."""

    number: str
    issued: date
    seller: Party
    buyer: Party
    lines: list[Line]
    currency: Literal["EUR", "USD", "GBP"]
    total: float = Field(description="Gross")


class Job(BaseModel):
    """A job."""

    kind: Literal["job"]
    employer: str
    role: str
    years: float


class Degree(BaseModel):
    """A degree."""

    kind: Literal["degree"]
    school: str
    subject: str


class Resume(BaseModel):
    """A resume."""

    name: str
    email: str | None = None
    stations: list[Job | Degree] = Field(description="Newest first")
    languages: dict[str, Literal["basic", "fluent", "native"]]


class Item(BaseModel):
    """One item of the timing document."""

    name: str
    amount: int


class Document(BaseModel):
    """The timing document."""

    items: list[Item]
    total: int


def ours(text: str, parser: SchemaParser) -> Any:
    """Read with `SchemaParser`."""
    return parser.parse(text)


def repaired(text: str, parser: SchemaParser) -> Any:
    """Mend with json_repair, then validate."""
    return parser.target.validate(json_repair.loads(text))


def core(text: str, parser: SchemaParser) -> Any:
    """Parse with langchain-core's JSON parser, then validate."""
    return parser.target.validate(JsonOutputParser().parse(text))


PARSERS: dict[str, Parse] = {
    "SchemaParser": ours,
    "json_repair + validation": repaired,
    "langchain-core + validation": core,
}


def load(half: str) -> list[dict[str, Any]]:
    """Load one half of the cases."""
    path = SHARED / CASES
    if not path.is_file():
        sys.exit(
            f"{path} is not there: set PRODPATTERNS_SHARED to the folder with data"
        )
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    wanted = {"tune": 0, "report": 1}.get(half)
    return [row for row in rows if wanted is None or side(row["id"]) == wanted]


def side(case: str) -> int:
    """The half that a case belongs to: 0 to tune on, 1 to report."""
    return hashlib.sha256(case.encode()).digest()[0] % 2


def outcome(parse: Parse, row: dict[str, Any], parser: SchemaParser) -> str:
    """Parse one case and compare."""
    try:
        value = parse(row["text"], parser)
    except (ValueError, MisfitError, RecursionError):
        return "failed"
    if "expected" not in row:
        return "wrong"
    same = json.dumps(value, sort_keys=True) == json.dumps(
        row["expected"], sort_keys=True
    )
    return "right" if same else "wrong"


def slices(row: dict[str, Any]) -> Iterable[str]:
    """The rows of the table that a case counts in."""
    if row["kind"] == "fail":
        yield "must fail"
    if row["kind"] != "value":
        return
    yield "value"
    yield "- brackets left open" if is_open(row["text"]) else "- brackets closed"
    if "malformed" in row["tags"]:
        yield "- malformed"
    if row["consensus"]:
        yield "- consensus"
    for tag in ("fence", "prose_before", "root_object", "root_enum", "root_literal"):
        if tag in row["tags"]:
            yield f"- {tag}"
    yield f"- suite {row['id'].split('/')[0]}"


def is_open(text: str) -> bool:
    """Whether a text has an opening bracket more: it may have been cut off."""
    return any(text.count(one) > text.count(other) for one, other in ("{}", "[]"))


def report_cases(rows: list[dict[str, Any]]) -> None:
    """Print what was read, by slice and parser."""
    counts: dict[str, dict[str, Counter[str]]] = {}
    skipped = 0
    for row in rows:
        try:
            parser = SchemaParser(row["schema"])
        except ConfigurationError:
            skipped += 1
            continue
        for name, parse in PARSERS.items():
            came = outcome(parse, row, parser)
            for part in slices(row):
                counts.setdefault(part, {}).setdefault(name, Counter())[came] += 1
    print(f"{len(rows)} cases, {skipped} of them with a schema that is none\n")
    head = "".join(f"{name:>30}" for name in PARSERS)
    print(f"{'right / wrong / failed':<26}{'cases':>6}{head}")
    for part in sorted(counts, key=lambda part: (part[0] == "-", part)):
        cells = ""
        for name in PARSERS:
            found = counts[part][name]
            # Of a text without an answer, an error is what is right.
            good = "failed" if part == "must fail" else "right"
            share = found[good] / found.total()
            figures = f"{found['right']} / {found['wrong']} / {found['failed']}"
            cells += f"{figures + f' {share:6.1%}':>30}"
        print(f"{part:<26}{counts[part][name].total():>6}{cells}")


def document(size: int) -> str:
    """Write a valid document of about `size` characters."""
    one = {"name": "a name of an item", "amount": 12345}
    count = size // len(json.dumps(one))
    return json.dumps({"items": [one] * count, "total": count})


def milliseconds(work: Callable[[], Any], rounds: int) -> float:
    """Median CPU time of a call."""
    times = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return statistics.median(times) * 1000


def report_times() -> None:
    """Print the time to parse valid and malformed documents."""
    parser = SchemaParser(Document)
    theirs: PydanticOutputParser[Any] = PydanticOutputParser(pydantic_object=Document)
    print(f"\n{'CPU ms':<26}{'baseline':>12}{'ours':>12}{'ratio':>8}{'core':>12}")
    for label, size, rounds in (("1 KB", 1_000, 2000), ("100 KB", 100_000, 30)):
        text = document(size)

        def baseline(text: str = text) -> Document:
            return Document.model_validate(json.loads(text))

        base = milliseconds(baseline, rounds)
        mine = milliseconds(lambda text=text: parser.parse(text), rounds)  # type: ignore[misc]
        core_ms = milliseconds(lambda text=text: theirs.parse(text), rounds)  # type: ignore[misc]
        print(
            f"{'valid ' + label:<26}{base:>12.3f}{mine:>12.3f}{mine / base:>8.2f}"
            f"{core_ms:>12.3f}"
        )
    for label, size, rounds in (("1 KB", 1_000, 200), ("100 KB", 100_000, 10)):
        text = document(size).replace('"', "'")
        mine = milliseconds(lambda text=text: parser.parse(text), rounds)  # type: ignore[misc]
        print(f"{'malformed ' + label:<26}{'':>12}{mine:>12.3f}")
    print(
        "baseline: json.loads and model_validate; core: PydanticOutputParser; goal for "
        f"valid input: ratio <= {SPEED_GOAL}"
    )


def report_sizes() -> None:
    """Print the size of the instructions."""
    print(f"\n{'instructions, tokens':<26}{'core':>12}{'ours':>12}{'share':>8}")
    for model in (Ticket, Invoice, Resume):
        parser: PydanticOutputParser[Any] = PydanticOutputParser(pydantic_object=model)
        theirs = estimate_tokens(parser.get_format_instructions())
        mine = estimate_tokens(SchemaParser(model).get_format_instructions())
        print(f"{model.__name__:<26}{theirs:>12}{mine:>12}{mine / theirs:>8.0%}")
    print(f"goal: share <= {SIZE_GOAL:.0%}")


def main() -> None:
    """Print one table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument(
        "--half", choices=["report", "tune", "all"], default="report"
    )
    half = arguments.parse_args().half
    print(f"half: {half}")
    report_cases(load(half))
    report_times()
    report_sizes()


if __name__ == "__main__":
    main()
