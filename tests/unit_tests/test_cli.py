"""The console script."""

import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from langchain_prodpatterns import cli
from langchain_prodpatterns.cli import USAGE, main


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_who_asks_is_told_the_commands(
    flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([flag]) == 0
    assert capsys.readouterr() == (USAGE, "")


def test_no_command_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr() == ("", USAGE)


def test_another_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cachee"]) == 2
    told = "prodpatterns: there is no command 'cachee'"
    assert capsys.readouterr() == ("", f"{USAGE}\n{told}\n")


def test_the_process_gives_the_arguments(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["prodpatterns", "cache", "stats", "--help"])

    assert main() == 0
    assert "prodpatterns cache stats" in capsys.readouterr().out


@pytest.mark.parametrize("becomes", [KeyboardInterrupt, TypeError, None])
@pytest.mark.parametrize("command", ["cache", "calibrate", "report"])
def test_ctrl_c_while_a_command_is_imported_ends_it_quietly(
    command: str,
    becomes: type[BaseException] | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def importing(_: str) -> ModuleType:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            if becomes is not None:
                raise becomes from None
        return ModuleType("imported")

    monkeypatch.setattr(cli, "import_module", importing)

    assert main([command]) == 130
    assert capsys.readouterr() == ("", "")


def test_the_script_that_is_installed_runs_it(tmp_path: Path) -> None:
    """As pip writes the script from `[project.scripts]`."""
    script = "import sys; from langchain_prodpatterns.cli import main; sys.exit(main())"
    ran = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", script, "cache", "stats", "--store", "none.db"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("prodpatterns cache stats: there is no cache at none")
    assert ran.stderr.count("\n") == 1
