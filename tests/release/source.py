"""The package as its source has it: read, never imported.

So it is the same on every Python, whatever is installed.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "langchain_prodpatterns"

Function = ast.FunctionDef | ast.AsyncFunctionDef
Node = Function | ast.ClassDef | ast.expr | None
"""What a name stands for; `None` for a value that is declared and not assigned."""


@dataclass(frozen=True)
class Definition:
    """Where a name is defined, and by what."""

    module: str
    """The full name of the module."""
    name: str
    """The name there."""
    nodes: tuple[Node, ...]
    """The definition; of a function with overloads, each."""


def public_modules() -> list[str]:
    """Every module that lists its public names in `__all__`, the package first."""
    return [module for module in _modules() if listed(module)]


def listed(module: str) -> list[str]:
    """The names in the `__all__` of a module."""
    found = _names(module).get("__all__")
    value = found.nodes[0] if isinstance(found, Definition) else None
    return list(ast.literal_eval(value)) if isinstance(value, ast.expr) else []


def resolve(module: str, name: str) -> Definition | None:
    """Follow imports within the package to a definition.

    Args:
        module: The full name of the module that uses the name.
        name: The name.

    Returns:
        The definition, or `None` where it is of another package.
    """
    found = _names(module).get(name)
    while isinstance(found, tuple):
        module, name = found
        if module.partition(".")[0] != PACKAGE:
            return None
        found = _names(module).get(name)
    return found


def bases(home: Definition) -> Iterator[Definition | str]:
    """The bases of a class: definitions, and as text those of other packages."""
    node = home.nodes[0]
    assert isinstance(node, ast.ClassDef)
    for base in node.bases:
        plain = base.value if isinstance(base, ast.Subscript) else base
        name = plain.id if isinstance(plain, ast.Name) else ""
        yield resolve(home.module, name) or ast.unparse(base)


def _modules() -> list[str]:
    files = (ROOT / PACKAGE).rglob("*.py")
    parts = (path.relative_to(ROOT).with_suffix("").parts for path in files)
    return sorted(".".join(part).removesuffix(".__init__") for part in parts)


@cache
def _names(module: str) -> dict[str, Definition | tuple[str, str]]:
    """What each name of a module stands for: a definition, or a name elsewhere."""
    found: dict[str, Definition | tuple[str, str]] = {}
    for node in _statements(_parsed(module).body):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                found[alias.asname or alias.name] = (node.module, alias.name)
        else:
            for name, value in _defined(node):
                before = found.get(name)
                more = before.nodes if isinstance(before, Definition) else ()
                found[name] = Definition(module, name, (*more, value))
    return found


def _parsed(module: str) -> ast.Module:
    path = ROOT / Path(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text("utf-8"))


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements, also those for type checkers and those that may fail."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            yield from _statements(node.body)


def _defined(node: ast.stmt) -> Iterator[tuple[str, Node]]:
    if isinstance(node, Function | ast.ClassDef):
        yield node.name, node
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id, node.value
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Name):
                yield target.id, node.value
