import builtins
import signal
from typing import Any

import pytest

from langchain_prodpatterns import cli
from langchain_prodpatterns.demo.launch import launch

APP = "langchain_prodpatterns.demo.app"


@pytest.fixture(params=["raised", "dropped"])
def interrupted_import(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Press Ctrl-C while the demo is being imported."""
    original = builtins.__import__

    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    def importing(name: str, *more: Any) -> Any:
        if name == APP:
            if request.param == "raised":
                signal.raise_signal(signal.SIGINT)
            Finalized()
        return original(name, *more)

    monkeypatch.setattr(builtins, "__import__", importing)


@pytest.mark.usefixtures("interrupted_import")
def test_ctrl_c_during_the_import_ends_with_130(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert launch(["--question", " "]) == 130
    assert capsys.readouterr() == ("Interrupted.\n", "")


@pytest.mark.usefixtures("interrupted_import")
def test_the_console_script_ends_the_same_way() -> None:
    assert cli.main(["demo", "--question", " "]) == 130


def test_it_runs_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    assert launch(["--question", " "]) == 2
    assert capsys.readouterr().err.startswith("error: --question")
