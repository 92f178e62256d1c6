"""How the calls in a chain ended: its answer may hide that it is made of half of one.

A parser drops what a message says of its end, and a fallback the error it stands for.
"""

import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.outputs import LLMResult

from langchain_prodpatterns.cache.admission import broken_off
from langchain_prodpatterns.cache.values import texts_in

_RETRIED = "retry:attempt:"
_STEPS = ("graph:step:", "map:key:", "seq:step:")
_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "num_predict")
_LABEL_TOKENS = 16
_AT_THE_LIMIT = frozenset(
    {"ended with length", "ended with max_output_tokens", "ended with max_tokens"}
)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a run stands: in what run, and in which step of it.

    The step, since what stands in for another in `with_fallbacks` is a child of the
    same run as the steps that come after it.
    """

    parent: UUID | None
    steps: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Broken:
    """An answer that broke off."""

    text: str
    reason: str


class Endings(BaseCallbackHandler):
    """Hears how the calls below one config ended. Safe to use from many threads.

    An error counts until it is retried or, unless a retriever or a tool failed, until
    a model answers in what is run afterwards in the same place.

    An answer that broke off counts if it is the last of the chain, or if the chain
    gives its text on, unless it may not be longer than 16 tokens: a label ends there
    on purpose.
    """

    # Without it LangChain would run a sync handler in a thread, after the fact.
    run_inline = True

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: dict[UUID, _Place] = {}
        self._failed: dict[UUID, bool] = {}
        """Runs that failed, and whether a model may answer in their place."""
        self._in_place_of: dict[UUID, list[UUID]] = {}
        """Runs, and the failed ones in whose place they were begun."""
        self._labels: set[UUID] = set()
        self._broken: dict[UUID, _Broken] = {}
        self._last: set[UUID] = set()
        """Answers that broke off, after which no model was asked."""
        self._whole: set[str] = set()

    def objection(self, output: Any) -> str | None:
        """Say why what a chain gave is not to be stored.

        Args:
            output: What it gave.

        Returns:
            How an answer in it ended, or that there was an error; `None` if what the
            chain gave may be stored.
        """
        with self._lock:
            broken, last = list(self._broken.items()), set(self._last)
            failed, whole = bool(self._failed), set(self._whole)
        texts = list(texts_in(output)) if broken else []
        for call, answer in broken:
            if call in last or _goes_on(answer.text, texts, whole):
                return answer.reason
        return "after an error" if failed else None

    def on_chain_start(
        self,
        *_: Any,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Note where a run belongs."""
        self._begin(run_id, parent_run_id, tags)

    on_retriever_start = on_tool_start = on_chain_start

    def on_llm_start(
        self,
        *_: Any,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Note that a model is asked."""
        self._begin(run_id, parent_run_id, tags)
        self._ask(run_id, kwargs.get("invocation_params") or {})

    on_chat_model_start = on_llm_start

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Note how an answer ended."""
        with self._lock:
            for run in (run_id, *self._around(run_id)):
                for failed in self._in_place_of.pop(run, ()):
                    self._failed.pop(failed, None)
            for one in (one for some in response.generations for one in some):
                text, reason = one.text.strip(), broken_off(one)
                if reason is None:
                    self._whole.add(text)
                elif not (run_id in self._labels and reason in _AT_THE_LIMIT):
                    self._broken[run_id] = _Broken(text, reason)
                    self._last.add(run_id)

    def on_chain_error(
        self, error: BaseException, *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Note an error in whose place a model may answer."""
        self._fail(run_id, replaceable=True)

    on_llm_error = on_chain_error

    def on_tool_error(
        self, error: BaseException, *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Note an error that no model's answer makes good."""
        self._fail(run_id, replaceable=False)

    on_retriever_error = on_tool_error

    def _begin(self, run_id: UUID, parent: UUID | None, tags: list[str] | None) -> None:
        with self._lock:
            if parent and any(tag.startswith(_RETRIED) for tag in tags or ()):
                self._forget_below(parent)
            steps = frozenset(tag for tag in tags or () if tag.startswith(_STEPS))
            place = self._places[run_id] = _Place(parent, steps)
            self._in_place_of[run_id] = [
                failed
                for failed, replaceable in self._failed.items()
                if replaceable and self._places.get(failed) == place
            ]

    def _ask(self, run_id: UUID, params: Mapping[str, Any]) -> None:
        limits = [params[name] for name in _LIMITS if params.get(name) is not None]
        with self._lock:
            self._last.clear()
            if any(limit <= _LABEL_TOKENS for limit in limits):
                self._labels.add(run_id)

    def _fail(self, run_id: UUID, *, replaceable: bool) -> None:
        """Note a failed run, which stands for all that had failed in it."""
        with self._lock:
            inner = self._forget_below(run_id)
            self._failed[run_id] = replaceable and all(inner)

    def _forget_below(self, run_id: UUID) -> list[bool]:
        """Forget how the runs below one ended; tell of those that failed."""
        for call in [c for c in self._broken if run_id in self._around(c)]:
            del self._broken[call]
        failed = [run for run in self._failed if run_id in self._around(run)]
        return [self._failed.pop(run) for run in failed]

    def _around(self, run_id: UUID) -> Iterator[UUID]:
        place = self._places.get(run_id)
        while place is not None and place.parent is not None:
            yield place.parent
            place = self._places.get(place.parent)


def _goes_on(text: str, output: list[str], whole: Collection[str]) -> bool:
    """Whether a text is in an output, other than as a part of an answer that is whole.

    Who is asked once more often begins with the same words.
    """
    covers = sorted((one for one in whole if text in one), key=len, reverse=True)
    for given in output if text else ():
        rest = given
        for cover in covers:
            rest = rest.replace(cover, " ")
        if text in rest:
            return True
    return False
