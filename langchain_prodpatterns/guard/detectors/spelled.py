"""Email addresses that are spelled out: `jane [at] example (dot) com`."""

import re
from collections.abc import Iterable, Iterator

from langchain_prodpatterns.guard.detectors.base import PatternDetector, Place
from langchain_prodpatterns.guard.detectors.email import FILES
from langchain_prodpatterns.guard.detectors.hints import matches_near, places_of

_AT, _DOT, _GAP = "[aA][tT]", "[dD][oO][tT]", "[ \u00a0]"
_NAME = "[A-Za-z0-9][A-Za-z0-9_%+-]{0,63}+"


def _spelled(word: str, sign: str) -> str:
    """Return a pattern for a sign, also as a word or in brackets."""
    around = rf"{_GAP}{{0,2}}+"
    bracketed = rf"{around}[\[({{<]{_GAP}?+(?:{word}|{sign}){_GAP}?+[\])}}>]{around}"
    # Only one of them can match, so nothing is lost when none is tried again.
    return rf"(?>{bracketed}|{_GAP}{{1,2}}+{word}{_GAP}{{1,2}}+|{sign})"


_AT_SIGN, _DOT_SIGN = _spelled(_AT, "@"), _spelled(_DOT, r"\.")
_PATTERN = (
    rf"(?<![A-Za-z0-9._%+-]){_NAME}(?:{_DOT_SIGN}{_NAME}){{0,3}}{_AT_SIGN}"
    rf"[A-Za-z0-9-]{{1,63}}+(?:{_DOT_SIGN}[A-Za-z0-9-]{{1,63}}+){{1,4}}"
)
_SIGNS = re.compile(
    rf"{_GAP}*[\[({{<]{_GAP}?(?:(?P<at>{_AT}|@)|{_DOT}|\.){_GAP}?[\])}}>]{_GAP}*"
    rf"|{_GAP}+(?:(?P<bare_at>{_AT})|(?P<bare_dot>{_DOT})){_GAP}+"
)
_ADDRESS = re.compile(r"[^@]{1,128}@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,24}")
# The engine skips to the first character, so there is one class for all of them.
_HINT = re.compile(
    rf"[dD\[({{<](?:(?<={_GAP}[dD])(?=[oO][tT]{_GAP})"
    rf"|(?<![dD])(?={_GAP}?(?:{_AT}|{_DOT}|[.@]){_GAP}?[\])}}>]))"
)
_COMMON = (
    "com org net edu gov io co uk de fr eu us info ai app dev me ca au nl ch it es se "
    "biz pl jp in br"
)
# `look at the dot com boom`, and the site that one is told to go to.
_AROUND = (
    "a am and are available be book bought buy call come email find found go here i is "
    "it live look looked looking mail me more now offer online only or order out page "
    "shop shopping site sold start store team them there this us visit was we website "
    "work worked working works you"
)
_ARTICLES = "a all an any her his its my our that the their this your"
_ENDINGS = frozenset(_COMMON.split())
_NO_NAMES = frozenset(_AROUND.split())
_NO_HOSTS = frozenset(_ARTICLES.split())


class SpelledEmail(PatternDetector):
    """Finds addresses with `at` or `dot` as a word or in brackets.

    As two bare words, `jane at example dot com`, they are an address only where it ends
    like many do and what stands around `at` is neither an article nor a common verb.
    """

    def __init__(self) -> None:
        super().__init__("email", _PATTERN, sharp=True)

    def matches(self, text: str) -> Iterator[Place]:
        """Look around dots and brackets: they are seldom there."""
        hints, width = places_of(_HINT, text), self._shape.width
        return matches_near(self._regex, text, hints, width=width, before=width)

    def refine(self, text: str, start: int, end: int) -> Iterable[Place]:
        """Leave out what is no address when it is written as one."""
        value = text[start:end]
        address = _SIGNS.sub(_sign, value)
        if address == value or not _ADDRESS.fullmatch(address):
            return []
        local, _, host = address.lower().partition("@")
        ending = host.rpartition(".")[2]
        bare = {sign.lastgroup for sign in _SIGNS.finditer(value)}
        if ending in FILES or ("bare_dot" in bare and ending not in _ENDINGS):
            return []
        if "bare_at" in bare and not _is_likely(local, host, value):
            return []
        return [(start, end)]


def _sign(found: re.Match[str]) -> str:
    return "@" if found["at"] or found["bare_at"] else "."


def _is_likely(local: str, host: str, value: str) -> bool:
    """Whether words around a bare `at` are of an address, not of a sentence."""
    signs = list(_SIGNS.finditer(value))
    at = next(index for index, sign in enumerate(signs) if sign["bare_at"])
    first = host.partition(".")[0]
    # `meet me at example.com` has a spelled sign, but no spelled dot behind it.
    return at + 1 < len(signs) and local not in _NO_NAMES and first not in _NO_HOSTS
