r"""Proof that a pattern is bounded, and what is needed to stream it.

Python's own parser reads the pattern; nothing is guessed from its text. A pattern is
accepted when all of this can be shown:

- it matches at least one character and at most `MAX_WIDTH` (no `*`, `+`, `{3,}`);
- one start can be tried in at most `MAX_WAYS` ways: the variable repeats multiply
  (`{1,64}` counts 64), alternatives add up, possessive repeats and atomic groups count
  once. So the time is linear in the text, whatever the text is;
- what it looks at around a match is near: lookbehind of at most `LOOKBACK` characters,
  lookahead of one. No `^`, `$`, `\A`, `\Z`: in a stream the text has no end yet;
- no backreferences, no inline flags.
"""

import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from math import inf
from typing import Any

from langchain_prodpatterns.errors import ConfigurationError

# The parser has no public name since `sre_parse` is deprecated; its tree is the one
# that the engine runs.
_parser = import_module("re._parser")
_ops = import_module("re._constants")

MAX_WIDTH = 20_000
"""Characters of the longest match that a pattern may have."""
MAX_WAYS = 10_000
"""Ways in which one start may be tried."""
LOOKBACK = 64
"""Characters before a match that may decide whether it is one."""

CALM = frozenset(f"{string.ascii_letters} \n")
"""What prose is mostly made of, and few values: these have a digit or a sign."""

_FEW = 1024
_REPEATS = (_ops.MAX_REPEAT, _ops.MIN_REPEAT)
_CLASSES = {
    _ops.CATEGORY_DIGIT: r"\d",
    _ops.CATEGORY_NOT_DIGIT: r"\D",
    _ops.CATEGORY_SPACE: r"\s",
    _ops.CATEGORY_NOT_SPACE: r"\S",
    _ops.CATEGORY_WORD: r"\w",
    _ops.CATEGORY_NOT_WORD: r"\W",
}


@dataclass(frozen=True)
class Shape:
    """What is proven of a pattern."""

    width: int
    """Characters of its longest match."""
    alphabet: str
    """A pattern of one character: every character of every match fits it."""
    flags: int
    """The flags that the alphabet is meant with."""
    prefix: str
    """The literal that every match begins with; empty where there is none."""
    required: tuple[str, ...]
    """Literals that occur in every match."""
    pattern: str
    """The pattern itself."""
    sharp: bool = False
    """Whether a stream tries the pattern itself to see what may still match."""
    calm: float = 0
    """Characters of the shortest match that is made of `CALM` ones; may be infinite."""

    @cached_property
    def characters(self) -> frozenset[str] | None:
        """The alphabet one by one; `None` where it is not a list of some hundreds."""
        if self.flags & re.IGNORECASE:
            return None
        found: set[str] = set()
        for item in _flat(_parser.parse(self.alphabet, self.flags)):
            members = _listed(item)
            if members is None:
                return None
            found.update(map(chr, members))
        return frozenset(found)

    def covers(self, other: "Shape") -> bool:
        """Whether what is undecided of another shape is undecided of this one too.

        That is so where each match of the other is as long as one of these at most and
        of no other characters, and these may begin with any of them.
        """
        return (
            not (self.prefix or self.sharp)
            and self.width >= other.width
            and other.characters is not None
            and all(map(self.holds, other.characters))
        )

    @cached_property
    def _members(self) -> dict[str, bool]:
        return {}

    @cached_property
    def _alphabet(self) -> re.Pattern[str]:
        return re.compile(self.alphabet, self.flags)

    def holds(self, char: str) -> bool:
        """Whether a match can contain the character."""
        known = self._members.get(char)
        if known is None:
            known = self._members[char] = self._alphabet.match(char) is not None
        return known


class Alphabets:
    """Tells which of some shapes hold a character: all are asked at once."""

    def __init__(self, shapes: Sequence[Shape]) -> None:
        """Set the shapes.

        Args:
            shapes: The shapes; each is a bit, the first one the lowest.
        """
        self.shapes = tuple(shapes)
        """The shapes."""
        self.every = (1 << len(self.shapes)) - 1
        """All of them, as bits."""
        self._known: dict[str, int] = {}

    def holding(self, char: str) -> int:
        """Return which shapes have matches that hold the character, as bits."""
        known = self._known.get(char)
        if known is None:
            known = self._known[char] = sum(
                shape.holds(char) << index for index, shape in enumerate(self.shapes)
            )
        return known


