"""Email addresses."""

import re
from collections.abc import Iterable

from langchain_prodpatterns.guard.detectors.base import PatternDetector, Place
from langchain_prodpatterns.guard.detectors.surroundings import at, is_in_escape

# Latin, Greek and Cyrillic letters: scripts without spaces between words would be
# taken for a part of the address.
_LETTER = "0-9A-Za-z\u00c0-\u024f\u0370-\u052f"
_PATTERN = (
    rf"[{_LETTER}_+]"
    rf"[{_LETTER}._%+'-]{{0,63}}+@"
    rf"(?:[{_LETTER}-]{{1,63}}+\.){{1,8}}"
    r"[A-Za-z\u00c0-\u024f\u0370-\u052f]{2,24}+"
)
FILES = frozenset(
    ["png", "jpg", "jpeg", "gif", "svg", "webp", "js", "css", "html", "json", "txt"]
)
"""Endings of files, which no domain has."""


# The address of a repository, `git@github.com:org/repo.git`, is nobody's.
_GIT = re.compile(rf"(?<![{_LETTER}._%+'-])git@")


class EmailDetector(PatternDetector):
    """Finds email addresses, also in angle brackets, JSON and links."""

    def __init__(self) -> None:
        super().__init__("email", _PATTERN)

    def refine(self, text: str, start: int, end: int) -> Iterable[Place]:
        """Leave out files such as `logo@2x.png`, and repositories."""
        ending = text[start:end].rpartition(".")[2].lower()
        if ending in FILES or is_in_escape(text, start, end):
            return []
        return [] if _is_repository(text, start, end) else [(start, end)]


def _is_repository(text: str, start: int, end: int) -> bool:
    name = text.index("@", start) - len("git")
    return at(text, end) == ":" and _GIT.match(text, max(name, 0)) is not None
