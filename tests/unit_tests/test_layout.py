"""Who may import whom."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import langchain_prodpatterns

NAME = "langchain_prodpatterns"
ROOT = Path(langchain_prodpatterns.__path__[0])
FILES = sorted(ROOT.rglob("*.py"))
PATTERNS = {"cache", "compression", "guard", "refine", "routing", "structured"}
SHELLS = {"cli", "commands", "demo", "telemetry"}
"""They put everything together, so they may import everything but `middleware`."""
KERNEL = {"reports"}
"""Folders of the kernel: they know its records, and no pattern."""
NEVER = {"langchain_community", "langchain_classic", "pickle", "cPickle", "dill"}
NEVER |= {"marshal", "shelve", "cloudpickle", "joblib"}
CALLS = {"eval", "exec", "compile", "__import__"}


def part_of(path: Path) -> str:
    """The folder or module directly under the package."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Every module or name that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_parts(path: Path) -> set[str]:
    """The parts of the package that a file imports."""
    names = (name.split(".") for name in imports(path))
    return {name[1] for name in names if name[0] == NAME and len(name) > 1}


def tops(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


every_file = pytest.mark.parametrize("path", FILES, ids=shown)
parts = {part_of(path) for path in FILES}
folders = {part_of(path) for path in FILES if path.parent != ROOT}


def test_the_files_are_found() -> None:
    assert len(FILES) > 20
    assert {"ledger", "judging", "budget", "testing"} <= parts


def test_every_folder_is_one_we_know() -> None:
    assert folders <= PATTERNS | SHELLS | KERNEL | {"middleware", "testing"}


@every_file
def test_a_pattern_imports_the_kernel_and_itself(path: Path) -> None:
    if part_of(path) not in PATTERNS:
        return
    others = (PATTERNS | SHELLS | {"middleware", "testing"}) - {part_of(path)}
    assert not own_parts(path) & others


@every_file
def test_the_kernel_imports_no_pattern(path: Path) -> None:
    # `__init__` names them lazily, for type checkers and for `__getattr__`.
    if part_of(path) in (folders - KERNEL) | SHELLS | {"__init__"}:
        return
    assert not own_parts(path) & (PATTERNS | SHELLS | {"middleware", "testing"})


@every_file
def test_nobody_imports_middleware_or_testing(path: Path) -> None:
    allowed = {part_of(path)} | ({"testing"} if part_of(path) in SHELLS else set())
    assert not own_parts(path) & ({"middleware", "testing"} - allowed)


@every_file
def test_only_middleware_imports_langchain(path: Path) -> None:
    assert "langchain" not in tops(path) or part_of(path) == "middleware"


@every_file
def test_nobody_imports_what_is_banned(path: Path) -> None:
    assert not tops(path) & NEVER


@every_file
def test_no_code_is_made_from_text(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & CALLS


@every_file
def test_imports_are_absolute(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    levels = [node.level for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not any(levels)


def test_the_rules_see_what_they_forbid(tmp_path: Path) -> None:
    """The reader of imports finds them in every form."""
    path = tmp_path / "probe.py"
    path.write_text(
        "import pickle as p\n"
        "def f():\n"
        f"    from {NAME}.testing import echo\n"
        f"    from {NAME} import middleware\n"
        "    import langchain.agents\n"
    )
    assert tops(path) == {"pickle", NAME, "langchain"}
    assert own_parts(path) == {"testing", "middleware"}


@every_file
def test_no_statement_numbers_its_parameters(path: Path) -> None:
    """`?1` with a sequence is deprecated in Python 3.12.0 to 3.12.3, by mistake."""
    if path.parent.name != "stores":
        return
    texts = [
        node.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert [text for text in texts if re.search(r"\?\d", text)] == []
