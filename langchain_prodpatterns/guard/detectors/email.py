"""Email addresses."""

from collections.abc import Iterable

from langchain_prodpatterns.guard.detectors.base import PatternDetector, Place

# Latin, Greek and Cyrillic letters: scripts without spaces between words would be
# taken for a part of the address.
_LETTER = "0-9A-Za-z\u00c0-\u024f\u0370-\u052f"
_PATTERN = (
    rf"[{_LETTER}_+]"
    rf"[{_LETTER}._%+'-]{{0,63}}+@"
    rf"(?:[{_LETTER}-]{{1,63}}+\.){{1,8}}"
    r"[A-Za-z\u00c0-\u024f\u0370-\u052f]{2,24}+"
)
_FILES = frozenset(
    ["png", "jpg", "jpeg", "gif", "svg", "webp", "js", "css", "html", "json", "txt"]
)


class EmailDetector(PatternDetector):
    """Finds email addresses, also in angle brackets, JSON and links."""

    def __init__(self) -> None:
        super().__init__("email", _PATTERN)

    def refine(self, text: str, start: int, end: int) -> Iterable[Place]:
        """Leave out file names such as `logo@2x.png`."""
        ending = text[start:end].rpartition(".")[2].lower()
        return [] if ending in _FILES else [(start, end)]
