"""Models that fail by a plan, which is drawn before anybody is asked."""

import json
import random
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from structured_flow_order import CALLS, CHEAP, STRONG, Order

from langchain_prodpatterns.testing import Fault, Reply, ScriptedRequest, ToolCall

KINDS = ("syntax", "missing", "enum", "truncated", "refused", "429", "500")
"""How an answer can fail. A refusal is final: that model refuses again."""
_ON = {CHEAP: 0.5, STRONG: 0.15}
"""The chance that a model fails again after a failure."""
_FAILS = 0.15
"""The chance that the strong model fails at first; the cheap one always does."""
_ITEMS = ("rope", "lamp oil", "life vest", "paint", "anchor", "flare", "pump", "sail")
_PEOPLE = ("Ann Bell", "Bo Dahl", "Cy Eads", "Di Frost", "Ed Gray", "Flo Hart")
_PATCH_TOOL = "PatchFunctionErrors"
"""By which trustcall asks for a patch of its last call."""
_PATCH_WORDS = "JSON Patch (RFC 6902)"
"""By which `StructuredRetryParser` asks for a patch of the last answer."""
_SOON = 0.01
"""Seconds that a client is told to wait, so that nobody waits for long."""
_SPENT = Fault.http(402, "the budget of this page is spent")
_NOTHING = Reply("There is no order in this.", verbatim=True)

Data = dict[str, Any]


@dataclass(frozen=True)
class Page:
    """A page with an order, and how each model fails at it."""

    order: Data
    """What is on it."""
    plans: Mapping[str, tuple[str, ...]]
    """How the first answers of a model fail; the rest are right."""
    cut: float
    """Where an answer is cut off, from 0, before the first line, to 1, the end."""
    in_prose: bool
    """Whether a syntax error is prose without JSON, or a stray colon in the JSON."""

    @property
    def text(self) -> str:
        """The page, as a model sees it."""
        lines = "; ".join(f"{one['quantity']} {one['item']}" for one in self._lines)
        head = f"Page of order {self.order['number']} by {self.order['customer']}"
        return f"{head}, {self.order['status']}: {lines}. {self.order['total']} euros."

    @property
    def _lines(self) -> list[Data]:
        lines: list[Data] = self.order["lines"]
        return lines

    def failure(self, model: str, number: int) -> str | None:
        """How an answer of a model fails, counted from 0; `None` if it is right."""
        plan = self.plans[model]
        if plan and plan[-1] == "refused":
            number = min(number, len(plan) - 1)
        return plan[number] if number < len(plan) else None


def draw_pages(count: int, seed: int) -> list[Page]:
    """Draw pages; the first failures of the cheap model take turns."""
    rng = random.Random(seed)
    pages = []
    for number in range(count):
        cheap = (KINDS[number % len(KINDS)], *_more(rng, _ON[CHEAP]))
        fails = rng.random() < _FAILS
        strong = (rng.choice(KINDS), *_more(rng, _ON[STRONG])) if fails else ()
        plans = {CHEAP: _until_refused(cheap), STRONG: _until_refused(strong)}
        pages.append(
            Page(_order(rng, number), plans, rng.random(), rng.random() < 1 / 2)
        )
    return pages


def _more(rng: random.Random, chance: float) -> tuple[str, ...]:
    kinds = []
    while rng.random() < chance:
        kinds.append(rng.choice(KINDS))
    return tuple(kinds)


def _until_refused(kinds: tuple[str, ...]) -> tuple[str, ...]:
    end = kinds.index("refused") + 1 if "refused" in kinds else len(kinds)
    return kinds[:end]


def _order(rng: random.Random, number: int) -> Data:
    items = rng.sample(_ITEMS, 3)
    return {
        "number": f"R-{number:04}",
        "customer": rng.choice(_PEOPLE),
        "status": rng.choice(["placed", "shipped", "returned"]),
        "total": rng.randrange(1_000, 90_000) / 100,
        "lines": [{"item": item, "quantity": rng.randint(1, 40)} for item in items],
    }


