"""IP addresses."""

import re
from collections.abc import Iterable, Iterator
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from langchain_prodpatterns.guard.detectors.base import (
    AnyOf,
    PatternDetector,
    Place,
)
from langchain_prodpatterns.guard.detectors.cues import label
from langchain_prodpatterns.guard.detectors.hints import matches_near, places_of
from langchain_prodpatterns.guard.detectors.surroundings import (
    before,
    is_in_escape,
    opening,
)

_V4 = opening("[0-9]", also="_.") + "[0-9.]{6,30}+(?![A-Za-z0-9_])"
_FIRST_COLON = rf"(?:{opening(':', also=':.')}|{opening('[0-9A-Fa-f]', also=':.')}"
_V6 = rf"{_FIRST_COLON}[0-9A-Fa-f]{{0,3}}+:)[0-9A-Fa-f:.]{{1,45}}+(?![A-Za-z0-9_])"
# An address has two colons with four digits in between at most.
_COLONS = re.compile(":(?=[0-9A-Fa-f]{0,4}:)")
_NUMBERED = label(
    "version release section sect chapter clause paragraph appendix build firmware "
    "driver rev revision ver v \u00a7"
)
# What programs say of themselves, `Chrome/120.0.0.0`: a host can stand before a slash
# too, so only what is known not to be one counts.
_PRODUCT = re.compile(
    r"(?<![a-z])(?:(?:headless)?chrom(?:e|ium)|crios|safari|applewebkit|edge?|edga|"
    r"edgios|opr|opera|version|firefox|fxios|electron|brave|vivaldi|samsungbrowser|"
    r"yabrowser|msie|trident|whale)/$"
)
# `upgrade from 1.2.3.4 to 1.2.3.5`, and the one after it.
_UPGRADE = re.compile(
    r"\b(?:up|down)grad(?:e|ed|es|ing)(?: [a-z][a-z0-9_-]{0,30})?"
    r" (?:from (?:[0-9.]{7,15} to )?|to )$"
)
_REQUIRED = re.compile(r"([a-z0-9_.\[\]-]{1,40})(?:[=~!<>]=)$")
_HOST = re.compile(r"ip|addr|host|src|dst|server|peer|net")
_SUBSCRIPT = re.compile(r"[\w)\]]\[$")
_LONG_GROUP = re.compile("[0-9a-f]{3}", re.IGNORECASE)
_FEW_GROUPS = 2


class _V4Pattern(PatternDetector):
    def __init__(self) -> None:
        super().__init__("ip", _V4)

    def refine(self, text: str, start: int, end: int) -> Iterable[Place]:
        """Take the dot of a sentence off; leave out versions and sections."""
        value = text[start:end].rstrip(".")
        if not _is_v4(value) or _is_version(before(text, start)):
            return []
        return [(start, start + len(value))]


class _V6Pattern(PatternDetector):
    def __init__(self) -> None:
        super().__init__("ip", _V6)

    def matches(self, text: str) -> Iterator[Place]:
        """Find what may be an address around the colons."""
        hints, width = places_of(_COLONS, text), self._shape.width
        return matches_near(self._regex, text, hints, width=width, before=width)

    def refine(self, text: str, start: int, end: int) -> Iterable[Place]:
        """Take punctuation off; leave out code, such as `a::b` and `x[1::2]`."""
        if is_in_escape(text, start, end):
            return []
        value = text[start:end].rstrip(".")
        if value.endswith(":") and not value.endswith("::"):
            value = value[:-1]
        subscript = _SUBSCRIPT.search(before(text, start)) is not None
        if _is_v6(value) and _is_address(value, subscript=subscript):
            return [(start, start + len(value))]
        return []


def _is_version(context: str) -> bool:
    """Whether what stands before says that four numbers are a version."""
    if _NUMBERED.heads(context):
        return True
    if any(cue.search(context) for cue in (_PRODUCT, _UPGRADE)):
        return True
    required = _REQUIRED.search(context)
    return required is not None and not _HOST.search(required[1])


def _is_address(value: str, *, subscript: bool) -> bool:
    """Whether groups between colons are of an address, not of a slice or a ratio."""
    groups = [group for group in value.split(":") if group]
    if not any(map(str.isdigit, value)) or (subscript and len(groups) <= _FEW_GROUPS):
        return False
    if _LONG_GROUP.search(value) or "." in value:
        return True
    return "::" in value and len(groups) > _FEW_GROUPS


def _is_v4(value: str) -> bool:
    try:
        IPv4Address(value)
    except AddressValueError:
        return False
    return True


def _is_v6(value: str) -> bool:
    try:
        address = IPv6Address(value)
    except AddressValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)


def ip_detector() -> AnyOf:
    """Return the detector of IPv4 and IPv6 addresses, also inside host:port."""
    return AnyOf("ip", [_V4Pattern(), _V6Pattern()])
