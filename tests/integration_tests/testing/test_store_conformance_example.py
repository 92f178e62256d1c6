"""The example in the suite's docstring runs as it stands, in a project of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

from langchain_prodpatterns.testing import store_conformance

SLEEPING = """
from functools import partial

import pytest

from langchain_prodpatterns.cache.stores import LocalStore
from langchain_prodpatterns.testing.store_conformance import StoreConformance


class TestSleeping(StoreConformance):
    @pytest.fixture
    def open_store(self, tmp_path):
        return partial(LocalStore, tmp_path / "store.db")
"""

UNOPENED = """
from langchain_prodpatterns.testing.store_conformance import StoreConformance


class TestUnopened(StoreConformance):
    pass
"""


def _pytest(
    folder: Path, program: str, *options: str
) -> "subprocess.CompletedProcess[str]":
    (folder / "test_my_store.py").write_text(program, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", "utf-8")
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "pytest", "-q", "-rs", *options],
        cwd=folder,
        # The suite asks for no plugin: an author may have none.
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def _counts(output: str) -> dict[str, int]:
    last = output.strip().splitlines()[-1]
    return {word: int(n) for n, word in re.findall(r"(\d+) ([a-z]+)", last)}


def test_the_example_in_the_docstring_passes(tmp_path: Path) -> None:
    example = re.search(
        r"```python\n(.*?)```", store_conformance.__doc__ or "", re.DOTALL
    )
    assert example is not None

    done = _pytest(tmp_path, example[1])

    assert done.returncode == 0, done.stdout
    counts = _counts(done.stdout)
    assert counts["passed"] > 100
    assert "failed" not in counts
    assert "override damage(store, key)" in done.stdout


def test_a_store_whose_clock_cannot_be_set_is_waited_for(tmp_path: Path) -> None:
    done = _pytest(tmp_path, SLEEPING, "-k", "past or sweep or claim or old or young")

    assert done.returncode == 0, done.stdout
    assert _counts(done.stdout)["passed"] > 10
    assert "override age(store, seconds)" in done.stdout


def test_a_subclass_without_the_fixture_is_told_so(tmp_path: Path) -> None:
    done = _pytest(tmp_path, UNOPENED, "-k", "test_an_alias_answers")

    assert done.returncode == 1
    assert "TestUnopened needs a fixture `open_store`" in done.stdout


def test_a_failure_shows_what_was_compared(tmp_path: Path) -> None:
    program = SLEEPING.replace("LocalStore,", "Blind,").replace(
        "class TestSleeping",
        "class Blind(LocalStore):\n"
        "    def nearest(self, *args, **kwargs):\n"
        "        return []\n\n\n"
        "class TestSleeping",
    )

    done = _pytest(tmp_path, program, "-k", "test_a_removed_request_is_stored_anew")

    assert done.returncode == 1
    assert "assert [] == ['a']" in done.stdout
