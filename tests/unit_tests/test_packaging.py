"""What a release holds is there, and every command of the Makefile does something."""

import re
import tomllib
from pathlib import Path
from typing import Any

from tests.unit_tests.test_layout import PATTERNS

ROOT = Path(__file__).parents[2]


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def _makefile() -> str:
    return (ROOT / "Makefile").read_text("utf-8")


def test_everything_that_the_sdist_names_is_there() -> None:
    targets = _project()["tool"]["hatch"]["build"]["targets"]
    named = targets["sdist"]["include"]

    assert [name for name in named if not (ROOT / name.lstrip("/")).exists()] == []


def test_the_sdist_holds_what_contributing_speaks_of() -> None:
    targets = _project()["tool"]["hatch"]["build"]["targets"]

    assert {"/Makefile", "/tests", "/benchmarks"} <= set(targets["sdist"]["include"])


def test_contributing_says_what_every_folder_is_for() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    table = text.partition("## Where things live")[2].partition("\n## ")[0]
    include = _project()["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    package = "langchain_prodpatterns"
    above = {name.strip("/") for name in include if (ROOT / name.strip("/")).is_dir()}
    below = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
    told = {name for name in above - {package} if f"| `{name}/" in table}
    inside = {name for name in below - PATTERNS if f"`{package}/{name}/`" in table}

    assert f"`{package}/<pattern>/`" in table
    assert (told, inside) == (above - {package}, below - PATTERNS)


def test_every_phony_target_has_a_rule() -> None:
    phony = re.search(r"^\.PHONY:(.*)$", _makefile(), re.MULTILINE)
    assert phony is not None
    rules = set(re.findall(r"^([a-z-]+):", _makefile(), re.MULTILINE))

    assert set(phony[1].split()) - rules == set()


def test_make_build_builds_both_with_what_make_installs() -> None:
    recipe = _makefile().partition("\nbuild:")[2].partition("\n\n")[0]
    groups = _project()["dependency-groups"]

    assert "-m build " in recipe
    assert any(line.startswith("build>=") for line in groups["build"])
    assert {"include-group": "build"} in groups["dev"]
