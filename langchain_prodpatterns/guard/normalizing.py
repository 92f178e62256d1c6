"""The view of a text in which looks do not matter, with the way back to the text.

Each character stands for itself, for the plain character that it looks like or means,
or for nothing: full-width and styled letters, digits of other scripts, spaces and
dashes of all lengths, letters of other alphabets that look Latin, hidden marks, and the
invisible tag characters that spell ASCII. No character depends on its neighbors, so the
view of a part of a text is that part of the view, and streams can be looked at too.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

# No character of ASCII stands for another one.
_FOREIGN = re.compile("[^\x00-\x7f]+")
_HIDDEN = frozenset(
    [0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180E, 0x3164, 0xFEFF]
    + [0xFFA0, 0xE0001, 0xE007F]
    + [code for first, last in (
        (0x180B, 0x180D), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F),
        (0xFE00, 0xFE0F), (0xE0100, 0xE01EF),
    ) for code in range(first, last + 1)]
)  # fmt: skip
_TYPESET = frozenset([0x00A0, 0x2009, 0x202F, 0x2013, 0x2014, 0x2026])
"""What people's programs write of their own accord, and detectors know: a text that has
nothing else in it need not be looked at twice."""
_TAGS = range(0xE0020, 0xE007F)
_LOOKALIKES = dict(
    zip(
        # Cyrillic, then Greek, then a few others, as Unicode's confusables list them.
        "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u0501\u051b\u0475"
        "\u04bb\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425\u0406"
        "\u0408\u0405\u04ae\u03bf\u03bd\u03c1\u03b9\u0391\u0392\u0395\u0396\u0397\u0399"
        "\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u0261\u0131\u2044\u2215\u2024"
        "\u2212",
        "aeopcyxijsdqvhABEKMHOPCTXIJSYovpiABEZHIKMNOPTYXgi//.-",
        strict=True,
    )
)


class _Table(dict[int, str]):
    """What characters stand for, worked out when first met."""

    def __missing__(self, code: int) -> str:
        plain = _plain(chr(code), code)
        self[code] = plain
        return plain


def _plain(char: str, code: int) -> str:
    if code in _HIDDEN:
        return ""
    if code in _TAGS:
        return chr(code - 0xE0000)
    if char.isascii() or code in _TYPESET or char in _LOOKALIKES:
        return _LOOKALIKES.get(char, char)
    kind = unicodedata.category(char)
    if kind == "Nd":
        return str(unicodedata.decimal(char))
    if kind == "Zs":
        return " "
    plain = "-" if kind == "Pd" else unicodedata.normalize("NFKC", char)
    return plain if plain.isascii() else char


_TABLE = _Table()


@dataclass(frozen=True, slots=True)
class View:
    """A text in which looks do not matter."""

    text: str
    """The plain text."""
    changes: list[tuple[int, int]]
    """Where in it something stands for a character that looks otherwise: start and end,
    the same where that character is hidden."""
    changed: list[int]
    """For each change, the place of the character in the text."""

    @property
    def origins(self) -> list[int]:
        """For each of its characters, the place in the text that it comes from."""
        return [self._origin(at) for at in range(len(self.text))]

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Return where a part of the view is in the text."""
        return self._origin(start), self._origin(end - 1) + 1

    def _origin(self, at: int) -> int:
        index = bisect_right(self.changes, (at, len(self.text))) - 1
        if index < 0:
            return at
        end = self.changes[index][1]
        return self.changed[index] + max(at - end + 1, 0)


def plain_text(text: str) -> str:
    """Return the view of a text without the way back."""
    return text if text.isascii() else text.translate(_TABLE)


def view_of(text: str) -> View | None:
    """Return the view of a text, or nothing where the text is its own view."""
    if text.isascii():
        return None
    parts, changes, changed = list[str](), list[tuple[int, int]](), list[int]()
    done = size = 0
    for at in _changed(text):
        plain = _TABLE[ord(text[at])]
        parts += text[done:at], plain
        size += at - done
        changes.append((size, size + len(plain)))
        changed.append(at)
        size += len(plain)
        done = at + 1
    if not changed:
        return None
    return View("".join([*parts, text[done:]]), changes, changed)


def _changed(text: str) -> Iterator[int]:
    """Yield the places of characters that stand for others."""
    for run in _FOREIGN.finditer(text):
        if run[0].translate(_TABLE) != run[0]:
            for at in range(*run.span()):
                if _TABLE[ord(text[at])] != text[at]:
                    yield at
