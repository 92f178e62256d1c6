"""Reading a word, a number, yes or no out of an answer that is no JSON."""

from typing import Any

from langchain_prodpatterns.structured.coercing import name_of
from langchain_prodpatterns.structured.matching import (
    AS_BOOLEAN,
    AS_NUMBER,
    EXACT,
    FOUND,
    Meaning,
    as_whole,
    boolean_in,
    match_word,
    normalized,
    number_in,
)
from langchain_prodpatterns.structured.schemas import (
    MAX_UNIONS,
    labels_of,
    options_of,
    resolve,
)


def meaning_of(text: str, schema: dict[str, Any]) -> Meaning | None:
    """Find the one scalar that a text means.

    Args:
        text: An answer without JSON.
        schema: The JSON Schema of what it has to be.

    Returns:
        The value; `None` where the text means none, or several.
    """
    nodes = list(_scalars(schema, schema, 0))
    allowed = _allowed(nodes)
    labels = _labels(nodes)
    if labels:
        found = match_word(text, labels)
        if found is not None:
            return Meaning(allowed[found.value], found.rule)
    kinds = {str(node.get("type")) for node in nodes if not _has_words(node)}
    if "string" in kinds:
        return Meaning(text.strip(), EXACT) if text.strip() else None
    said = [_as_kind(text, kind) for kind in sorted(kinds)]
    known = [meaning for meaning in said if meaning is not None]
    return known[0] if len(known) == 1 else None


def _as_kind(text: str, kind: str) -> Meaning | None:
    if kind == "boolean":
        truth = boolean_in(text)
        return None if truth is None else Meaning(truth, AS_BOOLEAN)
    if kind == "null":
        return Meaning(None, EXACT) if normalized(text) in {"null", "none"} else None
    if kind not in {"integer", "number"}:
        return None
    value = number_in(text)
    if value is not None and kind == "integer":
        value = as_whole(value)
    if value is None:
        return None
    return Meaning(value, AS_NUMBER if text.strip() == str(value) else FOUND)


def _scalars(node: Any, root: dict[str, Any], depth: int) -> list[dict[str, Any]]:
    """Return the schemas of the scalars that a value may be."""
    if not isinstance(node, dict) or depth > MAX_UNIONS:
        return []
    node = resolve(node, root)
    options = options_of(node)
    if options:
        return [one for part in options for one in _scalars(part, root, depth + 1)]
    kinds = node.get("type")
    if isinstance(kinds, list) and not _has_words(node):
        return [{**node, "type": kind} for kind in kinds]
    return [node]


def _has_words(node: dict[str, Any]) -> bool:
    return "enum" in node or "const" in node


def _labels(nodes: list[dict[str, Any]]) -> dict[str, list[str]]:
    labels: dict[str, list[str]] = {}
    for node in nodes:
        labels.update(labels_of(node))
    return labels


def _allowed(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    allowed: dict[str, Any] = {}
    for node in filter(_has_words, nodes):
        values = node["enum"] if "enum" in node else [node["const"]]
        allowed.update((name_of(value), value) for value in values)
    return allowed
