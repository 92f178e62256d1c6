"""A project that uses the package passes strict type checkers, on the wheel alone."""

import ast
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.release.environments import Environment, run
from tests.release.source import PACKAGE, listed, public_modules, resolve

CONSUMER = Path(__file__).parent / "consumer"
CHECKER = [sys.executable, "-m", "pyright"]
WRITTEN_FOR = {"Announcing"}
"""What only the author of a store, not its user, has to know."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The consumer apart from this checkout, so that only the wheel is seen."""
    folder = tmp_path_factory.mktemp("project") / "consumer"
    shutil.copytree(CONSUMER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder.parent


def test_the_consumer_passes_mypy_strict(
    project: Path, with_extras: Environment
) -> None:
    mypy = [sys.executable, "-m", "mypy", "--strict", "--no-incremental"]
    command = [*mypy, "--python-executable", with_extras.python, "consumer"]
    done = run(command, project)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_consumer_passes_pyright_strict(
    project: Path, with_extras: Environment
) -> None:
    settings = {"include": ["consumer"], "typeCheckingMode": "strict"}
    (project / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
    done = run([*CHECKER, "--pythonpath", with_extras.python], project)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("0 errors")


def test_every_public_symbol_has_a_known_type(
    project: Path, with_extras: Environment
) -> None:
    """What is reached from an `__all__` is fully annotated, members included."""
    scripts = with_extras.python.parent
    path = f"{scripts}{os.pathsep}{os.environ['PATH']}"
    asked = ["--outputjson", "--verifytypes", PACKAGE, "--ignoreexternal"]
    command = [*CHECKER, "--pythonpath", with_extras.python, *asked]
    done = run(command, project, PATH=path)
    symbols = json.loads(done.stdout)["typeCompleteness"]["symbols"]
    homes = _public_homes()
    public = [each for each in symbols if _is_within(each["name"], homes)]
    unknown = {
        each["name"]: [found["message"] for found in each["diagnostics"]]
        for each in public
        if not each["isTypeKnown"] or each["isTypeAmbiguous"]
    }

    assert len(public) > 1_000
    assert unknown == {}


def test_the_consumer_uses_every_public_class() -> None:
    used = {name for path in CONSUMER.glob("*.py") for name in _imported(path)}
    names = {name for module in public_modules() for name in listed(module)}

    assert names - used == WRITTEN_FOR


def _public_homes() -> set[str]:
    homes = (
        resolve(module, name) for module in public_modules() for name in listed(module)
    )
    return {f"{home.module}.{home.name}" for home in homes if home is not None}


def _is_within(name: str, homes: set[str]) -> bool:
    return any(name == home or name.startswith(f"{home}.") for home in homes)


def _imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {alias.name for node in found for alias in node.names}
