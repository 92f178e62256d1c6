"""What a JSON Schema says of itself: references, names, what a bare word may be."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from langchain_prodpatterns.errors import ConfigurationError

MAX_UNIONS = 5
"""Unions in unions that are looked into."""


def check_references(schema: Any) -> None:
    """Refuse references that lead out of the schema: nothing is ever fetched.

    Raises:
        ConfigurationError: When one does, or leads nowhere.
    """
    for holder in _schemas(schema):
        target = holder.get("$ref")
        if isinstance(target, str) and not _resolves(target, schema):
            msg = f"response_model refers to {target!r}, which is not in the schema"
            raise ConfigurationError(msg)


def _resolves(target: str, schema: Any) -> bool:
    if not target.startswith("#"):
        return False
    if not target.startswith("#/"):
        return target == "#" or _has_anchor(target[1:], schema)
    return resolve({"$ref": target}, schema) != {"$ref": target}


def _has_anchor(name: str, schema: Any) -> bool:
    return any(node.get("$anchor") == name for node in _schemas(schema))


def _schemas(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every dict in a schema, at any depth."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def property_names(schema: dict[str, Any]) -> Iterator[str]:
    """Yield every property that a schema names, at any depth."""
    for node in _schemas(schema):
        properties = node.get("properties")
        if isinstance(properties, dict):
            yield from properties
        required = node.get("required")
        if isinstance(required, list):
            yield from (name for name in required if isinstance(name, str))


def resolve(node: dict[str, Any], root: Any) -> dict[str, Any]:
    """Follow local references, at most as many as make sense."""
    for _ in range(20):
        target = node.get("$ref")
        if not isinstance(target, str) or not target.startswith("#/"):
            return node
        found = root
        for part in target[2:].split("/"):
            found = _step(found, unquote(part).replace("~1", "/").replace("~0", "~"))
        if not isinstance(found, dict):
            return node
        node = found
    return node


def _step(node: Any, key: str) -> Any:
    """Follow one part of a JSON pointer, into an object or a list."""
    if isinstance(node, list):
        return node[int(key)] if key.isdecimal() and int(key) < len(node) else None
    return node.get(key) if isinstance(node, dict) else None


def takes_text(node: Any, root: dict[str, Any], depth: int = 0) -> bool:
    """Whether a bare word can be a value: a string, or a member of an enum.

    Args:
        node: The schema in question.
        root: The schema that its references lead into.
        depth: How many unions it is in.

    Returns:
        Whether a text without quotes may be taken for a value.
    """
    if not isinstance(node, dict) or depth > MAX_UNIONS:
        return False
    node = resolve(node, root)
    values = [*node.get("enum", ()), *([node["const"]] if "const" in node else [])]
    if values:
        return any(isinstance(value, str) for value in values)
    options = [*node.get("anyOf", ()), *node.get("oneOf", ())]
    return node.get("type") == "string" or any(
        takes_text(option, root, depth + 1) for option in options
    )


def words(node: Any, root: dict[str, Any], depth: int = 0) -> Iterator[str]:
    """Yield the strings that an enum, or a union of enums, allows.

    Args:
        node: The schema in question.
        root: The schema that its references lead into.
        depth: How many unions it is in.
    """
    if not isinstance(node, dict) or depth > MAX_UNIONS:
        return
    node = resolve(node, root)
    for value in (*node.get("enum", ()), node.get("const")):
        if isinstance(value, str):
            yield value
    for option in (*node.get("anyOf", ()), *node.get("oneOf", ())):
        yield from words(option, root, depth + 1)


def type_name(title: Any) -> str:
    """Make an identifier of a schema's title, or `Answer`."""
    words = "".join(
        character if character.isalnum() else " " for character in str(title or "")
    )
    name = "".join(word[0].upper() + word[1:] for word in words.split())
    return name if name and not name[0].isdigit() else "Answer"
