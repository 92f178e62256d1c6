"""The lower bounds that are tested are those that are promised."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXTRAS = ("openai", "testing", "fastembed", "postgres", "otel", "prices", "plots")
"""The extras that `make lowest` and `make newest` install; code for the others is still to come."""


def _promised() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    tested = [*project["dependencies"], *(line for e in EXTRAS for line in extras[e])]
    bounds = (re.match(r"([\w-]+)(?:\[[\w,]+\])?>=([\d.]+)", line) for line in tested)
    return {bound[1]: bound[2] for bound in bounds if bound is not None}


def _tested() -> dict[str, str]:
    text = (ROOT / "tests" / "lowest.txt").read_text("utf-8")
    return dict(re.findall(r"^([\w-]+)==([\d.]+)$", text, re.MULTILINE))


def _padded(version: str) -> list[int]:
    numbers = [int(part) for part in version.split(".")]
    return numbers + [0] * (3 - len(numbers))


def test_every_lower_bound_is_the_version_that_is_tested() -> None:
    promised, tested = _promised(), _tested()

    assert promised.keys() == tested.keys()
    for name, bound in promised.items():
        assert _padded(bound) == _padded(tested[name]), name


def _recipe(target: str) -> str:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    return makefile.partition(f"\n{target}:")[2].partition("\n\n")[0]


@pytest.mark.parametrize("target", ["lowest", "newest"])
def test_make_lowest_and_newest_install_these_extras(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")

    assert f"\nTESTED := {','.join(EXTRAS)}\n" in makefile
    assert '--editable ".[$(TESTED)]"' in _recipe(target)


def test_make_newest_upgrades_what_others_bring_too() -> None:
    assert "--upgrade --upgrade-strategy eager" in _recipe("newest")
    assert "lowest.txt" not in _recipe("newest")
