"""Words in front of a value that say what it is, in English, German and French.

A word says something about a value only as its label, directly in front: a card may
follow on "charge this order to", and a phone on "our office in Paris:".
"""

import re
from dataclasses import dataclass

ORDERS = (
    "order tracking ref reference invoice ticket serial sku parcel shipment "
    "bestellung bestellnummer auftrag auftragsnummer rechnung rechnungsnummer "
    "kundennummer sendungsnummer artikelnummer artikelnr seriennummer "
    "commande facture num\u00e9ro_de_client colis"
)
"""Labels of numbers that a business gives to what it sells and ships."""

_KIND = (
    r"(?:[ _-]?(?:(?:numbers?|num|no|nr|nummer|num\u00e9ro|id|code|ref)\b"
    r"|n[\u00b0\u00ba]))?"
)
_JOIN = r"(?:\.|s\b)?(?: (?:is|was|says|ist|lautet|est))?[ \t:=#\"'(\[]{0,4}$"
_BETWEEN = " \t:=#\"'(["
_LONGEST_BETWEEN = 4


@dataclass(frozen=True, slots=True)
class Label:
    """Tells whether what stands before a value ends with a label."""

    pattern: re.Pattern[str]
    """What a text that ends with the label fits."""

    def heads(self, context: str) -> bool:
        """Whether the label stands at the end.

        Args:
            context: What `before` gives.

        Returns:
            Whether it does.
        """
        # Most often a digit or a comma stands there, and that is quickly seen.
        tail = context[-_LONGEST_BETWEEN - 2 :].rstrip(_BETWEEN)
        last = tail[-2:-1] if tail.endswith(".") else tail[-1:]
        may_be = last.isalpha() or last in _SIGNS
        return may_be and self.pattern.search(context) is not None


_SIGNS = ("\u00b0", "\u00ba", "\u00a7")


def label(words: str) -> Label:
    """Return what looks for a label directly before a value: `order no.: `.

    Args:
        words: The labels in lower case, with blanks in between; `_` for a blank in one.

    Returns:
        The label.
    """
    names = "|".join(re.escape(name.replace("_", " ")) for name in words.split())
    return Label(re.compile(rf"(?<![a-z])(?:{names}){_KIND}{_JOIN}"))


def mention(words: str) -> str:
    """Return a pattern for any of some words, each standing alone.

    The boundary in front is checked behind the word: so the engine skips to the first
    letters, which is several times as fast.

    Args:
        words: The words in lower case, with blanks in between; `_` for a blank in one.

    Returns:
        The pattern.
    """
    names = [re.escape(name.replace("_", " ")) for name in words.split()]
    return "(?:" + "|".join(rf"{name}(?<!\w{name})\b" for name in names) + ")"
