"""IP addresses."""

import re
from collections.abc import Iterable
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from langchain_prodpatterns.guard.detectors.base import (
    AnyOf,
    PatternDetector,
    Place,
    before,
)

_V4 = r"(?<![0-9A-Za-z_.])[0-9][0-9.]{6,30}+(?![A-Za-z0-9_])"
_V6 = r"(?<![0-9A-Za-z:.])[0-9A-Fa-f:]{2}[0-9A-Fa-f:.]{1,45}+(?![A-Za-z0-9_])"
_NUMBERED = re.compile(
    r"(?:version|release|section|sect|chapter|clause|paragraph|appendix|build|"
    r"firmware|driver|rev(?:ision)?|ver|v|§)\.? ?[:=#]? ?$"
)


class _V4Pattern(PatternDetector):
    def __init__(self) -> None:
        super().__init__("ip", _V4)

    def refine(self, text: str, start: int, end: int) -> Iterable[Place]:
        """Take the dot of a sentence off; leave out versions and sections."""
        value = text[start:end].rstrip(".")
        if _is_v4(value) and not _NUMBERED.search(before(text, start)):
            return [(start, start + len(value))]
        return []


class _V6Pattern(PatternDetector):
    def __init__(self) -> None:
        super().__init__("ip", _V6)

    def refine(self, text: str, start: int, end: int) -> Iterable[Place]:
        """Take punctuation off; leave out what has no digit, such as `a::b` in code."""
        value = text[start:end].rstrip(".")
        if value.endswith(":") and not value.endswith("::"):
            value = value[:-1]
        if any(char.isdigit() for char in value) and _is_v6(value):
            return [(start, start + len(value))]
        return []


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
