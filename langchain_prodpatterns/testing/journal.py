"""What was asked and what came of it: the records that a ledger is tested against."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

CHAT_PATH = "/v1/chat/completions"
"""Path of chat requests, also of those in process."""

EMBEDDINGS_PATH = "/v1/embeddings"
"""Path of embedding requests."""

MODELS_PATH = "/v1/models"
"""Path that lists the models."""

Outcome = Literal["pending", "answered", "fault", "rejected", "abandoned"]
"""What came of a request."""


@dataclass(frozen=True)
class RequestRecord:
    """One request, and what came of it."""

    number: int
    """The request's number among those to the same path, counted from 1."""
    path: str
    """The path, such as `/v1/chat/completions`."""
    model: str = ""
    """The model that was asked, or an empty string."""
    messages: tuple[Mapping[str, Any], ...] = ()
    """The messages of a chat request, in OpenAI's format."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Everything else in the body: parameters, tools, texts to embed."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """The HTTP headers, without those that hold a key."""
    streamed: bool = False
    """Whether the answer was to be streamed."""
    outcome: Outcome = "pending"
    """`answered` completely; ended by a scripted `fault`; `rejected` as wrong or not
    scripted; `abandoned` by the client before the end; or `pending` still."""
    status: int | None = None
    """The HTTP status, or `None` where none was sent."""
    input_tokens: int = 0
    """Tokens paid for the prompt: none unless answered."""
    output_tokens: int = 0
    """Tokens paid for the answer: none unless answered."""
    rule: str | None = None
    """The rule that answered."""
    fault: str | None = None
    """The fault that ended it: `429`, `timeout`, `disconnect`, `malformed_body`..."""
    error: str | None = None
    """Why it was rejected."""

    @property
    def finished(self) -> bool:
        """Whether it was answered completely, and so counted and paid for."""
        return self.outcome == "answered"


class Journal:
    """Keeps records, and how often each rule was used. Safe for many threads.

    Every figure is computed from the records, so that they cannot disagree. A pickled
    or deep copy goes its own way from there.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._records: dict[int, RequestRecord] = {}
        self._uses: Counter[int] = Counter()
        self._numbers: Counter[str] = Counter()
        self._next_key = 0

    def __getstate__(self) -> dict[str, Any]:
        with self._changed:
            state = dict(self.__dict__)
            state["_records"] = dict(self._records)
            state["_uses"] = Counter(self._uses)
            state["_numbers"] = Counter(self._numbers)
        del state["_changed"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._changed = threading.Condition()

    def __repr__(self) -> str:
        return f"Journal({len(self.records())} requests)"

    def open(self, path: str, **known: Any) -> tuple[int, int]:
        """Start a record.

        Args:
            path: The request's path.
            known: Fields of `RequestRecord` that are known already.

        Returns:
            The key to settle the record by, and the request's number.
        """
        with self._changed:
            key = self._next_key
            self._next_key += 1
            self._numbers[path] += 1
            number = self._numbers[path]
            self._records[key] = RequestRecord(number, path, **known)
        return key, number

    def update(self, key: int, **known: Any) -> None:
        """Fill in fields of a record, unless it is settled or was reset."""
        with self._changed:
            record = self._records.get(key)
            if record is not None and record.outcome == "pending":
                self._records[key] = replace(record, **known)
                self._changed.notify_all()

    def use(self, rule: int) -> int:
        """Count a use of the rule at an index, and say how many came before."""
        with self._changed:
            before = self._uses[rule]
            self._uses[rule] += 1
        return before

    @contextmanager
    def watch(self, key: int) -> Iterator[None]:
        """Settle the record as abandoned if the block leaves it pending."""
        try:
            yield
        finally:
            self.update(key, outcome="abandoned")

    def wait_idle(self, timeout: float) -> bool:
        """Wait until no record is pending.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            Whether none is pending.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while any(r.outcome == "pending" for r in self._records.values()):
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    return False
        return True

    def reset(self) -> None:
        """Forget all records, numbers and uses of rules."""
        with self._changed:
            self._records.clear()
            self._uses.clear()
            self._numbers.clear()
            self._changed.notify_all()

    def records(self) -> tuple[RequestRecord, ...]:
        """All records, in the order of arrival."""
        with self._changed:
            return tuple(self._records.values())

    def count(self, outcome: Outcome, path: str | None = None) -> int:
        """How many requests came to an outcome.

        Args:
            outcome: The outcome.
            path: The path of the requests; `None` counts all.
        """
        return sum(
            record.outcome == outcome and path in (None, record.path)
            for record in self.records()
        )

    def tokens(self, path: str) -> tuple[int, int]:
        """Tokens of prompts and of answers that were paid for at a path."""
        found = [record for record in self.records() if record.path == path]
        total_in = sum(record.input_tokens for record in found)
        return total_in, sum(record.output_tokens for record in found)
