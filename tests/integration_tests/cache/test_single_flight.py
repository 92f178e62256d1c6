"""One call for many callers: threads of several processes, one of which may die."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

THREADS = 8
LONG = 90.0
"""Seconds after which a process that hangs is killed, which fails the test."""

CALLERS = textwrap.dedent(
    """
    import json, sys, threading
    from concurrent.futures import ThreadPoolExecutor
    from langchain_core.globals import set_llm_cache
    from langchain_core.runnables import RunnableLambda
    from langchain_prodpatterns.cache import SemanticJudgeCache, single_flight
    from langchain_prodpatterns.cache.flights import PATIENCE, Flights
    from langchain_prodpatterns.cache.leases import Leases
    from langchain_prodpatterns.cache.stores import LocalStore
    from langchain_prodpatterns.testing import LexicalEmbeddings, ScriptedChatModel

    path, calls, way, threads, lease = sys.argv[1:]
    single_flight.LEASE_SECONDS = float(lease)
    Leases.claim_or_find.__defaults__ = (PATIENCE, float(lease))
    go = threading.Event()

    def say(what, *more):
        sys.stdout.write(json.dumps([what, *more]) + "\\n")
        sys.stdout.flush()

    join, claim = Flights.join, LocalStore.claim

    def joined(self, key):
        say("joined")
        return join(self, key)

    def claimed(self, *lease):
        mine = claim(self, *lease)
        if not mine:
            say("waiting for a process")
        return mine

    Flights.join, LocalStore.claim = joined, claimed

    def answer(_):
        with open(calls, "a") as file:
            file.write("called\\n")
        say("calling")
        assert go.wait(80)
        return "because"

    cache = SemanticJudgeCache(
        LexicalEmbeddings(dimensions=64),
        band=(0.8, 0.99),
        path=path,
        single_flight=80 if way == "behind a model" else None,
    )
    if way == "behind a model":
        set_llm_cache(cache)
        model = ScriptedChatModel(respond=answer)
        ask = lambda question: model.invoke(question).text
    else:
        ask = cache.wrap(RunnableLambda(answer)).invoke
    with ThreadPoolExecutor(int(threads)) as pool:
        asked = [pool.submit(ask, "Why is it so?") for _ in range(int(threads))]
        sys.stdin.readline()
        go.set()
        answers = [one.result() for one in asked]
    stats = cache.stats()
    cache.close()
    say("done", answers, stats.exact, stats.misses, stats.errors)
    """
)


class Callers:
    """A process whose threads ask the same; it tells what they do."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.heard: list[str] = []

    def hear(self, *expected: str, times: int = 1) -> list[Any]:
        """Listen until one of several things was told often enough."""
        assert self.process.stdout is not None
        told: list[Any] = []
        while max(self.heard.count(what) for what in expected) < times:
            line = self.process.stdout.readline()
            assert line, f"it ended without {expected}"
            told = json.loads(line)
            self.heard.append(told[0])
        return told[1:]

    def go_on(self) -> None:
        """Let the call that is under way in it end, and those that begin."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """Let it die at once."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def calling(folder: Path, way: str, *, lease: float = 60.0) -> Iterator[Callers]:
    """Start a process whose threads ask the same."""
    arguments = [folder / "cache.db", folder / "calls", way, THREADS, lease]
    with subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-c", CALLERS, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        watch = threading.Timer(LONG, process.kill)
        watch.start()
        try:
            yield Callers(process)
        finally:
            watch.cancel()
            process.kill()


def calls_in(folder: Path) -> int:
    return len((folder / "calls").read_text().splitlines())


WAYS = pytest.mark.parametrize("way", ["around a chain", "behind a model"])


@WAYS
def test_threads_of_two_processes_make_one_call(tmp_path: Path, way: str) -> None:
    with ExitStack() as stack:
        both = [stack.enter_context(calling(tmp_path, way)) for _ in range(2)]
        for callers in both:
            callers.hear("joined", times=THREADS)
            callers.hear("calling", "waiting for a process")
        for callers in both:
            callers.go_on()
        told = [callers.hear("done") for callers in both]

    assert calls_in(tmp_path) == 1
    assert [answers for answers, *_ in told] == [["because"] * THREADS] * 2
    # Who leads in the other process was served what this one stored.
    assert sorted(counts for _, *counts in told) == [
        [THREADS - 1, 1, 0],
        [THREADS, 0, 0],
    ]


@pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL here")
@WAYS
def test_a_call_whose_process_was_killed_is_made_by_another(
    tmp_path: Path, way: str
) -> None:
    with calling(tmp_path, way, lease=3.0) as leading:
        leading.hear("calling")
        with calling(tmp_path, way, lease=3.0) as following:
            following.hear("joined", times=THREADS)
            following.hear("waiting for a process")
            leading.kill()
            following.hear("calling")
            following.go_on()
            answers, *counts = following.hear("done")

    assert calls_in(tmp_path) == 2
    assert answers == ["because"] * THREADS
    assert counts == [THREADS - 1, 1, 0]


FORKED = textwrap.dedent(
    """
    import os, threading
    from langchain_core.runnables import RunnableLambda
    from langchain_prodpatterns.cache import SemanticJudgeCache
    from langchain_prodpatterns.testing import LexicalEmbeddings

    begun, go = threading.Event(), threading.Event()
    parent = os.getpid()

    def answer(_):
        if os.getpid() == parent:
            # Not even the calls that are under way can be looked at now.
            flights._lock.acquire()
            begun.set()
            assert go.wait(80)
            flights._lock.release()
        return f"because {os.getpid() == parent}"

    cache = SemanticJudgeCache(LexicalEmbeddings(dimensions=64), band=(0.8, 0.99))
    flights = cache.core.flights
    chain = cache.wrap(RunnableLambda(answer))
    leader = threading.Thread(target=chain.invoke, args=("Why?",))
    leader.start()
    assert begun.wait(80)
    if os.fork() == 0:
        print(chain.invoke("Why?"), flush=True)
        os._exit(0)
    os.wait()
    go.set()
    leader.join()
    cache.close()
    """
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")
def test_a_forked_process_waits_for_no_call_of_its_parent_s() -> None:
    told = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", FORKED],
        check=True,
        capture_output=True,
        text=True,
        timeout=LONG,
    )

    assert told.stdout == "because False\n"
