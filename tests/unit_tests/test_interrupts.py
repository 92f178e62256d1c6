import signal
import sys
import threading
from typing import Any

import pytest

from langchain_prodpatterns.interrupts import Interrupts, remembered_interrupts


class Finalized:
    """Raises in a finalizer, where Python drops what is raised."""

    def __init__(self, error: BaseException | None = None) -> None:
        self._error = error

    def __del__(self) -> None:
        if self._error is not None:
            raise self._error
        signal.raise_signal(signal.SIGINT)


def test_an_interrupt_raises_and_is_remembered() -> None:
    with remembered_interrupts() as interrupts:
        interrupts.check()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

        with pytest.raises(KeyboardInterrupt):
            interrupts.check()


def test_an_interrupt_that_python_drops_is_raised_by_the_next_check(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with remembered_interrupts() as interrupts:
        Finalized()

        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
    assert capsys.readouterr().err == ""


def test_other_dropped_errors_are_reported_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reported: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", reported.append)

    with remembered_interrupts():
        Finalized(ValueError("told"))

    assert [str(dropped.exc_value) for dropped in reported] == ["told"]


def test_what_was_there_is_put_back() -> None:
    before = signal.getsignal(signal.SIGINT), sys.unraisablehook

    with remembered_interrupts():
        assert signal.getsignal(signal.SIGINT) != before[0]

    assert (signal.getsignal(signal.SIGINT), sys.unraisablehook) == before


def test_an_ignored_sigint_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with remembered_interrupts() as interrupts:
            signal.raise_signal(signal.SIGINT)
        assert not interrupts.seen
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_than_the_main_one_may_use_it() -> None:
    seen: list[Interrupts] = []

    def use() -> None:
        with remembered_interrupts() as interrupts:
            seen.append(interrupts)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()

    assert [interrupts.seen for interrupts in seen] == [False]
