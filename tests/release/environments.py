"""Virtual environments as a user makes them, and what runs in them."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ENOUGH = 1_200
"""Seconds for what downloads: a limit against hanging, not an expectation."""

_HIDDEN = {"OPENAI_API_KEY", "OPENAI_BASE_URL", "PRODPATTERNS_SHARED", "PYTHONPATH"}


def run(
    command: Sequence[object], where: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command apart from this checkout.

    Args:
        command: The program and its arguments.
        where: The folder it runs in.
        **variables: Environment variables besides those of this process.

    Returns:
        How it ended, and what it wrote.
    """
    kept = {name: value for name, value in os.environ.items() if name not in _HIDDEN}
    return subprocess.run(  # noqa: S603 - our own commands
        [str(part) for part in command],
        cwd=where,
        env={**kept, "COLUMNS": "200", **variables},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=ENOUGH,
        check=False,
    )


@dataclass(frozen=True)
class Environment:
    """A virtual environment with the wheel in it."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self._program("python")

    def script(self, source: str) -> subprocess.CompletedProcess[str]:
        """Run Python source in it, with nothing else on the path."""
        return run([self.python, "-I", "-c", source], self.folder)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the console script that the wheel brings."""
        return run([self._program("prodpatterns"), *arguments], self.folder)

    def _program(self, name: str) -> Path:
        scripts = "Scripts" if os.name == "nt" else "bin"
        return self.folder / scripts / (f"{name}.exe" if os.name == "nt" else name)


def make_environment(folder: Path, requirement: str) -> Environment:
    """Make an environment and install one thing and what it depends on.

    Args:
        folder: Where it is to be.
        requirement: What pip is asked for.

    Returns:
        The environment.
    """
    made = Environment(folder)
    commands = [
        [sys.executable, "-m", "venv", folder],
        [made.python, "-m", "pip", "install", "--quiet", "--no-compile", requirement],
    ]
    for command in commands:
        done = run(command, folder.parent)
        assert done.returncode == 0, done.stderr
    return made
