"""Words in front of a value that say what it is.

A word says something about a value only as its label, directly in front: a card may
follow on "charge this order to", and a phone on "our office in Paris:".
"""

import re

_KIND = r"(?:[ _-]?(?:numbers?|num|no|nr|id|code|ref)\b)?"
_JOIN = r"(?:\.|s\b)?(?: (?:is|was|says))?[ \t:=#\"'(\[]{0,4}$"


def label(words: str) -> re.Pattern[str]:
    """Return a pattern for a label directly before a value: `order no.: `.

    Args:
        words: The labels in lower case, with blanks in between.

    Returns:
        A pattern to search with in what `before` gives.
    """
    names = "|".join(map(re.escape, words.split()))
    return re.compile(rf"(?<![a-z])(?:{names}){_KIND}{_JOIN}")
