"""Passwords, keys and tokens of no known form, told by the word in front of them."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from langchain_prodpatterns.guard.detectors.base import (
    PatternDetector,
    Place,
    is_wordy,
)
from langchain_prodpatterns.guard.detectors.hints import matches_near, words_in
from langchain_prodpatterns.guard.detectors.patterns import LOOKBACK
from langchain_prodpatterns.guard.detectors.surroundings import before, is_in_escape

# Only behind what can follow the word: most starts of words are done with at once.
_ANNOUNCES = (
    r"[=:\"'`(]", r"[:=>]\s", r"[:=>]\s\s", " is ", "ist ", "est ",
    "[Ee][Aa][Rr][Ee][Rr] ", "[Aa][Ss][Ii][Cc] ", "[Oo][Kk][Ee][Nn] ", "[Bb][Oo][Tt] ",
)  # fmt: skip
_VALUE = (
    r"(?<=[\s=:\"'`(])(?:"
    + "|".join(f"(?<={end})" for end in _ANNOUNCES)
    + r")[^\s\"'`<>\\]{8,512}+"
)
_NAMES = (
    r"(?:pass(?:word|wd|phrase|wort|code)|kennwort|mot de passe|contrase\u00f1a|pwd|"
    r"secret(?:[ _-]?(?:key|access[ _-]?key))?|api[ _-]?key|token|credentials?|"
    r"(?:access|account|auth|client|encryption|master|private|session|shared|signing)"
    r"[ _-]?key)"
)
_NAMED = re.compile(
    _NAMES + r"[\"'`]?(?:\s{0,3}(?::=|=>|[:=]=?)\s{0,3}| (?:is|ist|est) )[\"'`(]?$"
)
_HEADERS = "(?:authorization|x-api-key|x-auth-token)"
_HEADER = re.compile(
    _HEADERS + r"[\"']?\s{0,2}[:=]\s{0,2}[\"']?(?:(?:bearer|basic|token|bot) )?$"
)
_WORDS = (
    "pass", "pwd", "secret", "token", "key", "credential", "kennwort", "contrase",
    "authorization",
)  # fmt: skip
# What stands for a value, or makes one: a variable, a call, a word that says so.
_NO_VALUE = re.compile(
    r"[$%{\[*]|(?:your|my|the|some|xxx|change|example|placeholder|redacted|env|os|"
    r"process|config|settings|self|this)[-_.A-Z]|[A-Za-z_.]{1,60}\(",
    re.IGNORECASE,
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z_./:-]*")
_KINDS = tuple(map(re.compile, ("[a-z]", "[A-Z]", "[0-9]", "[^a-zA-Z0-9]")))
_TRAILING = ".,;:!?)]}"
_SHORTEST = 8
_ENOUGH_BITS = 22.0
_FEWEST_KINDS = 2


class SecretDetector(PatternDetector):
    """Finds random values behind a word such as `password:` or `api_key =`.

    Also in `Authorization` headers. Neither is enough alone: a value counts where a
    word names it and its characters are many and of several kinds, so that hashes and
    commit ids are none, nor names of variables behind the word. In the default set:
    keys of vendors that the detector `api_key` does not know are found by nothing else.
    """

    def __init__(self) -> None:
        super().__init__("secret", _VALUE)
        # Of letters alone it is a name.
        self._shape = replace(self._shape, calm=math.inf)

    def matches(self, text: str) -> Iterator[Place]:
        """Look behind the words: they are seldom there."""
        hints, width = words_in(text, _WORDS), self._shape.width
        return matches_near(self._regex, text, hints, width=width, behind=LOOKBACK)

    def refine(self, text: str, start: int, end: int) -> Iterable[Place]:
        """Check the word, then the value, without the punctuation of the sentence."""
        context = before(text, start)
        if not (_NAMED.search(context) or _HEADER.search(context)):
            return []
        value = text[start:end].rstrip(_TRAILING)
        if is_in_escape(text, start, end) or not is_random(value):
            return []
        return [(start, start + len(value))]


def is_random(value: str) -> bool:
    """Whether a value looks random or chosen as a password, not like a name or code.

    Args:
        value: What stands behind the word.

    Returns:
        Whether it has characters of at least two kinds, enough entropy for a password
        of eight, and is no name, call or stand-in.
    """
    if len(value) < _SHORTEST or _NO_VALUE.match(value) or _NAME.fullmatch(value):
        return False
    if sum(kind.search(value) is not None for kind in _KINDS) < _FEWEST_KINDS:
        return False
    return not is_wordy(value) and entropy(value) * len(value) >= _ENOUGH_BITS


def entropy(value: str) -> float:
    """Return bits a character, by how often each occurs (Shannon, 1948).

    Args:
        value: At least one character.

    Returns:
        Between 0 and the binary logarithm of the length.
    """
    shares = [count / len(value) for count in Counter(value).values()]
    return -sum(share * math.log2(share) for share in shares)