def prove(pattern: re.Pattern[str]) -> Shape:
    """Show that a pattern is bounded.

    Args:
        pattern: The compiled pattern.

    Returns:
        What streaming needs to know of it.

    Raises:
        ConfigurationError: When it cannot be shown; the message says why.
    """
    tree = _parser.parse(pattern.pattern, pattern.flags)
    shortest, longest = tree.getwidth()
    if shortest < 1:
        _refuse(pattern, "it can match the empty text")
    if longest > MAX_WIDTH:
        _refuse(
            pattern,
            f"it has no bound, or one above {MAX_WIDTH} characters: give each repeat "
            "an upper bound, such as {1,64} instead of +",
        )
    ways = _ways(tree, pattern)
    if ways > MAX_WAYS:
        _refuse(
            pattern,
            f"one start can be tried in more than {MAX_WAYS} ways: use fewer variable "
            "repeats, or possessive ones such as {1,64}+",
        )
    exact = not pattern.flags & re.IGNORECASE
    return Shape(
        width=longest,
        alphabet="|".join(dict.fromkeys(_leaves(tree))),
        flags=pattern.flags & (re.IGNORECASE | re.ASCII),
        prefix=_prefix(tree) if exact else "",
        required=_literals(tree) if exact else (),
        pattern=pattern.pattern,
        calm=_calm(tree, pattern.flags),
    )


def _refuse(pattern: re.Pattern[str], why: str) -> None:
    msg = f"pattern {pattern.pattern!r} is refused: {why}"
    raise ConfigurationError(msg)


def _ways(tree: Any, pattern: re.Pattern[str]) -> int:
    """Count the ways to try a sequence from one start, or refuse what is in it."""
    total = 1
    for op, value in tree:
        total = min(total * _ways_of(op, value, pattern), MAX_WAYS + 1)
    return total


def _ways_of(op: Any, value: Any, pattern: re.Pattern[str]) -> int:
    if op is _ops.BRANCH:
        return sum(_ways(branch, pattern) for branch in value[1])
    if op is _ops.SUBPATTERN:
        if value[1] or value[2]:
            _refuse(pattern, "inline flags; give the flags to `re.compile`")
        return _ways(value[3], pattern)
    if op in _REPEATS:
        low, high, inner = value
        return _ways_to_repeat(_ways(inner, pattern), low, high)
    if op in (_ops.POSSESSIVE_REPEAT, _ops.ATOMIC_GROUP):
        inner = value[2] if op is _ops.POSSESSIVE_REPEAT else value
        # Nothing is tried again once it is left, but inside it is.
        return 1 if _ways(inner, pattern) <= MAX_WAYS else MAX_WAYS + 1
    if op in (_ops.ASSERT, _ops.ASSERT_NOT):
        _check_look(value, pattern)
        return _ways(value[1], pattern)
    if op is _ops.AT and value not in (_ops.AT_BOUNDARY, _ops.AT_NON_BOUNDARY):
        _refuse(pattern, "anchors to the begin or end of the text or line")
    if op in (_ops.GROUPREF, _ops.GROUPREF_EXISTS):
        _refuse(pattern, "backreferences")
    return 1


def _ways_to_repeat(single: int, low: int, high: int) -> int:
    if single == 1:
        return int(high - low + 1)
    total = 0
    for times in range(low, high + 1):
        total += single**times
        if total > MAX_WAYS:
            return MAX_WAYS + 1
    return total


def _check_look(value: Any, pattern: re.Pattern[str]) -> None:
    direction, tree = value
    width = _reach(tree)
    if direction < 0 and width > LOOKBACK:
        _refuse(pattern, f"lookbehind of more than {LOOKBACK} characters")
    if direction > 0 and width > 1:
        _refuse(pattern, "lookahead of more than one character")


