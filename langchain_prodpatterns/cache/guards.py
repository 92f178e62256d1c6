"""Differences that embeddings overlook: numbers, signs, negation, names, word order.

A vector of "not refundable" is next to that of "refundable". A guard that fires
proves nothing, it only asks for a judge; so it may fire too often, and may know a few
languages only: in any other it falls back to digits, names and order.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cached_property

_MAX_CHARACTERS = 20_000
# A number with its separators; a word with its apostrophes and inner hyphens, and with
# what makes C++ or C# of a letter.
_TOKEN = re.compile(
    r"\d+(?:[.,:/]\d+)*|[^\W\d_]+(?:['\u2019-]?[^\W_]+)*(?:(?:\+\+|#)(?!\w))?"
)
# A hyphen that is no dash: a sign before a number, a minus between two numbers or
# letters, a grade such as A-.
_MINUS = re.compile(
    r"(?<!\w)-(?=\.?\d)|(?<=\d )-(?= \w)"
    r"|(?<=\b[^\W\d_] )-(?= \w)|(?<=\b[^\W\d_])-(?!\w)"
)
_MARK = re.compile(r"[^\w\s]")
_MARKS = frozenset("%#*/&@^\u00b0")
# Of the others, "a", "y" or "s" are words, or ends of words.
_NAMES_OF_A_LETTER = frozenset("bcdfghjklmnpqrvwxz")
_SENTENCE_END = re.compile(r"[.!?:\n]\s*$")

_NUMBER_WORDS = {
    word: number
    for number, words in enumerate(
        (
            "zero null zéro cero",
            "one first ein eins eine erste un une premier uno una primero",
            "two second twice zwei zweite deux deuxième dos segundo due",
            "three third thrice drei dritte trois troisième tres tercero tre",
            "four fourth vier vierte quatre quatrième cuatro cuarto quattro",
            "five fifth fünf fünfte cinq cinquième cinco quinto cinque",
            "six sixth sechs sechste sixième seis sexto sei",
            "seven seventh sieben siebte sept septième siete sette",
            "eight eighth acht achte huit huitième ocho otto",
            "nine ninth neun neunte neuf neuvième nueve nove",
            "ten tenth zehn zehnte dix dixième diez dieci",
            "eleven eleventh elf onze once undici",
            "twelve twelfth dozen zwölf douze doce dodici",
        )
    )
    for word in words.split()
} | {
    word: number
    for number, words in {
        20: "twenty zwanzig vingt veinte venti",
        30: "thirty dreißig trente treinta trenta",
        40: "forty vierzig quarante cuarenta",
        50: "fifty fünfzig cinquante cincuenta",
        60: "sixty sechzig soixante sesenta",
        70: "seventy siebzig setenta",
        80: "eighty achtzig ochenta",
        90: "ninety neunzig noventa",
        100: "hundred hundert cent cien cento",
        1000: "thousand tausend mille mil",
        1_000_000: "million millionen millones",
        1_000_000_000: "billion milliarde milliard",
    }.items()
    for word in words.split()
}
_PRONOUNS = frozenset("I")
_NEGATIVE_WORDS = """
    not no never none nobody nothing nowhere neither nor without cannot except unless
    nicht kein keine keinen keinem keiner nie niemals nichts ohne weder
    ne pas jamais rien aucun aucune sans non
    nunca jamás nada nadie ningún ninguna sin tampoco mai nessuno senza
    não sem nenhum niet geen nooit zonder
    не нет без никогда ни لا ليس لم لن
