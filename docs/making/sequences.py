"""Sequence diagrams of what was called, recorded while it ran."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.tracers.base import BaseTracer
from langchain_core.tracers.schemas import Run

from docs.making.examples import PROMPT, Example
from langchain_prodpatterns import SemanticJudgeCache, track
from langchain_prodpatterns.cache.stores import LocalStore
from langchain_prodpatterns.testing import LexicalEmbeddings, ScriptedChatModel

CALLER = "your code"
_ROLES = {
    "embed_query": "embeddings",
    "embed_documents": "embeddings",
    "judge": "judge",
    "fallback": "fallback",
    "critique": "critics",
    "compare": "judge",
    "chain": "your chain",
    "retrieve": "your retriever",
}
_QUIET = {"bind", "close", "counts", "fingerprint", "sweep", "tally", "touch"}
"""Methods of a store that are about its own order, and not about one lookup."""


class _Runs(BaseTracer):
    """Keeps the runs of one name, in their order."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self.found: list[Run] = []

    def _persist_run(self, run: Run) -> None:
        self.found += [each for each in _all(run) if each.name == self._name]


def _all(run: Run) -> Iterator[Run]:
    yield run
    for child in run.child_runs:
        yield from _all(child)


def of_example(example: Example) -> str:
    """Run an example, and draw the calls that were made in it.

    Args:
        example: What to run.

    Returns:
        A sequence diagram: each message is a run that a tracer saw, and each answer
        the decision that the ledger has.
    """
    lines: list[str] = []
    for asked in example.inputs:
        runs = _Runs(example.watched)
        with track() as ledger:
            example.graph.invoke(asked, {"callbacks": [runs]})
        said = next(iter(ledger.to_records())).decision
        text = asked["question"] if isinstance(asked, dict) else asked
        component = example.watched
        lines.append(_message(CALLER, component, text))
        for run in runs.found:
            lines += _children(component, run)
        lines.append(_answer(component, CALLER, said))
    return "\n".join(["sequenceDiagram", *lines])


def _children(component: str, run: Run) -> Iterator[str]:
    """Yield a message a child run, and those of the children that it has."""
    for child in run.child_runs:
        if child.run_type == "prompt":
            continue
        step = _step(child)
        role = _role(child, step)
        yield _message(component, role, step)
        if role == child.name:
            yield from _children(role, child)


def _step(run: Run) -> str:
    """Return the step that a run is: the component names it, or a tag does."""
    named = run.name.partition(":")[2]
    return named or next(
        (tag for tag in run.tags or () if tag in {*_ROLES, "compress"}), "invoke"
    )


def _role(run: Run, step: str) -> str:
    if step in _ROLES:
        return _ROLES[step]
    if run.run_type == "llm":
        return str((run.extra or {}).get("metadata", {}).get("ls_model_name", "model"))
    return run.name


def _message(sender: str, receiver: str, text: str) -> str:
    return f"    {_shown(sender)}->>{_shown(receiver)}: {_label(text)}"


def _answer(sender: str, receiver: str, text: str) -> str:
    return f"    {_shown(sender)}-->>{_shown(receiver)}: {_label(text)}"


def _shown(name: str) -> str:
    return "your chain" if name == "RunnableSequence" else name


def _label(text: str) -> str:
    """Leave out what ends a message in the notation of the diagrams."""
    return text.replace(";", ",").replace("#", "no. ")


class _Recorder:
    """Notes who calls whom, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.lines: list[str] = []

    def note(self, sender: str, receiver: str, text: str) -> None:
        with self._lock:
            line = _message(sender, receiver, text)
            if not self.lines or self.lines[-1] != line:
                self.lines.append(line)


class _Seen(LexicalEmbeddings):
    """Embeddings that are seen at work."""

    def embed_query(self, text: str) -> list[float]:
        _RECORDERS[-1].note("cache", "embeddings", "embed_query")
        return super().embed_query(text)


_RECORDERS: list[_Recorder] = []
"""The recorder at work: embeddings are a frozen model, which cannot hold one."""


class _Store:
    """A store that is seen at work."""

    def __init__(self, store: LocalStore, recorder: _Recorder) -> None:
        self._store = store
        self._recorder = recorder

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._store, name)
        if not callable(value) or name in _QUIET:
            return value
        return self._noted(name, value)

    def _noted(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._recorder.note("cache", "store", name)
            return method(*args, **kwargs)

        return call


def of_lookup() -> str:
    """Make a miss, a judged hit and an exact hit, and draw who was asked for what.

    Returns:
        A sequence diagram.
    """
    recorder = _Recorder()
    _RECORDERS.append(recorder)
    try:
        return _drawn_lookups(recorder, _Seen())
    finally:
        _RECORDERS.remove(recorder)


def _drawn_lookups(recorder: _Recorder, embeddings: Embeddings) -> str:
    def judge(_: Any) -> bool:
        recorder.note("cache", "judge", "does the answer fit?")
        return True

    def answer(_: Any) -> str:
        recorder.note("cache", "your chain", "invoke")
        return "20 euros."

    store: Any = _Store(LocalStore(), recorder)
    with SemanticJudgeCache(embeddings, judge, store=store) as cache:
        chain = cache.wrap(PROMPT | ScriptedChatModel(respond=answer))
        recorder.lines.clear()
        for text in ("What does a kayak cost?", "What does a kayak cost today?"):
            _ask(chain, text, recorder)
        _ask(chain, "What does a kayak cost?", recorder)
    lines = recorder.lines
    return "\n".join(["sequenceDiagram", f"    participant {CALLER}", *lines])


def _ask(chain: Any, text: str, recorder: _Recorder) -> None:
    recorder.note(CALLER, "cache", text)
    with track() as ledger:
        chain.invoke({"question": text})
    decision = next(r.decision for r in ledger.to_records() if r.pattern == "cache")
    recorder.lines.append(_answer("cache", CALLER, decision))
