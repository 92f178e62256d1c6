"""What is released, built once and installed once for all tests here."""

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.release.environments import Environment, make_environment, run
from tests.release.source import ROOT


@dataclass(frozen=True)
class Built:
    """The files that `make build` makes."""

    sdist: Path
    """The source distribution."""
    wheel: Path
    """The wheel, built from the sdist."""
    direct: Path
    """The wheel, built from the checkout."""


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The distributions of this checkout."""
    both, alone = (tmp_path_factory.mktemp(name) for name in ("both", "alone"))
    build = [sys.executable, "-m", "build", ROOT, "--outdir"]
    for command in ([*build, both], [*build, alone, "--wheel"]):
        done = run(command, both)
        assert done.returncode == 0, done.stdout + done.stderr
    sdist, wheel, direct = (
        *both.glob("*.tar.gz"),
        *both.glob("*.whl"),
        *alone.glob("*.whl"),
    )
    return Built(sdist, wheel, direct)


@pytest.fixture(scope="session")
def core(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel and its core dependencies alone."""
    folder = tmp_path_factory.mktemp("environments") / "core"
    return make_environment(folder, str(built.wheel))


@pytest.fixture(scope="session")
def with_extras(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel and the extras that its types speak of."""
    folder = tmp_path_factory.mktemp("environments") / "extras"
    return make_environment(folder, f"{built.wheel}[testing,postgres,otel]")