"""
_NEGATIONS = frozenset(_NEGATIVE_WORDS.split())
_NEGATIVE_SIGNS = ("不", "没", "沒", "無", "无", "非", "未", "ない", "ません", "않")
_NOT = ("n't", "n\u2019t")


def fired(new: str, stored: str) -> tuple[str, ...]:
    """Return the guards that see a difference between two questions.

    Args:
        new: The question asked now.
        stored: The question whose answer is stored.

    Returns:
        Any of `number`, `symbol`, `negation`, `entity` and `order`.
    """
    left, right = _read(new), _read(stored)
    checks = {
        "number": _numbers(left) != _numbers(right),
        "symbol": _symbols(left) != _symbols(right),
        "negation": _negations(left) != _negations(right),
        "entity": _names_differ(left, right),
        "order": _order_differs(left, right),
    }
    return tuple(name for name, differs in checks.items() if differs)


class _Text:
    """The tokens of a text, with what a guard needs to know of each."""

    def __init__(self, source: str, tokens: list[str], initial: list[bool]) -> None:
        self.source = source
        self.tokens = tokens
        self.words = [token.casefold() for token in tokens]
        self.initial = initial

    @cached_property
    def names(self) -> set[str]:
        """Its words that are names."""
        return {
            word
            for word, token, initial in zip(
                self.words, self.tokens, self.initial, strict=True
            )
            if _is_name(token, initial=initial)
        }


def _read(text: str) -> _Text:
    text = unicodedata.normalize("NFKC", text[:_MAX_CHARACTERS])
    text = text.replace("\u2212", "-")
    tokens: list[str] = []
    initial: list[bool] = []
    end = 0
    for match in _TOKEN.finditer(text):
        between = text[end : match.start()][-3:]
        first = not tokens or bool(_SENTENCE_END.search(between))
        for token in _characters(match[0]):
            tokens.append(token)
            initial.append(first)
            first = False
        end = match.end()
    return _Text(text, tokens, initial)


def _characters(token: str) -> Sequence[str]:
    """Split scripts without spaces, where a character is as good as a word."""
    spaceless = unicodedata.category(token[0]) == "Lo" and ord(token[0]) >= 0x0E00  # noqa: PLR2004 - from Thai on
    return list(token) if spaceless else [token]


def _numbers(text: _Text) -> Counter[str]:
    return Counter(
        number for word in text.words if (number := _number(word)) is not None
    )


def _number(word: str) -> str | None:
    """Return a word's number in one form: "1,000", "1000" and "thousand" are one."""
    if word in _NUMBER_WORDS:
        return str(_NUMBER_WORDS[word])
    if not word[0].isdigit():
        digits = "".join(character for character in word if character.isdigit())
        return digits or None
    groups = re.split(r"[.,]", word)
    thousands = len(groups) > 1 and all(len(group) == 3 for group in groups[1:])  # noqa: PLR2004 - digits of a thousand
    plain = "".join(groups) if thousands else word.replace(",", ".")
    if plain.isdecimal():
        return str(int(plain)) if len(plain) < 100 else plain  # noqa: PLR2004 - int() of a huge text is slow
    return plain


def _symbols(text: _Text) -> list[str]:
    """Return the signs of arithmetic, comparison, currency and the like, in order."""
    minus = {match.start() for match in _MINUS.finditer(text.source)}
    return [
        match[0]
        for match in _MARK.finditer(text.source)
        if match.start() in minus
        or match[0] in _MARKS
        or unicodedata.category(match[0]) in {"Sc", "Sm"}
    ]


def _negations(text: _Text) -> int:
    words = sum(word in _NEGATIONS or word.endswith(_NOT) for word in text.words)
    return words + sum(text.source.count(sign) for sign in _NEGATIVE_SIGNS)


def _names_differ(left: _Text, right: _Text) -> bool:
    """Whether one text has a name that the other does not have at all."""
    if left.words[1:] == right.words[1:] and left.words[:1] != right.words[:1]:
        # "Rome weather", "Oslo weather": a name at the head is not told by its case.
        return True
    return bool(left.names - set(right.words) or right.names - set(left.words))


def _is_name(token: str, *, initial: bool) -> bool:
    if not token[0].isalpha():
        return False
    if len(token) == 1:
        return _is_name_of_a_letter(token, initial=initial)
    if token[1:] != token[1:].lower():  # GPU, iPhone
        return True
    mixed = any(character.isdigit() for character in token)
    return mixed or (token[0].isupper() and not initial and not token.startswith("I'"))


def _is_name_of_a_letter(token: str, *, initial: bool) -> bool:
    """Whether a single letter tells one thing from another: hepatitis B, x, plan A."""
    if token.casefold() in _NAMES_OF_A_LETTER:
        return True
    return token.isupper() and token not in _PRONOUNS and not initial


def _order_differs(left: _Text, right: _Text) -> bool:
    """Whether the same words, or the same names and numbers, come in another order."""
    if left.words != right.words and Counter(left.words) == Counter(right.words):
        return True
    return _marks(left, right) != _marks(right, left)


def _marks(text: _Text, other: _Text) -> list[str]:
    """Return the names and numbers that both texts have once, in a text's order."""
    marked = text.names | other.names
    marked |= {word for word in text.words if word[0].isdigit()}
    mine, others = Counter(text.words), Counter(other.words)
    return [
        word
        for word in text.words
        if word in marked and mine[word] == others[word] == 1
    ]
