"""Every recipe runs as a reader runs it, offline, and prints what stands beside it."""

import difflib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from matplotlib import get_cachedir

from tests.strictness import STRICT

ROOT = Path(__file__).parents[2]
COOKBOOK = ROOT / "cookbook"
RECIPES = sorted(COOKBOOK.glob("*.py"))

CELL = "# %%"
# Imported by Python itself when it starts, since it is on the path.
# A recipe reaches nobody but itself, where it or a process that it started listens.
NO_NETWORK = """
import pathlib
import socket

own = pathlib.Path(__file__).with_name("listening.txt")
listen, connect, find = socket.socket.listen, socket.socket.connect, socket.getaddrinfo

def refuse(*args, **kwargs):
    raise OSError("a recipe runs without a network")

def note(self, *args):
    listen(self, *args)
    with own.open("a") as file:
        print(self.getsockname(), file=file)

def connect_to_own(self, address):
    known = own.read_text().splitlines() if own.exists() else []
    return connect(self, address) if str(address) in known else refuse()

def find_own(host, port, *args, **kwargs):
    return find(host, port, *args, **kwargs) if host == "127.0.0.1" else refuse()

socket.socket.listen, socket.socket.connect = note, connect_to_own
socket.socket.connect_ex, socket.getaddrinfo = refuse, find_own
"""


def _run(script: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    (tmp_path / "sitecustomize.py").write_text(NO_NETWORK, encoding="utf-8")
    environment = {
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
        "PYTHONUTF8": "1",
        # Not one of its own, which takes long to build.
        "MPLCONFIGDIR": get_cachedir(),
    }
    return subprocess.run(  # noqa: S603 - our own recipe
        [sys.executable, *STRICT, script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


def _expected(recipe: Path) -> Path:
    return recipe.parent / "expected" / f"{recipe.stem}.txt"


def _difference(recipe: Path, printed: str) -> str:
    """Say what a recipe printed that is not expected; nothing if all is."""
    beside = _expected(recipe)
    expected = beside.read_text(encoding="utf-8") if beside.exists() else ""
    if printed == expected:
        return ""
    names = [str(path.relative_to(recipe.parents[1])) for path in (recipe, beside)]
    lines = difflib.unified_diff(
        expected.splitlines(),
        printed.splitlines(),
        f"{names[1]}",
        f"what {names[0]} prints",
        lineterm="",
    )
    refresh = f"If that is right: python {names[0]} > {names[1]}"
    return "\n".join([*lines, "", refresh])


def _cells(recipe: Path) -> list[tuple[str, str]]:
    """Return the first line and the rest of each cell."""
    text = recipe.read_text(encoding="utf-8")
    parts = text.removeprefix(CELL).split(f"\n{CELL}")
    heads_and_bodies = [part.partition("\n") for part in parts]
    return [(head.strip(), body) for head, _, body in heads_and_bodies]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_a_recipe_prints_what_stands_beside_it(recipe: Path, tmp_path: Path) -> None:
    run = _run(recipe, tmp_path)

    assert run.returncode == 0, run.stderr
    # The first plot of a machine may wait for its fonts, and says so.
    told = [line for line in run.stderr.splitlines() if "font cache" not in line]
    assert told == []
    difference = _difference(recipe, run.stdout)
    if difference:
        pytest.fail(difference, pytrace=False)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_a_recipe_opens_as_a_notebook(recipe: Path) -> None:
    text = recipe.read_text(encoding="utf-8")
    cells = _cells(recipe)
    prose = [body for head, body in cells if head == "[markdown]"]
    code = [body for head, body in cells if not head]

    assert text.startswith("# %% [markdown]\n# # ")
    assert len(prose) + len(code) == len(cells)
    lines = [line for body in prose for line in body.splitlines() if line]
    assert [line for line in lines if not line.startswith("#")] == []
    for body in code:
        compile(body, str(recipe), "exec")
    # A notebook is no file, and has an event loop that runs.
    assert "__file__" not in text
    assert "asyncio.run(" not in text


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_a_recipe_says_what_is_real_and_what_is_scripted(recipe: Path) -> None:
    top = _cells(recipe)[0][1]

    assert "**Real:**" in top
    assert "**Scripted:**" in top


def test_the_page_of_the_folder_names_every_recipe() -> None:
    page = (COOKBOOK / "README.md").read_text(encoding="utf-8")

    assert RECIPES
    assert [recipe.name for recipe in RECIPES if f"({recipe.name})" not in page] == []


def test_what_is_expected_is_of_a_recipe() -> None:
    expected = sorted(path.stem for path in (COOKBOOK / "expected").iterdir())

    assert expected == [recipe.stem for recipe in RECIPES]


def test_a_mismatch_shows_what_differs_and_how_to_accept_it(tmp_path: Path) -> None:
    recipe = tmp_path / "cookbook" / "soup.py"
    (recipe.parent / "expected").mkdir(parents=True)
    _expected(recipe).write_text("salt\nwater\n", encoding="utf-8")

    told = _difference(recipe, "salt\nstock\n").splitlines()

    assert "-water" in told
    assert "+stock" in told
    assert told[-1] == (
        "If that is right: python cookbook/soup.py > cookbook/expected/soup.txt"
    )
    assert _difference(recipe, "salt\nwater\n") == ""


def test_a_recipe_without_expectation_is_told_of(tmp_path: Path) -> None:
    assert "+salt" in _difference(tmp_path / "cookbook" / "soup.py", "salt\n")


@pytest.mark.parametrize(
    "line",
    [
        "socket.create_connection(('127.0.0.1', 9))",
        "socket.socket().connect(('127.0.0.1', 9))",
        "socket.getaddrinfo('localhost', 80)",
    ],
)
def test_a_recipe_has_no_network(line: str, tmp_path: Path) -> None:
    script = tmp_path / "calls.py"
    script.write_text(f"import socket\n{line}\n", encoding="utf-8")

    run = _run(script, tmp_path)

    assert run.returncode == 1
    assert "a recipe runs without a network" in run.stderr


def test_a_recipe_reaches_a_process_that_it_started(tmp_path: Path) -> None:
    script = tmp_path / "starts.py"
    script.write_text(
        "import socket, subprocess, sys\n"
        "serve = 'import socket; s = socket.create_server((\"127.0.0.1\", 0)); '\n"
        "serve += 'print(s.getsockname()[1], flush=True); s.accept()[0].send(b\"hi\")'\n"
        "child = subprocess.Popen([sys.executable, '-c', serve], text=True, stdout=-1)\n"
        "with child, socket.socket() as one:\n"
        "    one.connect(('127.0.0.1', int(child.stdout.readline())))\n"
        "    print(one.recv(2))\n",
        encoding="utf-8",
    )

    run = _run(script, tmp_path)

    assert run.stdout == "b'hi'\n", run.stderr


def test_the_environment_of_a_recipe_has_no_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    script = tmp_path / "keys.py"
    script.write_text(
        "import os\nprint(os.environ.get('OPENAI_API_KEY'))\n", encoding="utf-8"
    )

    assert _run(script, tmp_path).stdout == "None\n"


def test_the_cookbook_is_in_the_sdist_and_in_ci() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    sdist = project["tool"]["hatch"]["build"]["targets"]["sdist"]
    steps = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()

    assert "/cookbook" in sdist["include"]
    assert "step make cookbook" in steps
