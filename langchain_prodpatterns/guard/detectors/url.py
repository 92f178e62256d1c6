"""Links that let whoever holds them in.

A plain public address is not private, and redacting it would spoil answers that cite
their sources. What counts: a password in front of the host, a token-like parameter,
and a token in the path after a word such as `reset` or `invite`. The detector
`any_url`, which is not in the default set, takes every link.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator

from langchain_prodpatterns.guard.detectors.base import (
    AnyOf,
    PatternDetector,
    Place,
    is_mixed,
    is_wordy,
)
from langchain_prodpatterns.guard.detectors.surroundings import is_in_escape, opening

LONGEST = 4096
"""Characters of the longest link; token-like parameters beyond are found alone."""

_START = opening("[A-Za-z]", also="+.-") + "[0-9A-Za-z+.-]{1,39}+://"
_REST = r"[^\s<>\"'`\\]"
_URL = _START + rf"{_REST}{{1,{LONGEST}}}+"
_SCHEME, _WORD = re.compile(_START), re.compile(f"{_REST}++")
# A password may hold what should be escaped; a quote only where it closes nothing.
_CREDENTIALS = (
    _START + r"[^\s<>\"'`\\/?#@:]{0,128}+:(?:[^\s<>\"`\\](?<!'[,;:)\]}])){1,256}@"
    rf"[^\s<>\"'`\\]{{1,{LONGEST}}}+"
)
_PORT = re.compile("[0-9]{1,5}[/?#]")
_SURE = (
    "token access_token id_token refresh_token auth_token authtoken api_key apikey "
    "api-key secret client_secret password passwd pwd signature sig otp jwt "
    "session_id sessionid reset_token x-amz-signature x-amz-credential "
    "x-amz-security-token x-goog-signature x-goog-credential"
)
_UNSURE = "key code auth session sid state ticket invite magic hash reset t k p"
_SURE_NAMES, _UNSURE_NAMES = frozenset(_SURE.split()), frozenset(_UNSURE.split())
# What makes a link private. Each start is tried, so that none is hidden in another.
_PARAMETER = re.compile(
    r"(?<![A-Za-z0-9_.-])([A-Za-z0-9_.-]{1,40})=(?=([^&#;\s<>\"'`\\]{1,512}))"
)
_PATH = re.compile(
    r"/(?=(?i:reset|verify|verification|confirm|activate|invite|unsubscribe|magic|"
    r"login|signin|share|auth|token)[A-Za-z_-]{0,20}/([A-Za-z0-9_.~%-]{16,512}))"
)
_TRAILING = ".,;:!?)]}"
_LONG_ENOUGH = 16


class UrlDetector(PatternDetector):
    """Finds every link."""

    def __init__(self, name: str = "any_url", pattern: str = _URL) -> None:
        super().__init__(name, pattern)

    def matches(self, text: str) -> Iterator[Place]:
        """Find the schemes, and only once for all of a word where that ends.

        The pattern would go to the end of the word from each scheme in it anew.
        """
        end = 0
        scheme = _SCHEME.search(text) if "://" in text else None
        while scheme is not None:
            if scheme.end() > end:
                word = _WORD.match(text, scheme.end())
                end = word.end() if word else scheme.end()
            if end > scheme.end():
                yield scheme.start(), min(end, scheme.end() + LONGEST)
            scheme = _SCHEME.search(text, scheme.start() + 1)

    def refine(self, text: str, start: int, end: int) -> Iterable[Place]:
        """Take the punctuation of the sentence off."""
        value = text[start:end].rstrip(_TRAILING)
        if value.endswith("://") or is_in_escape(text, start, end):
            return []
        return [(start, start + len(value))]


class _PrivateUrl(UrlDetector):
    """Finds links with a token."""

    def find(self, text: str) -> Iterator[Place]:
        # Tokens are looked for once in the text, not once in each link: of a chain of
        # links every one goes on to the end of the chain.
        tokens = sorted(_tokens(text)) if "://" in text else []
        if not tokens:
            return
        for start, end in super().find(text):
            index = bisect_left(tokens, start)
            if index < len(tokens) and tokens[index] < end:
                yield start, end


def _tokens(text: str) -> Iterator[int]:
    """Yield where token-like parameters and parts of paths start."""
    for found in _PARAMETER.finditer(text):
        if _is_token(*found.groups()):
            yield found.start()
    for found in _PATH.finditer(text):
        if _looks_random(found[1]):
            yield found.start()


class _Credentials(UrlDetector):
    """Finds links with a password in front of the host."""

    def __init__(self) -> None:
        super().__init__("url", _CREDENTIALS)

    def matches(self, text: str) -> Iterator[Place]:
        return PatternDetector.matches(self, text)

    def refine(self, text: str, start: int, end: int) -> Iterable[Place]:
        """Leave out a port that a path with `@` follows."""
        secret = text[start:end].partition("://")[2].partition(":")[2]
        return [] if _PORT.match(secret) else super().refine(text, start, end)


class _Parameter(PatternDetector):
    """Finds a token-like parameter, also of a link without a scheme."""

    def __init__(self) -> None:
        super().__init__(
            "url", r"[?&#][A-Za-z0-9_.-]{1,40}+=[A-Za-z0-9_.~%+/=-]{6,4096}+"
        )

    def refine(self, text: str, start: int, end: int) -> Iterable[Place]:
        name, _, value = text[start + 1 : end].partition("=")
        return [(start, end)] if _is_token(name, value) else []


def _is_token(name: str, value: str) -> bool:
    name = name.lower()
    if name in _SURE_NAMES:
        return len(value) >= 6  # noqa: PLR2004 - shorter ones are words such as `true`
    return name in _UNSURE_NAMES and _looks_random(value)


def _looks_random(value: str) -> bool:
    return len(value) >= _LONG_ENOUGH and is_mixed(value) and not is_wordy(value)


def url_detector() -> AnyOf:
    """Return the detector of links that carry a password or a token."""
    return AnyOf("url", [_PrivateUrl("url"), _Credentials(), _Parameter()])