def _reach(tree: Any) -> int:
    """Return how far a look goes, with the looks and boundaries inside it."""
    return int(tree.getwidth()[1]) + max(map(_reach_beyond, tree), default=0)


def _reach_beyond(item: Any) -> int:
    op, value = item
    if op is _ops.AT:
        return 1
    if op in (_ops.ASSERT, _ops.ASSERT_NOT):
        return _reach(value[1])
    inner: Any = []
    if op is _ops.BRANCH:
        inner = [each for branch in value[1] for each in branch]
    elif op is _ops.SUBPATTERN:
        inner = value[3]
    elif op in (*_REPEATS, _ops.POSSESSIVE_REPEAT):
        inner = value[2]
    elif op is _ops.ATOMIC_GROUP:
        inner = value
    return max(map(_reach_beyond, inner), default=0)


def _leaves(tree: Any) -> Iterator[str]:
    """Yield, as one-character patterns, what the characters of a match can be."""
    for op, value in tree:
        if op is _ops.LITERAL:
            yield re.escape(chr(value))
        elif op is _ops.NOT_LITERAL:
            yield f"[^{re.escape(chr(value))}]"
        elif op is _ops.ANY:
            yield r"[\s\S]"
        elif op is _ops.IN:
            yield f"[{''.join(_members(value))}]"
        elif op is _ops.BRANCH:
            for branch in value[1]:
                yield from _leaves(branch)
        elif op is _ops.SUBPATTERN:
            yield from _leaves(value[3])
        elif op in (*_REPEATS, _ops.POSSESSIVE_REPEAT):
            yield from _leaves(value[2])
        elif op is _ops.ATOMIC_GROUP:
            yield from _leaves(value)


def _calm(tree: Any, flags: int) -> float:
    """Return the characters of the shortest calm match of a sequence."""
    return sum(_calm_of(item, flags) for item in tree)


def _calm_of(item: Any, flags: int) -> float:
    op, value = item
    if op is _ops.BRANCH:
        return min(_calm(branch, flags) for branch in value[1])
    if op is _ops.SUBPATTERN:
        return _calm(value[3], flags)
    if op in (*_REPEATS, _ops.POSSESSIVE_REPEAT):
        low, _, inner = value
        return low * _calm(inner, flags) if low else 0
    if op is _ops.ATOMIC_GROUP:
        return _calm(value, flags)
    # Of one character, or a look around.
    return sum(1 if _holds_calm(leaf, flags) else inf for leaf in _leaves([item]))


@cache
def _holds_calm(leaf: str, flags: int) -> bool:
    return any(map(re.compile(leaf, flags).match, CALM))


def _members(items: Any) -> Iterator[str]:
    for op, value in items:
        if op is _ops.NEGATE:
            yield "^"
        elif op is _ops.LITERAL:
            yield re.escape(chr(value))
        elif op is _ops.RANGE:
            yield f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
        else:
            yield _CLASSES[value]


def _flat(tree: Any) -> Iterator[Any]:
    """Yield the items of an alphabet, in classes and alternatives too."""
    for op, value in tree:
        if op is _ops.IN:
            yield from value
        elif op is _ops.BRANCH:
            for branch in value[1]:
                yield from _flat(branch)
        else:
            yield op, value


def _listed(item: Any) -> range | None:
    """Return the characters that an item of an alphabet stands for, if few."""
    op, value = item
    if op is _ops.LITERAL:
        return range(value, value + 1)
    if op is _ops.RANGE and value[1] - value[0] < _FEW:
        return range(value[0], value[1] + 1)
    return None


def _prefix(tree: Any) -> str:
    """Return the literal that every match begins with."""
    found = ""
    for op, value in tree:
        if op is _ops.LITERAL:
            found += chr(value)
        elif found or op not in (_ops.ASSERT, _ops.ASSERT_NOT, _ops.AT):
            break
    return found


def _literals(tree: Any) -> tuple[str, ...]:
    """Return the literals that stand in every match, as runs."""
    runs = [""]
    for op, value in tree:
        if op is _ops.LITERAL:
            runs[-1] += chr(value)
        else:
            runs.append("")
    return tuple(dict.fromkeys(filter(None, runs)))
