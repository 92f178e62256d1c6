"""Locks that a fork leaves free."""

import gc
import os
import subprocess
import sys
import textwrap
import threading

import pytest

from langchain_prodpatterns import forking

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

_SCRIPT = """
import os, signal, threading
from langchain_prodpatterns import forking

class Owner:
    def __init__(self):
        self.lock, self.half, self.told = threading.Lock(), False, []
        forking.guard(
            self,
            "lock",
            in_child=lambda owner: owner.told.append("in child"),
            lost=lambda owner: owner.told.append("lost"),
        )

def in_child(check):
    child = os.fork()
    if child == 0:
        # What hangs is killed, and what fails has no status 0.
        signal.alarm(20)
        try:
            check()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0

def hold(owner, until):
    held = threading.Event()

    def work():
        with owner.lock:
            owner.half = True
            held.set()
            until.wait()
            owner.half = False

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    held.wait()
    return thread

owner, until = Owner(), threading.Event()
"""


def _run(code: str) -> None:
    result = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", _SCRIPT + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr


@forks
def test_a_fork_waits_for_who_holds_a_lock() -> None:
    _run("""
        # The last one registered is called first: the fork has begun then.
        os.register_at_fork(before=until.set)
        hold(owner, until)

        def check():
            assert not owner.half
            assert owner.lock.acquire(blocking=False)
            assert owner.told == ["in child"]

        in_child(check)
        assert owner.lock.acquire(timeout=20) and owner.told == []
    """)


@forks
def test_a_fork_does_not_wait_for_ever_and_the_child_is_told_what_was_lost() -> None:
    _run("""
        forking._SECONDS = 0.05
        thread = hold(owner, until)
        other = Owner()

        def check():
            assert owner.half and owner.told == ["lost", "in child"]
            with owner.lock, owner.lock:
                assert other.told == ["in child"]
            with other.lock:
                in_child(lambda: None)

        in_child(check)
        assert not owner.lock.acquire(blocking=False)
        until.set()
        thread.join(20)
        assert owner.lock.acquire(timeout=20) and other.lock.acquire(timeout=20)
    """)


@forks
def test_who_forks_may_hold_a_lock_and_holds_it_still() -> None:
    _run("""
        owner.lock = threading.RLock()

        def check():
            owner.lock.release()
            assert owner.told == ["in child"]

        with owner.lock:
            in_child(check)
        hold(owner, until)
    """)


@forks
def test_several_threads_may_fork_at_once() -> None:
    _run("""
        def work():
            for _ in range(5):
                in_child(lambda: owner.lock.acquire())

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert owner.lock.acquire(blocking=False) and forking._held == {}
    """)


def test_where_there_is_no_fork_nothing_is_done() -> None:
    code = (
        "import os\n"
        "vars(os).pop('register_at_fork', None)\n"
        "from langchain_prodpatterns.forking import guard\n"
        "def owner(): pass\n"
        "guard(owner, 'lock')\n"
    )
    result = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", code], timeout=60, check=False
    )
    assert result.returncode == 0


class _Owner:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        forking.guard(self, "lock")


def test_what_is_gone_is_forgotten() -> None:
    gc.collect()
    before = len(forking._guards)
    owners = [_Owner() for _ in range(3)]
    assert len(forking._guards) == before + 3
    owners.clear()
    gc.collect()

    assert len(forking._guards) <= before
