"""Words in front of a value that say what it is, in English, German and French.

A word says something about a value only as its label, directly in front: a card may
follow on "charge this order to", and a phone on "our office in Paris:".
"""

import re

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


def label(words: str) -> re.Pattern[str]:
    """Return a pattern for a label directly before a value: `order no.: `.

    Args:
        words: The labels in lower case, with blanks in between; `_` for a blank in one.

    Returns:
        A pattern to search with in what `before` gives.
    """
    names = "|".join(re.escape(name.replace("_", " ")) for name in words.split())
    return re.compile(rf"(?<![a-z])(?:{names}){_KIND}{_JOIN}")
