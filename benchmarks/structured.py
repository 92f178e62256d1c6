"""How much malformed output is read, how fast, and what instructions cost.

The cases are texts with a schema and the value that their author expects, from the test
suites of several parsers; each suite encodes its author's taste. `right` is exactly the
expected value, `wrong` another one, `failed` an error: a wrong value is worse than
none. `must fail` are texts that hold no answer. Peers in the same run: json_repair with
pydantic validation of the result, and langchain-core's own JSON parser with the same
validation (its `PydanticOutputParser` for the timings and the sizes).

Some suites expect a text that breaks off to be completed. `SchemaParser` refuses that
by design where the schema demands anything, and tells what is there with
`parse(text, partial=True)`: the column `or partial` takes that where it is refused, and
is what the other parsers, which complete such texts, compare with. Cases of the kind
`partial` are parsed so in both columns. Some suites want the first of several values,
others the last: `--prefer` says which one counts, by default the last as in the parser.
BAML's values are instances of classes, in which an optional property that is absent is
`null`: both count as the same there, for every parser.
Constraints that a case has only in its own language (`needs_constraint`) are in no
schema, so those that must fail because of one cannot; the line `constraint` counts
them.

The split is by SHA-256 of the case's id: rules may be tuned on the even half; the odd
half is reported. `--half tune` shows the other one. Times are CPU milliseconds, median.
Sizes are estimated tokens (4 characters each).
Streams are of the timing document, in chunks of 4 characters, CPU seconds in all.

The data is looked for in `PRODPATTERNS_SHARED`, by default `../shared`.
"""

import argparse
import gzip
import hashlib
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any, Literal

import json_repair
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from pydantic import BaseModel, Field
from shared_data import SHARED

from langchain_prodpatterns.errors import ConfigurationError, OutputTruncated
from langchain_prodpatterns.structured import SchemaParser
from langchain_prodpatterns.structured.reading import Prefer
from langchain_prodpatterns.structured.target import MisfitError
from langchain_prodpatterns.tokens import estimate_tokens

CASES = Path("data/structured/malformed_cases.jsonl.gz")
SIZE_GOAL = 0.30
SPEED_GOAL = 1.5
INSTRUCTOR_SECONDS = 120
_COMPOSED = {"root_object", "root_array", "root_union"}
GOALS = {
    "value": 0.85,
    "- consensus malformed": 0.97,
    "- baml object, array, union": 0.92,
    "- root_enum": 0.90,
    "- root_literal": 0.90,
    "- prose_before": 0.80,
    "must fail baml": 25 / 27,
    "partial fixjson, langchain": 0.95,
}
"""The share that each slice should reach, of the cases or of what must fail."""
STREAM_GOAL = 1.0
CHUNK = 4
CORE_STREAMS = 10_000

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


def ours_or_partial(text: str, parser: SchemaParser) -> Any:
    """Read with `SchemaParser`; what breaks off, as far as it goes."""
    try:
        return parser.parse(text)
    except OutputTruncated:
        return parser.parse(text, partial=True)


def in_part(text: str, parser: SchemaParser) -> Any:
    """Read with `SchemaParser` what is there so far."""
    return parser.parse(text, partial=True)


def repaired(text: str, parser: SchemaParser) -> Any:
    """Mend with json_repair, then validate."""
    return parser.target.validate(json_repair.loads(text))


def core(text: str, parser: SchemaParser) -> Any:
    """Parse with langchain-core's JSON parser, then validate."""
    return parser.target.validate(JsonOutputParser().parse(text))


