"""How the calls in a chain ended: its answer may hide that it is made of half of one.

A parser drops what a message says of its end, and a fallback the error it stands for.
"""

import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult

from langchain_prodpatterns.cache.admission import broken_off

_RETRIED = "retry:attempt:"
_SIDE_BY_SIDE = "map:key:"


class Endings(BaseCallbackHandler):
    """Hears how the calls below one config ended. Safe to use from many threads.

    An answer that broke off counts until its text is known to be out of play: the same
    step asks a model again, or a run around the call fails. An error counts until a
    retry begins or a model answers.
    """

    # Without it LangChain would run a sync handler in a thread, after the fact.
    run_inline = True

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parents: dict[UUID, UUID | None] = {}
        self._broken: dict[UUID, str] = {}
        self._failed = False

    @property
    def objection(self) -> str | None:
        """Why what the chain gave is not to be stored, or `None`."""
        with self._lock:
            broken = next(iter(self._broken.values()), None)
            return broken or ("after an error" if self._failed else None)

    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Note where a run belongs."""
        with self._lock:
            self._begin(run_id, parent_run_id, tags)

    def on_chat_model_start(
        self,
        serialized: dict[str, Any] | None,
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Note that a step asks a model, perhaps once more."""
        self._ask(run_id, parent_run_id, tags)

    def on_llm_start(
        self,
        serialized: dict[str, Any] | None,
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Note that a step asks a model, perhaps once more."""
        self._ask(run_id, parent_run_id, tags)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Note how an answer ended."""
        found = (broken_off(one) for some in response.generations for one in some)
        reason = next((reason for reason in found if reason), None)
        with self._lock:
            self._failed = False
            if reason is not None:
                self._broken[run_id] = reason

    def on_llm_error(
        self, error: BaseException, *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Note an error."""
        self._fail(run_id)

    def on_chain_error(
        self, error: BaseException, *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Note an error."""
        self._fail(run_id)

    def on_tool_error(
        self, error: BaseException, *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Note an error."""
        self._fail(run_id)

    def on_retriever_error(
        self, error: BaseException, *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Note an error."""
        self._fail(run_id)

    def _begin(self, run_id: UUID, parent: UUID | None, tags: list[str] | None) -> None:
        self._parents[run_id] = parent
        if any(tag.startswith(_RETRIED) for tag in tags or []):
            self._failed = False

    def _ask(self, run_id: UUID, parent: UUID | None, tags: list[str] | None) -> None:
        with self._lock:
            self._begin(run_id, parent, tags)
            if any(tag.startswith(_SIDE_BY_SIDE) for tag in tags or []):
                return
            for call in [
                call for call in self._broken if self._parents[call] == parent
            ]:
                del self._broken[call]

    def _fail(self, run_id: UUID) -> None:
        with self._lock:
            self._failed = True
            self._forget(
                [call for call in self._broken if run_id in self._around(call)]
            )

    def _forget(self, calls: list[UUID]) -> None:
        for call in calls:
            del self._broken[call]

    def _around(self, run_id: UUID) -> Iterator[UUID]:
        parent = self._parents.get(run_id)
        while parent is not None:
            yield parent
            parent = self._parents.get(parent)
