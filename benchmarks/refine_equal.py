"""The same model and the same number of calls for every system, over real HTTP.

The tasks are those of CommonGen-Hard. The scripted model uses a word of the task with a
chance that is the same for everybody, and made up: 60% without a draft before it; 90%
if the draft before it has the word and 20% if not; 75% where the prompt names the word
as missing. An adviser, where a system has one, names exactly what is missing. The draws
are those of the task and the number of the call.

- `RefineChain`: verifiers only, one for the share and one that names what is missing.
- `plain loop`: "Improve this" with the last story, and the last is returned.
- `dspy.Refine` writes anew each time, with a hint that costs a call; `dspy.BestOfN`
  without one. Both need a story to be in `--peers FOLDER`, where pip installs them.
"""

import gzip
import json
import os
import random
import re
import statistics
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cache_peers import Peer, PeerError, made
from langchain_core.runnables import Runnable
from refine_coverage import (
    CALLS,
    coverage,
    missing_from,
    named_in,
    story_of,
    task_of,
    used_in,
    words_of,
)
from refine_script import as_asked

from langchain_prodpatterns import Budget
from langchain_prodpatterns.refine import RefineChain
from langchain_prodpatterns.testing import Reply, ScriptedProvider, ScriptedRequest

DSPY = Peer("dspy", ("dspy",), embeds=False)
KINDS = ("Refine", "BestOfN")
FRESH, KEPT, UNSEEN, NAMED = 0.6, 0.9, 0.2, 0.75

_WORKER = Path(__file__).with_name("refine_peer_worker.py")
_LOOPBACK = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
_PLAIN_WORD = re.compile(r"[a-z]+")

Write = Callable[[str], str | None]
"""From a task to a story; `None` where there is none."""


class Writer:
    """The scripted model."""

    def __init__(self) -> None:
        self.task = ""
        """The task at hand."""
        self.first: str | None = None
        """The first story for it."""

    def begin(self, task: str) -> None:
        """Turn to the next task."""
        self.task, self.first = task, None

    def __call__(self, request: ScriptedRequest) -> Reply:
        """Answer a request: with a story, or with advice."""
        prompt = request.prompt_text
        if "[[ ## advice ## ]]" in prompt:
            return Reply(self._advice(prompt), verbatim=True)
        story = self._story(prompt, request.number)
        self.first = self.first or story
        if "[[ ## story ## ]]" in prompt:
            return Reply(_fields(story=story), verbatim=True)
        return Reply(as_asked(prompt, story))

    def _story(self, prompt: str, number: int) -> str:
        shown, named = used_in(prompt), named_in(prompt)
        rng = random.Random(f"{self.task} {number}")
        draws = [(word, rng.random()) for word in words_of(self.task)]
        return story_of([word for word, x in draws if x < _chance(word, shown, named)])

    def _advice(self, prompt: str) -> str:
        lacking = missing_from(self.task, story_of(used_in(prompt) or []))
        advice = json.dumps({"self": f"Use what is missing: {', '.join(lacking)}"})
        return _fields(discussion="It left words out.", advice=advice)


def _chance(word: str, shown: list[str] | None, named: list[str]) -> float:
    if word in named:
        return NAMED
    if shown is None:
        return FRESH
    return KEPT if word in shown else UNSEEN


def _fields(**values: str) -> str:
    parts = [f"[[ ## {name} ## ]]\n{value}" for name, value in values.items()]
    return "\n\n".join([*parts, "[[ ## completed ## ]]"])


def refine(model: Runnable[Any, Any]) -> Write:
    """`RefineChain` with code as its only critic."""

    def write(task: str) -> str:
        def share(story: str) -> float:
            return coverage(task, story)

        def words(story: str) -> str | None:
            lacking = missing_from(task, story)
            return f"missing: {', '.join(lacking)}" if lacking else None

        chain = RefineChain(
            model,
            critics=[share, words],
            max_rounds=CALLS - 1,
            budget=Budget(calls=CALLS),
        )
        return str(chain.invoke(task).text)

    return write


def plain_loop(model: Runnable[Any, Any]) -> Write:
    """Ask for an improvement until the calls are spent; return the last story."""

    def write(task: str) -> str:
        story = str(model.invoke(task).text)
        for _ in range(CALLS - 1):
            story = str(model.invoke(f"{task}\n\nImprove this:\n{story}").text)
        return story

    return write


@contextmanager
def peer(python: Path, kind: str, url: str) -> Iterator[Write]:
    """Start a module of DSPy in a process of its own.

    Raises:
        PeerError: When its process fails.
    """
    with subprocess.Popen(  # noqa: S603 - a script of ours
        [python, _WORKER, kind, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **_LOOPBACK},
    ) as process:
        tasks, stories = process.stdin, process.stdout
        assert tasks is not None  # noqa: S101 - both are pipes
        assert stories is not None  # noqa: S101 - as above

        def write(task: str) -> str | None:
            try:
                print(json.dumps(task), file=tasks, flush=True)
                story: str | None = json.loads(stories.readline())
            except (OSError, ValueError) as error:
                msg = f"dspy.{kind} failed"
                raise PeerError(msg) from error
            return story

        try:
            yield write
        finally:
            process.kill()


@dataclass
class Stories:
    """What a system made of all tasks."""

    shares: list[float] = field(default_factory=list)
    """The share of words that each story uses; 0 where there is none."""
    below: int = 0
    """Stories that use fewer words than the first one did."""
    calls: list[int] = field(default_factory=list)
    """Requests for each story."""
    tokens: int = 0
    """Tokens of prompts and answers, in all."""

    @property
    def share(self) -> float:
        """The mean share."""
        return statistics.fmean(self.shares)


def load_tasks(path: Path) -> list[str]:
    """Read the tasks, without the few words that are none."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line)["concepts"] for line in lines]
    return [task_of([w for w in words if _PLAIN_WORD.fullmatch(w)]) for words in rows]


def compare(tasks: Sequence[str], folder: Path | None) -> Iterator[tuple[str, Stories]]:
    """Let every system write all stories.

    Args:
        tasks: The tasks.
        folder: Where the environment of the peers is, or is to be made.

    Yields:
        The name of a system, and what it made.

    Raises:
        PeerError: When a peer cannot be installed, or fails.
    """
    writer = Writer()
    with ScriptedProvider(respond=writer) as provider:
        model = provider.chat_model(max_retries=0)
        yield "RefineChain", _written(refine(model), tasks, provider, writer)
        yield "plain loop", _written(plain_loop(model), tasks, provider, writer)
        if folder is None:
            return
        python = made(DSPY, folder)
        for kind in KINDS:
            with peer(python, kind, provider.base_url) as write:
                yield f"dspy.{kind}", _written(write, tasks, provider, writer)


def _written(
    write: Write, tasks: Sequence[str], provider: ScriptedProvider, writer: Writer
) -> Stories:
    stories = Stories()
    for task in tasks:
        provider.reset()
        writer.begin(task)
        story = write(task)
        provider.wait_idle()
        share = 0.0 if story is None else coverage(task, story)
        stories.shares.append(share)
        stories.below += share < coverage(task, writer.first or "")
        stories.calls.append(len(provider.requests))
        stories.tokens += provider.input_tokens + provider.output_tokens
    return stories