class Script:
    """Answers for the page that is at hand, within its budget of requests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: Counter[str] = Counter()
        self._page: Page | None = None
        self._written: Data | None = None

    def begin(self, page: Page) -> None:
        """Turn to another page."""
        with self._lock:
            self._asked.clear()
            self._page = page
            self._written = None

    @property
    def asked(self) -> dict[str, int]:
        """Requests to each model, those beyond the budget left out."""
        with self._lock:
            return dict(self._asked)

    def __call__(self, request: ScriptedRequest) -> Reply | Fault:
        """Answer a request."""
        with self._lock:
            assert self._page is not None  # noqa: S101 - a page was begun
            if self._asked.total() >= CALLS:
                return _SPENT
            kind = self._page.failure(request.model, self._asked[request.model])
            self._asked[request.model] += 1
            if kind in {"429", "500"}:
                return Fault("status", status=int(kind), retry_after=_SOON)
            return Reply.refused() if kind == "refused" else self._write(kind, request)

    def _write(self, kind: str | None, request: ScriptedRequest) -> Reply:
        """Answer with what the prompt holds: the page, or else the last answer."""
        page, written = self._page, self._written
        assert page is not None  # noqa: S101 - a page was begun
        if page.text in request.prompt_text:
            known = page.order
        elif written is not None:
            known = written | {"status": page.order["status"]}
        else:
            return _NOTHING
        said, text = spoiled(known, kind, page)
        if _PATCH_TOOL in request.tool_names:
            return _patched(request, said, text if kind == "syntax" else None, kind)
        if _PATCH_WORDS in request.prompt_text:
            return _patched_in_words(request, said, kind, page)
        self._written = said
        return _in_form(request, text, kind)


def spoiled(order: Data, kind: str | None, page: Page) -> tuple[Data, str]:
    """Spoil an answer.

    Returns:
        What can be read out of the answer, and its text.
    """
    text = json.dumps(order)
    if kind == "syntax" and page.in_prose:
        return order, f"This is what I read. {page.text}"
    if kind == "syntax":
        return order, _with_colon(text)
    if kind == "truncated":
        start = text.index("[") + 1
        kept = text[: start + int(page.cut * (len(text) - 1 - start))]
        whole = kept.count("}")
        return order | {"lines": order["lines"][:whole]}, kept
    if kind == "missing":
        order = {key: value for key, value in order.items() if key != "total"}
    if kind == "enum":
        order = order | {"status": "on its way"}
    return order, json.dumps(order)


def _with_colon(text: str) -> str:
    """Put a stray colon behind the first brace."""
    return text.replace("{", "{:", 1)


def _in_form(request: ScriptedRequest, text: str, kind: str | None) -> Reply:
    """Answer as a text, or as a call of the tool that is demanded."""
    reason = "length" if kind == "truncated" else None
    if not request.forced_tools or not text.startswith("{"):
        return Reply(text, finish_reason=reason, verbatim=True)
    call = ToolCall(request.forced_tools[0], text)
    return Reply(tool_calls=(call,), finish_reason=reason)


def _patched(
    request: ScriptedRequest, said: Data, broken: str | None, kind: str | None
) -> Reply:
    """Answer a request for a JSON Patch of the last call, which is in the prompt."""
    calls = [call for one in request.messages for call in one.get("tool_calls") or ()]
    call = calls[-1]
    before = json.loads(call["function"]["arguments"])
    patches = _changes(before, said)
    edits = "; ".join(f"mend {patch['path']}" for patch in patches)
    whole = {"json_doc_id": call["id"], "planned_edits": edits, "patches": patches}
    text = json.dumps(whole) if broken is None else broken
    if kind == "truncated":
        text = text[: len(text) // 2]
    return _in_form(request, text, kind)


def _patched_in_words(
    request: ScriptedRequest, said: Data, kind: str | None, page: Page
) -> Reply:
    """Answer a request for a JSON Patch of the last answer, which is in the prompt."""
    answers = [one for one in request.messages if one["role"] == "assistant"]
    text = json.dumps(_changes(json.loads(answers[-1]["content"]), said))
    if kind == "syntax":
        text = spoiled(said, kind, page)[1] if page.in_prose else _with_colon(text)
    if kind == "truncated":
        text = text[: len(text) // 2]
    return _in_form(request, text, kind)


def _changes(before: Data, said: Data) -> list[Data]:
    """Write a JSON Patch from an answer to another."""
    return [
        {"op": "replace" if key in before else "add", "path": f"/{key}", "value": value}
        for key, value in said.items()
        if before.get(key) != value
    ]


def is_right(value: Data | None, page: Page) -> bool:
    """Whether a value is what is on the page."""
    return value is not None and value == Order(**page.order).model_dump(mode="json")
