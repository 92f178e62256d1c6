"""What a JSON Schema says of itself: references, names, what a bare word may be."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from langchain_prodpatterns.errors import ConfigurationError

MAX_UNIONS = 5
"""Unions in unions that are looked into."""

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_COMBINED = {"allOf", "anyOf", "oneOf"}
# What holds schemas by names of the developer's own, and what holds no schemas at all.
_NAMES = {
    "properties",
    "patternProperties",
    "$defs",
    "definitions",
    "dependentSchemas",
    "dependencies",
}
_DATA = {"const", "enum", "default", "examples", "example", "discriminator", "required"}


def check_references(schema: dict[str, Any], dialect: str) -> None:
    """Refuse references that lead out of the schema: nothing is ever fetched.

    Args:
        schema: A valid JSON Schema.
        dialect: The URI of its metaschema.

    Raises:
        ConfigurationError: When one does, or leads nowhere.
    """
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import specification_with

    root = specification_with(dialect).create_resource(schema)
    registry: Registry[Any] = Registry()
    seen: set[int] = set()
    waiting: list[tuple[Any, Any]] = [(root, registry.resolver_with_root(root))]
    while waiting:
        resource, resolver = waiting.pop()
        if id(resource.contents) in seen:
            continue
        seen.add(id(resource.contents))
        target = ""
        try:
            for target in _references(resource.contents):
                found = resolver.lookup(target)
                if not isinstance(found.contents, dict | bool):
                    raise _refers(target, "which is no schema")
                inner = specification_with(dialect).create_resource(found.contents)
                waiting.append((inner, found.resolver))
            waiting.extend(
                (part, resolver.in_subresource(part))
                for part in resource.subresources()
            )
        except Unresolvable:
            raise _refers(target, "which is not in the schema") from None


def _refers(target: str, where: str) -> ConfigurationError:
    return ConfigurationError(f"response_model refers to {target!r}, {where}")


def _references(schema: Any) -> list[str]:
    if not isinstance(schema, dict):
        return []
    values = [schema.get(key) for key in _REFERENCES]
    return [value for value in values if isinstance(value, str)]


def mappings(node: Any) -> Iterator[dict[Any, Any]]:
    """Yield every dict in JSON data, at any depth."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def subschemas(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every dict in a JSON Schema that is a schema, and no data or names."""
    waiting = [(schema, False)]
    while waiting:
        node, has_names = waiting.pop()
        if isinstance(node, dict):
            if not has_names:
                yield node
            waiting.extend(
                (value, not has_names and key in _NAMES)
                for key, value in node.items()
                if has_names or key not in _DATA
            )
        elif isinstance(node, list):
            waiting.extend((value, False) for value in node)


def property_names(schema: dict[str, Any]) -> Iterator[str]:
    """Yield every property that a schema names, at any depth."""
    for node in subschemas(schema):
        properties = node.get("properties")
        if isinstance(properties, dict):
            yield from properties
        required = node.get("required")
        if isinstance(required, list):
            yield from (name for name in required if isinstance(name, str))


def top_properties(schema: dict[str, Any]) -> frozenset[str]:
    """Return the properties of the value itself, also of a union of objects.

    Args:
        schema: A JSON Schema.

    Returns:
        Their names; none where an object of any properties fits too.
    """
    names: set[str] = set()
    for part in _parts(schema, schema):
        properties = part.get("properties")
        if isinstance(properties, dict) and properties:
            names.update(properties)
        elif part.get("type") == "object" and not _COMBINED & set(part):
            return frozenset()
    return frozenset(names)


def _parts(node: Any, root: dict[str, Any], depth: int = 0) -> Iterator[dict[str, Any]]:
    """Yield a schema and those that it combines."""
    if not isinstance(node, dict) or depth > MAX_UNIONS:
        return
    node = resolve(node, root)
    yield node
    for key in _COMBINED & set(node):
        for part in node[key]:
            yield from _parts(part, root, depth + 1)


def resolve(node: dict[str, Any], root: Any) -> dict[str, Any]:
    """Follow local references, at most as many as make sense."""
    for _ in range(20):
        target = node.get("$ref")
        if target == "#" and isinstance(root, dict):
            return root
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


def type_name(title: Any) -> str:
    """Make an identifier of a schema's title, or `Answer`."""
    parts = "".join(
        character if character.isalnum() else " " for character in str(title or "")
    )
    name = "".join(word[0].upper() + word[1:] for word in parts.split())
    return name if name and not name[0].isdigit() else "Answer"


def options_of(node: dict[str, Any]) -> list[Any]:
    """Return the options of a union; none where the schema is no union."""
    found = node.get("anyOf") or node.get("oneOf") or []
    return found if isinstance(found, list) else []


def labels_of(node: dict[str, Any]) -> dict[str, list[str]]:
    """Return what each allowed value is called: its name, aliases and description.

    Args:
        node: The schema of an enum or a literal.
    """
    allowed = node.get("enum") or ([node["const"]] if "const" in node else [])
    aliases = _mapping(node.get("x-enum-aliases"))
    about = _mapping(node.get("x-enum-descriptions"))
    labels = {}
    for value in allowed:
        name = value if isinstance(value, str) else json.dumps(value)
        given = aliases.get(name, [])
        called = [name, *([given] if isinstance(given, str) else given)]
        told = about.get(name)
        if isinstance(told, str) and told:
            called += [told, *(f"{one}: {told}" for one in called)]
        labels[name] = called
    return labels


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
