"""The snippets of a page: run in order, their output compared, or written down.

`python -m docs.making.snippets docs/faq.md` writes what the snippets print into the
blocks that show it.
"""

import contextlib
import io
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from langchain_core.globals import set_llm_cache

_BLOCK = re.compile(
    r"^(?P<indent> *)```python[^\n]*\n(?P<code>.*?)^(?P=indent)```\n"
    r"(?:\n(?P=indent)```text\n(?P<shown>.*?)^(?P=indent)```\n)?",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Snippet:
    """A block of Python, and the output that is shown below it, if any."""

    code: str
    shown: str | None


def snippets(markdown: str) -> Iterator[Snippet]:
    """Yield the snippets of a page.

    Args:
        markdown: The page.
    """
    for match in _BLOCK.finditer(markdown):
        cut = len(match["indent"])
        shown = match["shown"]
        yield Snippet(
            _dedented(match["code"], cut),
            None if shown is None else _dedented(shown, cut),
        )


def _dedented(text: str, cut: int) -> str:
    return "".join(line[cut:] or "\n" for line in text.splitlines(keepends=True))


@contextlib.contextmanager
def session() -> Iterator[dict[str, Any]]:
    """Open an empty module for the snippets of one page, as a reader's own would be.

    Yields:
        Where they leave what they make.
    """
    module = ModuleType("snippets_of_a_page")
    sys.modules[module.__name__] = module
    try:
        yield vars(module)
    finally:
        del sys.modules[module.__name__]
        set_llm_cache(None)


def run(code: str, names: dict[str, Any], title: str) -> str:
    """Run a snippet.

    Args:
        code: The snippet.
        names: What it may use, and where it leaves what it makes.
        title: What to call it in a traceback.

    Returns:
        What it printed, without blanks at the ends of lines.
    """
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, title, "exec"), names)  # noqa: S102 - our own pages
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def written(path: Path) -> str:
    """Return a page with what its snippets print in the blocks that show it.

    Args:
        path: The page.

    Returns:
        The page.
    """

    def fill(match: re.Match[str]) -> str:
        indent = match["indent"]
        printed = run(_dedented(match["code"], len(indent)), names, path.name)
        if match["shown"] is None:
            return match[0]
        begin, end = match.start("shown") - match.start(), match.end("shown")
        lines = "".join(
            f"{indent}{line}".rstrip() + "\n" for line in printed.splitlines()
        )
        return match[0][:begin] + lines + match[0][end - match.start() :]

    with session() as names:
        return _BLOCK.sub(fill, path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    for name in sys.argv[1:]:
        Path(name).write_text(written(Path(name)), encoding="utf-8")
