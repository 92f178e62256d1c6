"""What a text that is not complete says so far."""

from langchain_prodpatterns.structured.attempts import Reading
from langchain_prodpatterns.structured.candidates import (
    MAX_RELAXED,
    find_candidates,
)
from langchain_prodpatterns.structured.coercing import coerce
from langchain_prodpatterns.structured.forgiving import Forgiven, forgive
from langchain_prodpatterns.structured.literals import (
    NO_LITERAL,
    as_literal,
    completed,
)
from langchain_prodpatterns.structured.reading import (
    CUT,
    NOTATION,
    Prefer,
    encodable,
    no_json,
    told,
    unfenced,
)
from langchain_prodpatterns.structured.target import Target
from langchain_prodpatterns.structured.texts import InexactError


def read_partial(text: str, target: Target, prefer: Prefer = "last") -> Reading:
    """Read a text as far as it goes.

    A key whose value has not begun is left out, a text or number that is cut is as long
    as it is, and nothing is filled in or validated.

    Args:
        text: The beginning of an answer, or a whole one.
        target: What it has to become.
        prefer: Which of several values counts.

    Returns:
        JSON data in the form that the target asks for, as far as it has it, or what is
        wrong.
    """
    text = encodable(text)
    found = find_candidates(text, cut=True).candidates
    readable = [one for one in found if one.form != "malformed"]
    if readable:
        chosen = readable[-1 if prefer == "last" else 0]
        return _formed(Forgiven(chosen.data, chosen.end, chosen.broken_off), target)
    if len(text) > MAX_RELAXED:
        return no_json(target)
    try:
        parsed = forgive(unfenced(text), cut=True)
    except InexactError:
        return no_json(target)
    word = parsed.data
    literal = as_literal(completed(word)) if isinstance(word, str) else NO_LITERAL
    if literal is not NO_LITERAL and not target.takes_text:
        parsed = Forgiven(literal, parsed.end, broken_off=True)
    return _formed(parsed, target)


def _formed(parsed: Forgiven, target: Target) -> Reading:
    fit = coerce(parsed.data, target.json_schema, named_only=target.named_only)
    how = CUT if parsed.broken_off else NOTATION
    return Reading("ok", fit.data, repairs=(how, *told(fit, target)))
