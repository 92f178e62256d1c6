"""Asking a judge about many pairs; each verdict is in a file as soon as it is there.

```
{"format": "prodpatterns-verdicts", "version": 1, "judge": "my_app:judge"}
{"pair": "5f3c...", "yes": true}
```

A pair is named by a digest of its texts. Where the judge failed nothing is written: to
resume is to ask again.
"""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, TextIO

from langchain_core.runnables import RunnableConfig, RunnableLambda

from langchain_prodpatterns.cache.questions import SameAnswerRequest
from langchain_prodpatterns.commands.output import Advance, progress, tell
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.judging import BoundJudge, Judgement, YesNoVerdict

FORMAT = "prodpatterns-verdicts"
"""The first word of the file."""
VERSION = 1
"""Raised whenever an older release could not read it."""

_OWNER_ONLY = 0o600
_DIGEST_SIZE = 16

Judged = Judgement[YesNoVerdict]
"""A verdict, or the failure to come to one."""


def verdicts_of(data: str) -> Path:
    """Return the file of the verdicts on a file of rows."""
    return Path(f"{data}.verdicts")


@dataclass(slots=True)
class Verdicts:
    """Verdicts in a file."""

    path: Path
    """The file."""
    judge: str
    """The name of the judge, as it was typed."""
    known: dict[str, bool] = field(default_factory=dict)
    """What the judge said, by the digest of the pair."""

    @classmethod
    def open(cls, path: Path, judge: str, *, resume: bool) -> "Verdicts":
        """Begin a file, or go on with one.

        Raises:
            ConfigurationError: When it is there and nobody said to go on, or it cannot
                be gone on with.
            OSError: When it cannot be read or written.
        """
        verdicts = cls(path, judge)
        if not _holds_something(path):
            path.touch(_OWNER_ONLY)
            head = {"format": FORMAT, "version": VERSION, "judge": judge}
            path.write_text(f"{json.dumps(head)}\n", "ascii")
        elif resume:
            verdicts._read()
        else:
            msg = (
                f"there are verdicts in {path.name!r}: go on with --resume, or remove "
                "the file"
            )
            raise ConfigurationError(msg)
        return verdicts

    def _read(self) -> None:
        """Take note of what is there; a half last line is cut off."""
        with self.path.open("r+b") as page:
            head = _read_object(page.readline())
            if head.get("format") != FORMAT or head.get("version") != VERSION:
                msg = f"{self.path.name!r} holds something else than verdicts: move it"
                raise ConfigurationError(msg)
            if head.get("judge") != self.judge:
                msg = (
                    f"{self.path.name!r} holds verdicts of {head.get('judge')!r}, not "
                    f"of {self.judge!r}: remove the file to begin anew"
                )
                raise ConfigurationError(msg)
            whole = page.tell()
            while (line := page.readline()).endswith(b"\n"):
                given = _read_object(line)
                if isinstance(given.get("yes"), bool):
                    self.known[str(given.get("pair"))] = given["yes"]
                whole = page.tell()
            page.truncate(whole)

    def ask(
        self,
        judge: BoundJudge[SameAnswerRequest, YesNoVerdict],
        requests: Sequence[SameAnswerRequest],
        max_concurrency: int,
    ) -> list[Judged]:
        """Ask about pairs that nothing is known of.

        Args:
            judge: The judge.
            requests: The pairs.
            max_concurrency: How many to ask about at once.

        Returns:
            A judgement each, in their order.
        """
        keys = [_key(request) for request in requests]
        found = {
            key: Judgement(YesNoVerdict(yes=self.known[key]))
            for key in keys
            if key in self.known
        }
        everything = dict(zip(keys, requests, strict=True))
        new = {key: one for key, one in everything.items() if key not in found}
        with self._told(), progress("judge", len(requests)) as advance:
            advance(len(requests) - len(new))
            found |= self._asked(judge, new, max_concurrency, advance)
        return [found[key] for key in keys]

    def _asked(
        self,
        judge: BoundJudge[SameAnswerRequest, YesNoVerdict],
        new: dict[str, SameAnswerRequest],
        max_concurrency: int,
        advance: Advance,
    ) -> Iterator[tuple[str, Judged]]:
        turn = threading.Lock()

        def ask(item: tuple[str, SameAnswerRequest]) -> tuple[str, Judged]:
            key, request = item
            judgement = judge.ask(request)
            # Here, where it was paid for: no interrupt elsewhere comes in between.
            with turn:
                self._note(page, key, judgement)
                advance()
            return key, judgement

        asking = RunnableLambda(ask)
        config = RunnableConfig(max_concurrency=max_concurrency)
        with self.path.open("a", encoding="ascii") as page:
            for _, answered in asking.batch_as_completed(list(new.items()), config):
                yield answered

    def _note(self, page: TextIO, key: str, judgement: Judged) -> None:
        if judgement.failure is None:
            self.known[key] = judgement.yes
            page.write(f"{json.dumps({'pair': key, 'yes': judgement.yes})}\n")
            page.flush()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say where verdicts are, if it does not come to the end."""
        try:
            yield
        except BaseException:
            tell(
                f"not finished: {len(self.known)} verdicts are in {self.path}; "
                "--resume goes on there"
            )
            raise


def _holds_something(path: Path) -> bool:
    """Whether there is more than the head of verdicts none of which ever came."""
    if not path.exists():
        return False
    with path.open("rb") as page:
        head, more = page.readline(), page.read(1)
    return bool(more or (head and _read_object(head).get("format") != FORMAT))


def _read_object(line: bytes) -> dict[str, Any]:
    try:
        given = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return given if isinstance(given, dict) else {}


def _key(request: SameAnswerRequest) -> str:
    texts = (request.new_question, request.stored_question, request.stored_answer)
    said = json.dumps(texts).encode("ascii")
    return blake2b(said, digest_size=_DIGEST_SIZE).hexdigest()
