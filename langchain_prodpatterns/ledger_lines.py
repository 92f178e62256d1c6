"""A ledger as JSON lines: every model call and every decision, without what was said.

```
{"v": 1, "kind": "call", "run_id": "...", "model": "...", "usage": {...}, ...}
{"v": 1, "kind": "decision", "pattern": "cache", "decision": "hit", ...}
{"v": 1, "kind": "open", "run_id": "...", "pattern": "refine"}
```

Lines of many ledgers and processes may follow each other in one file: a run counts
once, and what is said of it last holds.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from langchain_prodpatterns.arguments import is_number
from langchain_prodpatterns.booking import Decision
from langchain_prodpatterns.errors import ProdPatternsError
from langchain_prodpatterns.json_lines import read_object
from langchain_prodpatterns.usage import ModelCall, Usage

VERSION = 1
"""Raised whenever an older release could not read the lines."""

_OWNER_ONLY = 0o600
# Of the calendar, in seconds since the epoch: a report names the day.
_LATEST = datetime.max.replace(tzinfo=UTC).timestamp()
_USAGE = {one.name: one.default for one in fields(Usage)}
# Of what a cache said of a hit: not the hit's id, which is made of digests of texts.
_SERVED = ("run_id", "decision", "reason")
_SAVED = ("saved_calls", "saved_tokens", "saved_usd", "saved_seconds")


class BadLine(ProdPatternsError):
    """Raised by a line that is none of a ledger; the message says why."""


@dataclass(slots=True)
class Books:
    """What a ledger has heard."""

    calls: dict[UUID, ModelCall] = field(default_factory=dict)
    """Model calls that have ended, by run."""
    decisions: dict[str, Decision] = field(default_factory=dict)
    """Decisions, by run."""
    open: dict[UUID, str | None] = field(default_factory=dict)
    """The pattern of each call that has begun and not ended."""

    def lines(self) -> Iterator[str]:
        """Write everything down, a line each, without their ends."""
        for call in self.calls.values():
            yield _line("call", _call_fields(call))
        for decision in self.decisions.values():
            yield _line("decision", asdict(decision))
        for run_id, pattern in self.open.items():
            yield _line("open", {"run_id": str(run_id), "pattern": pattern})

    def read(self, line: str) -> None:
        """Take note of a line.

        Raises:
            BadLine: When it is none.
        """
        given = _read_object(line)
        try:
            self._note(given)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # Not the message: it may quote what stands there.
            msg = f"no line of a ledger ({type(error).__name__})"
            raise BadLine(msg) from None

    def _note(self, given: Mapping[str, Any]) -> None:
        if given["kind"] == "call":
            call = _read_call(given)
            self.calls[call.run_id] = call
            self.open.pop(call.run_id, None)
        elif given["kind"] == "decision":
            decision = _read_decision(given)
            self.decisions[decision.run_id] = decision
        elif given["kind"] == "open":
            run_id = UUID(given["run_id"])
            if run_id not in self.calls:
                self.open[run_id] = _text_or_none(given["pattern"])
        else:
            raise ValueError


def write_lines(path: Path, lines: Iterable[str], *, append: bool) -> int:
    """Write lines to a file that only its owner can read, if it is new.

    Args:
        path: The file.
        lines: The lines, without their ends.
        append: Whether they come after those that are there.

    Returns:
        How many there are.

    Raises:
        OSError: When it cannot be written.
    """
    written = [f"{line}\n" for line in lines]
    # A line that broke off would take the first of these with it.
    begin = "\n" if append and _is_torn(path) else ""
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if append else os.O_TRUNC)
    with os.fdopen(os.open(path, flags, _OWNER_ONLY), "ab" if append else "wb") as page:
        # In one piece, so that the lines of other processes do not come in between.
        page.write("".join([begin, *written]).encode("ascii"))
    return len(written)


def _is_torn(path: Path) -> bool:
    """Whether the last line of a file has no end, as of a process that was stopped."""
    if not path.is_file():
        return False
    with path.open("rb") as page:
        size = page.seek(0, os.SEEK_END)
        page.seek(max(size - 1, 0))
        return page.read() not in {b"", b"\n"}


def read_books(path: Path, on_bad: Callable[[int, str], None]) -> Books:
    """Read a file of lines.

    Args:
        path: The file.
        on_bad: Told the number, from 1 on, and the reason of what is no such line.

    Returns:
        What was heard.

    Raises:
        OSError: When it cannot be read.
    """
    books = Books()
    with path.open("rb") as page:
        for number, line in enumerate(page, 1):
            if not line.strip():
                continue
            try:
                books.read(line.decode())
            except (BadLine, UnicodeDecodeError) as error:
                on_bad(number, str(error) if isinstance(error, BadLine) else "no text")
    return books


def _line(kind: str, given: Mapping[str, Any]) -> str:
    return json.dumps({"v": VERSION, "kind": kind, **given})


def _call_fields(call: ModelCall) -> dict[str, Any]:
    served = call.served
    return {
        **asdict(call),
        "run_id": str(call.run_id),
        "served": served
        and {name: served[name] for name in (*_SERVED, *_SAVED) if name in served},
    }


def _read_object(line: str) -> Mapping[str, Any]:
    given = read_object(line)
    if given is None:
        msg = "no JSON object"
        raise BadLine(msg)
    if given.get("v") != VERSION:
        msg = f"no line of a ledger of version {VERSION}, which this release reads"
        raise BadLine(msg)
    return given


def _read_call(given: Mapping[str, Any]) -> ModelCall:
    saved, served = given["saved"], given["served"]
    return ModelCall(
        run_id=UUID(given["run_id"]),
        pattern=_text_or_none(given["pattern"]),
        owner=_text_or_none(given["owner"]),
        model=_text_or_none(given["model"]),
        usage=_read_usage(given["usage"]),
        saved=None if saved is None else _read_usage(saved),
        served=None if served is None else _read_served(served),
        error=_text_or_none(given["error"]),
        around=_text_or_none(given["around"]),
        name=_text(given["name"]),
        prompt=_text(given["prompt"]),
        at=_moment(given["at"]),
    )


def _read_decision(given: Mapping[str, Any]) -> Decision:
    usd, counts = given["saved_usd"], given["counts"]
    return Decision(
        pattern=_text(given["pattern"]),
        decision=_text(given["decision"]),
        reason=_text(given["reason"]),
        run_id=_text(given["run_id"]),
        parent=_text_or_none(given["parent"]),
        seconds=_number(given["seconds"]),
        saved_calls=_count(given["saved_calls"]),
        saved_tokens=_count(given["saved_tokens"]),
        saved_usd=None if usd is None else _number(usd),
        saved_seconds=_number(given["saved_seconds"]),
        counts={_text(name): _count(counted) for name, counted in counts.items()},
        at=_moment(given["at"]),
    )


def _read_usage(given: Mapping[str, Any]) -> Usage:
    read: dict[str, Any] = {
        name: _count(value) if isinstance(_USAGE[name], int) else _price(name, value)
        for name, value in given.items()
    }
    return Usage(**read)


def _price(name: str, value: Any) -> float | None:
    return None if name == "usd" and value is None else _number(value)


def _read_served(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a cache said of a hit, as far as the ledger asks for it."""
    read: dict[str, Any] = {n: _text(given[n]) for n in _SERVED if n in given}
    for name in _SAVED:
        if name in given:
            value = given[name]
            unknown = name == "saved_usd" and value is None
            read[name] = None if unknown else _number(value)
    return read


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError
    return value


def _moment(value: Any) -> float:
    at = _number(value)
    if not 0 <= at < _LATEST:
        raise ValueError
    return at


def _number(value: Any) -> float:
    if not is_number(value):
        raise TypeError
    return float(value)
