"""Processes that are forked while threads of their parent use the cache."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

_SCRIPT = """
import os, signal, sys, threading
from langchain_core.outputs import Generation
from langchain_core.runnables import RunnableLambda
from langchain_prodpatterns import forking
from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.testing import LexicalEmbeddings

def opened(**options):
    path = sys.argv[1] or None
    return SemanticJudgeCache(LexicalEmbeddings(), lambda _: True, path=path, **options)

def fork(check):
    child = os.fork()
    if child == 0:
        # What hangs is killed.
        signal.alarm(30)
        try:
            check()
            os._exit(0)
        finally:
            os._exit(1)
    return child

def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def answer(text):
    return [Generation(text=text)]
"""


def _run(code: str, path: Path | str = "") -> None:
    result = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", _SCRIPT + textwrap.dedent(code), str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr


@pytest.fixture(params=["memory", "file"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    return tmp_path / "cache.db" if request.param == "file" else ""


def test_no_child_hangs_in_a_lookup_or_an_update(path: Path | str) -> None:
    _run(
        """
        # However loaded the machine is.
        forking._SECONDS = 60
        cache = opened()
        for number in range(100):
            cache.update(f"q{number} something", "m", answer("x"))
        over = threading.Event()

        def work(start):
            number = start
            while not over.is_set():
                number += 1
                cache.lookup(f"q{number % 100} something", "m")
                if number % 10 == 0:
                    cache.update(f"q{number % 7} anew", "m", answer("y"))

        def check():
            assert cache.lookup("q1 something", "m") == answer("x")
            cache.update("from the child", "m", answer("z"))
            assert cache.lookup("from the child", "m") == answer("z")
            cache.close()

        threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        codes = [ended(child) for child in [fork(check) for _ in range(25)]]
        over.set()
        for thread in threads:
            thread.join()
        assert codes == [0] * 25, codes
        cache.close()
        """,
        path,
    )


def test_a_child_does_not_wait_for_a_call_of_a_thread_that_it_does_not_have() -> None:
    _run(
        """
        parent, begun, go_on = os.getpid(), threading.Event(), threading.Event()

        def slow(text):
            if os.getpid() == parent:
                begun.set()
                go_on.wait()
            return text.upper()

        chain = opened().wrap(RunnableLambda(slow))
        thread = threading.Thread(target=chain.invoke, args=("hello",))
        thread.start()
        begun.wait()

        def check():
            assert chain.invoke("hello") == "HELLO"

        code = ended(fork(check))
        go_on.set()
        thread.join()
        assert code == 0
        """
    )


def test_a_child_does_not_wait_behind_the_cache_interface_either() -> None:
    _run(
        """
        cache = opened(single_flight=1000)
        thread = threading.Thread(target=cache.lookup, args=("hello", "m"))
        thread.start()
        thread.join()

        def check():
            assert cache.lookup("hello", "m") is None

        assert ended(fork(check)) == 0
        """
    )


def test_a_child_waits_for_what_its_parent_will_store_in_the_file(
    tmp_path: Path,
) -> None:
    _run(
        """
        parent, begun = os.getpid(), threading.Event()
        reader, writer = os.pipe()

        def slow(text):
            assert os.getpid() == parent, "the child makes no call of its own"
            begun.set()
            os.read(reader, 1)
            return text.upper()

        chain = opened().wrap(RunnableLambda(slow))
        thread = threading.Thread(target=chain.invoke, args=("hello",))
        thread.start()
        begun.wait()

        def check():
            os.write(writer, b".")
            assert chain.invoke("hello") == "HELLO"

        assert ended(fork(check)) == 0
        thread.join()
        """,
        tmp_path / "cache.db",
    )


def test_where_a_thread_was_long_at_work_a_cache_in_memory_begins_anew() -> None:
    _run(
        """
        forking._SECONDS = 0.1
        cache, held, go_on = opened(), threading.Event(), threading.Event()
        cache.update("hello", "m", answer("HELLO"))
        database = cache.core.tiers._store._opened

        def work():
            with database.write():
                held.set()
                go_on.wait()

        thread = threading.Thread(target=work)
        thread.start()
        held.wait()

        def check():
            assert cache.lookup("hello", "m") is None
            cache.update("hello", "m", answer("again"))
            assert cache.lookup("hello", "m") == answer("again")
            assert cache.stats().errors == 0

        code = ended(fork(check))
        go_on.set()
        thread.join()
        assert code == 0
        assert cache.lookup("hello", "m") == answer("HELLO")
        """
    )


def test_a_child_ends_the_index_though_its_parents_thread_was_at_work_on_it() -> None:
    _run(
        """
        cache, held, go_on = opened(), threading.Event(), threading.Event()
        cache.update("hello", "m", answer("HELLO"))
        stopped = cache.core.tiers._store._indexer._stopped

        def work():
            # As in the moment in which it begins to wait.
            with stopped._cond:
                held.set()
                go_on.wait()

        thread = threading.Thread(target=work)
        thread.start()
        held.wait()

        def check():
            assert cache.explain("hello!", "m").similarity is not None
            cache.close()

        code = ended(fork(check))
        go_on.set()
        thread.join()
        assert code == 0
        """
    )
