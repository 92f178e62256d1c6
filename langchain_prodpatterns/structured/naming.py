"""Which property, or which key of a map, each key in an answer means."""

from typing import Any

from langchain_prodpatterns.structured.matching import FOUND, match_word, normalized
from langchain_prodpatterns.structured.schemas import labels_of, options_of, resolve


def meant_properties(data: dict[str, Any], properties: Any) -> dict[str, str]:
    """Return the property that each key means which is not one itself.

    Args:
        data: The object.
        properties: The schemas of the properties, by name.

    Returns:
        The names by key; where two could be meant, none is.
    """
    unknown = [key for key in data if key not in properties]
    if not unknown or not isinstance(properties, dict):
        return {}
    meanings: dict[str, set[str]] = {}
    for name, schema in properties.items():
        aliases = schema.get("x-aliases", ()) if isinstance(schema, dict) else ()
        for called in (name, *aliases):
            meanings.setdefault(normalized(called), set()).add(name)
    found: dict[str, str] = {}
    for key in unknown:
        means = meanings.get(normalized(key), set())
        free = means - set(data) - set(found.values())
        if len(means) == 1 and free:
            found[key] = next(iter(free))
    return found


def meant_keys(
    data: dict[str, Any], node: dict[str, Any], root: dict[str, Any]
) -> dict[str, str]:
    """Return the allowed key that each key of a map means which is not one itself.

    Args:
        data: The map.
        node: Its schema.
        root: The schema that it is a part of.

    Returns:
        The allowed keys by key; of those that mean the same, none is renamed.
    """
    labels = _allowed(node.get("propertyNames"), root)
    unknown = [key for key in data if key not in labels] if labels else []
    means = {key: match_word(key, labels) for key in unknown}
    found = {
        key: meaning.value
        for key, meaning in means.items()
        if meaning is not None and meaning.rule != FOUND
    }
    taken = [*found.values(), *data]
    return {key: name for key, name in found.items() if taken.count(name) == 1}


def _allowed(rule: Any, root: dict[str, Any]) -> dict[str, list[str]]:
    """Return what each key is called that a map may have, if its schema says so."""
    if not isinstance(rule, dict):
        return {}
    rule = resolve(rule, root)
    labels: dict[str, list[str]] = {}
    for part in options_of(rule) or [rule]:
        if isinstance(part, dict):
            labels.update(labels_of(resolve(part, root)))
    return labels