PARSERS: dict[str, Parse] = {
    "SchemaParser": ours,
    "or partial": ours_or_partial,
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
    nulls = row["id"].startswith("baml/") and row["kind"] == "value"
    return "right" if same(value, row["expected"], nulls=nulls) else "wrong"


def same(value: Any, expected: Any, *, nulls: bool = False) -> bool:
    """Whether two JSON values are the same: `1` is `1.0`, and not `true`.

    Args:
        value: What was read; it is valid.
        expected: What its author expects.
        nulls: Whether the author writes `null` for a property that is absent: what is
            required is there in a valid value.
    """
    if isinstance(value, dict) and isinstance(expected, dict):
        absent = expected.keys() - value.keys() if nulls else ()
        wanted = {
            key: one
            for key, one in expected.items()
            if key not in absent or one is not None
        }
        return value.keys() == wanted.keys() and all(
            same(value[key], wanted[key], nulls=nulls) for key in value
        )
    if isinstance(value, list) and isinstance(expected, list):
        pairs = zip(value, expected, strict=False)
        return len(value) == len(expected) and all(
            same(*pair, nulls=nulls) for pair in pairs
        )
    return bool(
        isinstance(value, bool) == isinstance(expected, bool) and value == expected
    )


def slices(row: dict[str, Any]) -> Iterable[str]:
    """The rows of the table that a case counts in."""
    suite = row["id"].split("/")[0]
    if row["kind"] == "fail":
        yield f"must fail {suite}"
        if "needs_constraint" in row["tags"]:
            yield f"- must fail {suite}, constraint"
    if row["kind"] == "partial":
        streams = suite in {"fixjson", "langchain"}
        yield "partial fixjson, langchain" if streams else f"partial {suite}"
    if row["kind"] != "value":
        return
    yield "value"
    yield "- brackets left open" if is_open(row["text"]) else "- brackets closed"
    tags = set(row["tags"])
    if "malformed" in tags:
        yield "- malformed"
        if row["consensus"]:
            yield "- consensus malformed"
    if suite == "baml" and tags & _COMPOSED and "alias" not in tags:
        yield "- baml object, array, union"
    for tag in ("fence", "prose_before", "root_enum", "root_literal"):
        if tag in tags:
            yield f"- {tag}"
    yield f"- suite {suite}"


def is_open(text: str) -> bool:
    """Whether a text has an opening bracket more: it may have been cut off."""
    return any(text.count(one) > text.count(other) for one, other in ("{}", "[]"))


def with_instructor(python: str, rows: list[dict[str, Any]]) -> Parse:
    """Extract with instructor in an environment of its own, then validate.

    Args:
        python: The interpreter of the environment.
        rows: The cases, whose texts are all sent at once.

    Returns:
        A parser of these texts.
    """
    script = (
        "import json, sys\n"
        "from instructor.v2.core.json import extract_json_from_codeblock as extract\n"
        "print(json.dumps([extract(text) for text in json.load(sys.stdin)]))\n"
    )
    texts = [row["text"] for row in rows]
    done = subprocess.run(  # noqa: S603 - an interpreter that the caller names
        [python, "-c", script],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
        timeout=INSTRUCTOR_SECONDS,
    )
    extracted = dict(zip(texts, json.loads(done.stdout), strict=True))

    def parse(text: str, parser: SchemaParser) -> Any:
        return parser.target.validate(json.loads(extracted[text]))

    return parse


def report_cases(
    rows: list[dict[str, Any]], parsers: dict[str, Parse], prefer: Prefer
) -> None:
    """Print what was read, by slice and parser."""
    counts: dict[str, dict[str, Counter[str]]] = {}
    skipped = 0
    for row in rows:
        try:
            parser = SchemaParser(row["schema"], prefer=prefer)
        except ConfigurationError:
            skipped += 1
            continue
        for name, parse in parsers.items():
            partly = row["kind"] == "partial" and parse in {ours, ours_or_partial}
            came = outcome(in_part if partly else parse, row, parser)
            for part in slices(row):
                counts.setdefault(part, {}).setdefault(name, Counter())[came] += 1
    print(f"{len(rows)} cases, {skipped} of them with a schema that is none\n")
    head = "".join(f"{name:>30}" for name in parsers)
    print(f"{'right / wrong / failed':<30}{'cases':>6}{'goal':>7}{head}")
    for part in sorted(counts, key=lambda part: (part[0] == "-", part)):
        print_slice(part, counts[part])


def print_slice(part: str, counts: dict[str, Counter[str]]) -> None:
    """Print one line of the table."""
    # Of a text without an answer, an error is what is right.
    good = "failed" if "must fail" in part else "right"
    cells = ""
    for found in counts.values():
        share = found[good] / found.total()
        figures = f"{found['right']} / {found['wrong']} / {found['failed']}"
        cells += f"{figures + f' {share:6.1%}':>30}"
    goal = f"{GOALS[part]:.0%}" if part in GOALS else ""
    cases = next(iter(counts.values())).total()
    print(f"{part:<30}{cases:>6}{goal:>7}{cells}")


HOSTILE = {
    "{ x 10,000": "{" * 10_000,
    '{"a": x 200,000': '{"a":' * 200_000,
    "quotes 1 MB": '"' * 1_000_000,
    "brace in a text 1 MB": '{"a": "x}' + "x}" * 500_000 + '" z',
    "items 1 MB": "[" + "1," * 500_000,
    "commas in an open text 1 MB": '{"a": "' + '",' * 500_000,
    "prose with braces 1 MB": 'see {"a": 1, } and ' * 52_000,
}
"""What makes some parsers hang or crash."""


def report_hostile() -> None:
    """Print how long texts take that are meant to take long."""
    print(f"\n{'hostile, CPU s, goal 1':<32}{'model':>8}{'any':>8}")
    for name, text in HOSTILE.items():
        took = ""
        models: tuple[Any, ...] = (Document, {})
        for model in models:
            parser = SchemaParser(model)
            began = time.process_time()
            parser.read(text)
            took += f"{time.process_time() - began:>8.2f}"
        print(f"{name:<32}{took}")


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
        print(f"{'other quotes ' + label:<26}{'':>12}{mine:>12.3f}")
        bare = text.replace("'", "")
        mine = milliseconds(lambda bare=bare: parser.parse(bare), rounds)  # type: ignore[misc]
        print(f"{'without quotes ' + label:<26}{'':>12}{mine:>12.3f}")
    print(
        "baseline: json.loads and model_validate; core: PydanticOutputParser; goal for "
        f"valid input: ratio <= {SPEED_GOAL}; for malformed: 2 ms for 1 KB, 250 for 100"
    )


def report_streams() -> None:
    """Print the CPU time of a whole stream in small chunks."""
    print(f"\n{'stream, CPU s':<26}{'ours':>12}{'values':>12}{'core':>12}")
    theirs: JsonOutputParser = JsonOutputParser()
    for label, size in (("5 KB", 5_000), ("10 KB", 10_000), ("100 KB", 100_000)):
        text = document(size)
        parts = [text[at : at + CHUNK] for at in range(0, len(text), CHUNK)]
        for kind, chunks in (
            ("text", parts),
            ("messages", [AIMessageChunk(content=part) for part in parts]),
            ("tool call", [call_chunk(part) for part in parts]),
        ):
            count = 0

            def ours(chunks: Any = chunks) -> None:
                nonlocal count
                count = len(list(SchemaParser(Document).transform(iter(chunks))))

            mine = milliseconds(ours, 3) / 1000
            cell = "-"
            # Its work is quadratic: beyond that, nobody waits for it.
            if kind != "tool call" and size <= CORE_STREAMS:
                core_ms = milliseconds(
                    lambda chunks=chunks: list(theirs.transform(iter(chunks))),  # type: ignore[misc]
                    1,
                )
                cell = f"{core_ms / 1000:.3f}"
            print(f"{label + ', ' + kind:<26}{mine:>12.3f}{count:>12}{cell:>12}")
    print(
        f"chunks of {CHUNK} characters; values: how many are yielded; core: "
        f"JsonOutputParser; goal for 100 KB: <= {STREAM_GOAL:.0f} s in all"
    )


def call_chunk(text: str) -> AIMessageChunk:
    """Write a part of a tool call's arguments."""
    part = tool_call_chunk(args=text, index=0)
    return AIMessageChunk(content="", tool_call_chunks=[part])


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
    arguments.add_argument("--prefer", choices=["first", "last"], default="last")
    arguments.add_argument("--instructor", help="a Python that has instructor")
    given = arguments.parse_args()
    rows = load(given.half)
    parsers = dict(PARSERS)
    if given.instructor:
        parsers["instructor + validation"] = with_instructor(given.instructor, rows)
    print(f"half: {given.half}, prefer: {given.prefer}")
    report_cases(rows, parsers, given.prefer)
    report_hostile()
    report_times()
    report_streams()
    report_sizes()


if __name__ == "__main__":
    main()
