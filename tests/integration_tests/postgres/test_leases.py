"""One call for many hosts: who makes it may be killed, and nobody waits for long."""

import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from langchain_core.outputs import Generation

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.stores import PostgresStore
from langchain_prodpatterns.testing import LexicalEmbeddings

LEASE = 2.0
LONG = 60.0
"""Seconds after which a process that hangs is killed, which fails the test."""
QUESTION = "Why is it so?"

CALLER = textwrap.dedent(
    """
    import sys
    from langchain_core.outputs import Generation
    from langchain_prodpatterns.cache import SemanticJudgeCache, single_flight
    from langchain_prodpatterns.cache.stores import PostgresStore
    from langchain_prodpatterns.testing import LexicalEmbeddings

    dsn, question, lease = sys.argv[1:]
    single_flight.LEASE_SECONDS = float(lease)
    store = PostgresStore(dsn, timeout=30.0)
    embeddings = LexicalEmbeddings(dimensions=64)
    with SemanticJudgeCache(
        embeddings, band=(0.8, 0.99), store=store, single_flight=60.0
    ) as cache:
        found = cache.lookup(question, "llm")
        print("found" if found else "calling", flush=True)
        if found is None:
            sys.stdin.readline()
            cache.update(question, "llm", [Generation(text="because")])
            print("stored", flush=True)
    """
)


class Caller:
    """Another process that asks; it is in the middle of its call if it makes one."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def _calling(dsn: str) -> Iterator[Caller]:
    with subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-c", CALLER, dsn, QUESTION, str(LEASE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        watch = threading.Timer(LONG, process.kill)
        watch.start()
        try:
            yield Caller(process)
        finally:
            watch.cancel()
            process.kill()


@pytest.fixture
def cache(dsn: str) -> Iterator[SemanticJudgeCache]:
    """A cache of this process, on the same database."""
    store = PostgresStore(dsn, timeout=LONG)
    embeddings = LexicalEmbeddings(dimensions=64)
    with SemanticJudgeCache(
        embeddings, band=(0.8, 0.99), store=store, single_flight=LONG
    ) as cache:
        yield cache


def test_a_killed_holder_is_waited_for_no_longer_than_its_lease(
    dsn: str, cache: SemanticJudgeCache
) -> None:
    with _calling(dsn) as holder:
        assert holder.says() == "calling"
        holder.kill()
    started = time.monotonic()

    # The call is this process's to make now.
    assert cache.lookup(QUESTION, "llm") is None

    assert time.monotonic() - started < LEASE + LONG / 2
    cache.update(QUESTION, "llm", [Generation(text="made again")])
    assert cache.lookup(QUESTION, "llm") == [Generation(text="made again")]
    assert cache.stats().errors == cache.stats().unavailable == 0


def test_a_live_holder_is_waited_for_longer_than_its_lease(
    dsn: str, cache: SemanticJudgeCache
) -> None:
    with _calling(dsn) as holder, ThreadPoolExecutor(1) as threads:
        assert holder.says() == "calling"
        asked = threads.submit(cache.lookup, QUESTION, "llm")
        # It is renewed meanwhile.
        with pytest.raises(TimeoutError):
            asked.result(2 * LEASE)
        holder.go_on()
        assert holder.says() == "stored"
        assert asked.result(LONG) == [Generation(text="because")]


def test_of_two_processes_one_calls(dsn: str) -> None:
    with _calling(dsn) as first:
        assert first.says() == "calling"
        with _calling(dsn) as second:
            first.go_on()
            assert first.says() == "stored"
            assert second.says() == "found"
