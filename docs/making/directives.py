"""Directives: comments in a page that stand for what the code says.

`<!-- name: argument, argument -->` on a line of its own is replaced by Markdown.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from docs.making import names, readme, sequences, tables
from docs.making.diagrams import graph_of, imports_diagram
from docs.making.examples import EXAMPLES

ROOT = Path(__file__).parents[2]
REPOSITORY = "https://github.com/langchain-prodpatterns/langchain-prodpatterns"

_DIRECTIVE = re.compile(r"^<!-- ([a-z]+)(?:: ([^\n]*?))? -->$", re.MULTILINE)
_IN_REPOSITORY = re.compile(r"\]\(repo:([^)\s]+)\)")


def _mermaid(source: str) -> str:
    return f"```mermaid\n{source.strip()}\n```"


def _graph(name: str, direction: str = "LR") -> str:
    return _mermaid(graph_of(EXAMPLES[name]().graph, direction))


def _calls(name: str) -> str:
    return _mermaid(sequences.of_example(EXAMPLES[name]()))


DIRECTIVES: Mapping[str, Callable[..., str]] = {
    "api": names.reference,
    "calls": _calls,
    "commands": tables.commands,
    "errors": tables.errors,
    "fields": tables.fields,
    "figures": readme.figures,
    "graph": _graph,
    "imports": lambda: _mermaid(imports_diagram()),
    "knobs": tables.knobs,
    "lookup": lambda: _mermaid(sequences.of_lookup()),
    "methods": tables.methods,
    "metrics": tables.metrics,
    "readme": readme.section,
}
"""What each directive is replaced by, as a function of its arguments."""


def fill(markdown: str) -> str:
    """Replace the directives of a page, and its links into the repository.

    Args:
        markdown: The page as it is written.

    Returns:
        The page as it is rendered.

    Raises:
        KeyError: When a directive, or what it names, does not exist.
        FileNotFoundError: When a link leads to a file that does not exist.
    """
    return _IN_REPOSITORY.sub(_file, _DIRECTIVE.sub(_made, markdown))


def _made(match: re.Match[str]) -> str:
    name, given = match.groups()
    arguments = [part.strip() for part in given.split(",")] if given else []
    return DIRECTIVES[name](*arguments)


def _file(match: re.Match[str]) -> str:
    path = ROOT / match[1]
    if not path.exists():
        msg = f"a page links to {match[1]}, which is not in the repository"
        raise FileNotFoundError(msg)
    kind = "tree" if path.is_dir() else "blob"
    return f"]({REPOSITORY}/{kind}/main/{match[1]})"
