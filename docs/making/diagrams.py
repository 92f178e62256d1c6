"""Diagrams of what the code is: graphs of chains, and who imports whom."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from langchain_core.runnables import Runnable

import langchain_prodpatterns

PACKAGE = Path(langchain_prodpatterns.__path__[0])
PATTERNS = ("cache", "structured", "refine", "compression", "routing", "guard")
"""The folders of patterns, in the order in which the site tells of them."""
KERNEL = "kernel"
_LISTED = ", ".join(PATTERNS)
_ESCAPED = re.compile(r"\\([0-9a-f]{2})")
_STYLES = re.compile(r"^\s*classDef .*\n?", re.MULTILINE)
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


def graph_of(chain: Runnable[Any, Any], direction: str = "LR") -> str:
    """Return a chain's own graph, in the colors of the page.

    Args:
        chain: The chain.
        direction: `LR` from left to right, `TD` downwards.

    Returns:
        What `draw_mermaid` gives, without its colors.
    """
    drawn = _FRONT_MATTER.sub("", chain.get_graph().draw_mermaid())
    return _ESCAPED.sub("_", _STYLES.sub("", drawn)).replace(
        "graph TD;", f"graph {direction};"
    )


def imports() -> set[tuple[str, str]]:
    """Return which part of the package imports which.

    Returns:
        Pairs of parts; all modules beside the folders are one part, the kernel.
    """
    found = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        part = _part(path.relative_to(PACKAGE).parts[0])
        found |= {(part, _part(name)) for name in _imported(path)}
    return {(one, other) for one, other in found if one != other}


def _part(name: str) -> str:
    folder = name.removesuffix(".py")
    apart = folder == "cli" or (PACKAGE / folder).is_dir()
    return folder if apart else KERNEL


def _imported(path: Path) -> Iterator[str]:
    """Yield the parts that a file imports; the package's list of names aside."""
    if path == PACKAGE / "__init__.py":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        package, _, below = node.module.partition(".")
        if package != PACKAGE.name:
            continue
        yield from [below.partition(".")[0]] if below else _homes(node)


def _homes(node: ast.ImportFrom) -> Iterator[str]:
    """Yield where the names live that are imported from the package itself."""
    for alias in node.names:
        yield langchain_prodpatterns._HOMES.get(alias.name, alias.name)  # noqa: SLF001


def imports_diagram() -> str:
    """Return a diagram of who imports whom, with the patterns as one box.

    Returns:
        A flow chart.
    """
    arrows = {(_box(one), _box(other)) for one, other in imports()}
    lines = ["flowchart TD"]
    lines.append(f'    patterns["patterns, none imports another:<br>{_LISTED}"]')
    lines.append('    kernel["kernel: errors, judging, budget, ledger, ..."]')
    lines += [f"    {one} --> {other}" for one, other in sorted(arrows) if one != other]
    return "\n".join(lines)


def _box(part: str) -> str:
    return "patterns" if part in PATTERNS else part
