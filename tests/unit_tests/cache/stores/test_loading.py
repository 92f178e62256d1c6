import subprocess
import sys
from pathlib import Path

from tests.strictness import STRICT

ROOT = Path(__file__).parents[4]
WARNS = """
import warnings

warnings.warn("builtin type has no __module__ attribute", DeprecationWarning)
"""
LOADS = """
import warnings
from langchain_prodpatterns.cache.stores.loading import load_faiss

before = list(warnings.filters)
load_faiss()
load_faiss()
print("faiss" in __import__("sys").modules, warnings.filters == before)
"""
SEARCHES = """
from langchain_prodpatterns.cache.stores.vectors import Flat

print(Flat(8).is_empty)
"""


def _run(code: str, *paths: Path) -> subprocess.CompletedProcess[str]:
    given = "\n".join(f"import sys; sys.path.insert(0, {str(p)!r})" for p in paths)
    return subprocess.run(  # noqa: S603 - our own code
        [sys.executable, *STRICT, "-c", f"{given}\n{code}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_wheel_that_warns_is_loaded_where_warnings_are_errors(tmp_path: Path) -> None:
    (tmp_path / "faiss.py").write_text(WARNS, "utf-8")

    run = _run(LOADS, tmp_path)

    assert run.stderr == ""
    assert run.stdout == "True True\n"


def test_a_partition_loads_it_where_warnings_are_errors() -> None:
    run = _run(SEARCHES)

    assert run.returncode == 0, run.stderr
    assert run.stdout == "True\n"
