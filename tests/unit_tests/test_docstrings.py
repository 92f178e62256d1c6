"""Every example of a docstring does what a reader expects of it: it runs."""

import ast
import re
import textwrap
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from langchain_core.globals import set_llm_cache

from langchain_prodpatterns import SemanticJudgeCache
from langchain_prodpatterns.testing import LexicalEmbeddings
from tests.unit_tests.examples import SERVED, names, run

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "langchain_prodpatterns"
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# They listen on a port, or are a suite of tests: no unit test may.
ELSEWHERE = {
    "testing/__init__.py": "testing/test_provider_http.py",
    "testing/store_conformance/__init__.py": "testing/test_store_conformance_example.py",
}
EXTRAS = {
    "cache/stores/postgres/postgres_store.py": "psycopg_pool",
    "compression/segmenters.py": "pysbd",
    "telemetry/__init__.py": "opentelemetry.metrics",
}


def _examples(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each example of a module, with the line of what it stands in."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, DOCUMENTED):
            continue
        for block in _blocks(ast.get_docstring(node) or ""):
            yield (
                f"{path.relative_to(PACKAGE)}:{getattr(node, 'name', 'module')}",
                block,
            )


def _blocks(text: str) -> list[str]:
    found = re.findall(r"^([ ]*)```python\n(.*?)^\1```", text, re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for _, block in found]


EXAMPLES = [
    example for path in sorted(PACKAGE.rglob("*.py")) for example in _examples(path)
]


def _module(place: str) -> str:
    path = Path(place.partition(":")[0]).with_suffix("")
    parts = [part for part in path.parts if part != "__init__"]
    return ".".join(["langchain_prodpatterns", *parts])


@pytest.fixture(autouse=True)
def _cache_of_before() -> Iterator[None]:
    yield
    set_llm_cache(None)


@pytest.mark.parametrize(
    ("place", "code"), EXAMPLES, ids=[place for place, _ in EXAMPLES]
)
def test_an_example_runs(
    place: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    home = place.partition(":")[0]
    if home in ELSEWHERE:
        compile(code, place, "exec")
        return
    if home in EXTRAS:
        pytest.importorskip(EXTRAS[home])
    given = names()
    if "telemetry" in home:
        given["cache"] = SemanticJudgeCache(LexicalEmbeddings(), lambda _: True)

    run(code, {**given, **_own(home, given)})


def _own(home: str, given: dict[str, object]) -> dict[str, object]:
    """Return what a module itself makes, where two packages have one name for it."""
    own = vars(import_module(_module(home)))
    made = {name: each for name, each in own.items() if _is_of(each, home)}
    return {name: each for name, each in made.items() if name not in SERVED}


def _is_of(each: object, home: str) -> bool:
    return getattr(each, "__module__", None) == _module(home)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 30


def test_examples_that_run_elsewhere_do() -> None:
    tests = ROOT / "tests" / "integration_tests"

    for test in ELSEWHERE.values():
        assert "__doc__" in (tests / test).read_text("utf-8")


def test_no_docstring_has_a_block_of_another_form() -> None:
    marks = [
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for path in PACKAGE.rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if re.match(r"\s*```\w", line) and "```python" not in line
    ]

    assert marks == []
