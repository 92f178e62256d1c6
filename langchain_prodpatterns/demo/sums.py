"""Read the sum out of a question, where every word of it is understood."""

import re

_OPENING = re.compile(
    r"^(?:please\s+)?"
    r"(?:what(?:\s+is|'s)|how much (?:is|are)|calculate|compute|work out)\b",
    re.IGNORECASE,
)
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")
_CURRENCY = re.compile(r"€|\b(?:euros?|eur)\b", re.IGNORECASE)
_PERCENT_OF = re.compile(
    r"(?<![\d.])(\d+(?:\.\d+)?)\s*(?:%|percent|per cent)\s+of\b", re.IGNORECASE
)
_TIMES = re.compile(
    r"\b(?:multiplied\s+by|times)\b|(?<![a-z])x(?![a-z])|\u00d7", re.IGNORECASE
)
_DIVIDED = re.compile(r"\bdivided\s+by\b|\u00f7", re.IGNORECASE)
_PLUS = re.compile(r"\bplus\b", re.IGNORECASE)
_MINUS = re.compile(r"\bminus\b", re.IGNORECASE)
_WORDS = ((_TIMES, "*"), (_DIVIDED, "/"), (_PLUS, "+"), (_MINUS, "-"))
_SUM = re.compile(r"[0-9.+*/() -]+")


def to_expression(question: str) -> str:
    """Turn a question into an expression for the calculator.

    Args:
        question: A question such as `What is 17% of 2,340?`.

    Returns:
        The sum, as `(17 / 100) * 2340`. A question with any word that is not part of a
        sum comes back as it is, for the calculator to refuse: a sum that is read
        by halves gives a wrong answer.
    """
    text = _OPENING.sub("", question.strip()).rstrip("?!.= ")
    text = _CURRENCY.sub(" ", _THOUSANDS.sub("", text))
    text = _PERCENT_OF.sub(r"(\1 / 100) *", text)
    for words, sign in _WORDS:
        text = words.sub(sign, text)
    expression = " ".join(text.split())
    return expression if _SUM.fullmatch(expression) else question
