"""Social security numbers of the United States."""

import re
from collections.abc import Iterable

from langchain_prodpatterns.guard.detectors.base import (
    PatternDetector,
    Place,
)
from langchain_prodpatterns.guard.detectors.cues import ORDERS, label, mention
from langchain_prodpatterns.guard.detectors.surroundings import (
    GAPS,
    before,
    opening,
    plain,
)

_PATTERN = (
    opening("[0-9]", also=r"\-")
    + rf"[0-9]{{2}}[{GAPS}]?[0-9]{{2}}[{GAPS}]?[0-9]{{4}}(?![0-9A-Za-z-])"
)
_VALID = re.compile(
    r"(?!000|666|9)[0-9]{3}([ -]?)(?!00)[0-9]{2}\1(?!0000)[0-9]{4}", re.ASCII
)
_ANNOUNCED = re.compile(mention("ssn social_security tax_id taxid tin"))
_OTHER = label(f"{ORDERS} part item model")


class SsnDetector(PatternDetector):
    """Finds social security numbers; without separators only where announced."""

    def __init__(self) -> None:
        super().__init__("ssn", _PATTERN)

    def refine(self, text: str, start: int, end: int) -> Iterable[Place]:
        """Check the ranges that are given out, and what comes before."""
        valid = _VALID.fullmatch(plain(text[start:end]))
        context = before(text, start)
        if valid is None or _OTHER.heads(context):
            return []
        if not valid[1] and not _ANNOUNCED.search(context):
            return []
        return [(start, end)]
