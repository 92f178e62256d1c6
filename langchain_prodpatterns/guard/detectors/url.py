"""Links that let whoever holds them in.

A plain public address is not private, and redacting it would spoil answers that cite
their sources. What counts: a password in front of the host, a token-like parameter,
and a token in the path after a word such as `reset` or `invite`. The detector
`any_url`, which is not in the default set, takes every link.
"""

import re
from collections.abc import Iterable

from langchain_prodpatterns.guard.detectors.base import (
    AnyOf,
    PatternDetector,
    Place,
    is_mixed,
    is_wordy,
)

LONGEST = 4096
"""Characters of the longest link; token-like parameters beyond are found alone."""

_URL = (
    r"(?<![0-9A-Za-z+.-])[A-Za-z][0-9A-Za-z+.-]{1,15}+://"
    rf"[^\s<>\"'`\\]{{1,{LONGEST}}}+"
)
_CREDENTIALS = re.compile(r"[A-Za-z0-9+.-]{2,16}://[^/?#@\s]{0,256}:[^/?#@]{1,256}@")
_SURE = (
    "token access_token id_token refresh_token auth_token authtoken api_key apikey "
    "api-key secret client_secret password passwd pwd signature sig otp jwt "
    "session_id sessionid reset_token x-amz-signature x-amz-credential "
    "x-amz-security-token x-goog-signature x-goog-credential"
)
_UNSURE = "key code auth session sid state ticket invite magic hash reset t k p"
_SURE_NAMES, _UNSURE_NAMES = frozenset(_SURE.split()), frozenset(_UNSURE.split())
_PARAMETER = re.compile(r"([A-Za-z0-9_.-]{1,40})=([^&#;\s]{1,4096})")
_PATH = re.compile(
    r"/(?i:reset|verify|verification|confirm|activate|invite|unsubscribe|magic|login|"
    r"signin|share|auth|token)[A-Za-z_-]{0,20}/([A-Za-z0-9_.~%-]{16,512})"
)
_TRAILING = ".,;:!?)]}"
_LONG_ENOUGH = 16


class UrlDetector(PatternDetector):
    """Finds every link."""

    def __init__(self, name: str = "any_url") -> None:
        super().__init__(name, _URL)

    def refine(self, text: str, start: int, end: int) -> Iterable[Place]:
        """Take the punctuation of the sentence off."""
        value = text[start:end].rstrip(_TRAILING)
        if value.endswith("://") or not self.counts(value):
            return []
        return [(start, start + len(value))]

    def counts(self, link: str) -> bool:
        """Whether the link is one to find."""
        return True


class _PrivateUrl(UrlDetector):
    """Finds links with a password or a token."""

    def counts(self, link: str) -> bool:
        # The first look is for speed: nothing in a long chain of links may cost much.
        parameters = _PARAMETER.finditer(link) if "=" in link else ()
        return (
            _CREDENTIALS.match(link) is not None
            or any(_is_token(*found.groups()) for found in parameters)
            or any(_looks_random(found[1]) for found in _PATH.finditer(link))
        )


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
    return AnyOf("url", [_PrivateUrl("url"), _Parameter()])
