"""Parts of the README, so that a figure stands in one place only."""

import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"

_SAME = "the same"
_CELLS = 4
_BAR = re.compile(r"(?<!\\)\|")
_COMMAND = re.compile(r"`(?:python benchmarks/|make )[^`]*`")
_LINK = re.compile(r"\]\((?!https?:|#|repo:)([^)\s]+)\)")


def rows() -> list[list[str]]:
    """Return the figures of the README, each with its own command.

    Returns:
        What was measured, the figure, what is beside it, and the command.
    """
    found: list[list[str]] = []
    for line in README.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in _BAR.split(line.strip())[1:-1]]
        if len(cells) == _CELLS and (cells[-1] == _SAME or _COMMAND.match(cells[-1])):
            own = found[-1][-1] if cells[-1] == _SAME else cells[-1]
            found.append([*cells[:-1], own])
    return found


def figures(*benchmarks: str) -> str:
    """Return the figures that some benchmarks have made.

    Args:
        *benchmarks: What their commands hold, such as `benchmarks/cache.py`.

    Returns:
        A table.

    Raises:
        KeyError: When the README has no figure of one of them.
    """
    lines = ["| what | figure | beside it | command |", "|---|---|---|---|"]
    for benchmark in benchmarks:
        own = [row for row in rows() if _is_of(row, benchmark)]
        if not own:
            msg = f"the README has no figure made by {benchmark}"
            raise KeyError(msg)
        lines += [f"| {' | '.join(row)} |" for row in own]
    return "\n".join(lines)


def _is_of(row: list[str], benchmark: str) -> bool:
    return bool(re.search(rf"(?<!\w){re.escape(benchmark)}(?![\w.])", row[-1]))


def section(heading: str) -> str:
    """Return the text under a heading of the README, without the heading.

    Args:
        heading: The heading, or how it begins.

    Returns:
        The text; its links lead into the repository.

    Raises:
        KeyError: When there is no such heading.
    """
    text = _under(heading)
    if not text:
        msg = f"the README has no heading {heading!r}"
        raise KeyError(msg)
    return _LINK.sub(r"](repo:\1)", text)


def _under(heading: str) -> str:
    """Return what stands between a heading that begins so and the next as high."""
    text = README.read_text(encoding="utf-8")
    begin = re.search(rf"^(##+) {re.escape(heading)}\b.*\n", text, re.MULTILINE)
    if begin is None:
        return ""
    rest = text[begin.end() :]
    end = re.search(rf"^#{{2,{len(begin[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start() if end else None].strip()
