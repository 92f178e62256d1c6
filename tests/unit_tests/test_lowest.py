"""The lower bounds that are tested are those that are promised."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXTRAS = ("openai", "testing", "fastembed", "postgres", "otel", "prices", "plots")
"""The extras that `make lowest` installs; code for the others is still to come."""


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


def test_make_lowest_installs_these_extras() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    recipe = makefile.partition("\nlowest:")[2].partition("\n\n")[0]

    assert f'--editable ".[{",".join(EXTRAS)}]"' in recipe
