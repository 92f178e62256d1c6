"""A JSON Schema as TypeScript-style declarations: a quarter of the tokens.

What a model needs to know of a type is its shape, and the words of the developer. A
type that is used more than once, or in itself, is declared once and called by name.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from langchain_prodpatterns.structured.schemas import subschemas

_SCALARS = {
    "string": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
}
_LIMITS = {
    "minimum": ">= {}",
    "maximum": "<= {}",
    "exclusiveMinimum": "> {}",
    "exclusiveMaximum": "< {}",
    "multipleOf": "a multiple of {}",
    "minLength": "length >= {}",
    "maxLength": "length <= {}",
    "minItems": "items >= {}",
    "maxItems": "items <= {}",
    "pattern": "matches /{}/",
    "format": "{}",
}
_POINTERS = ("#/$defs/", "#/definitions/")
_MAX_DEFAULT = 60
_INDENT = "  "


def declare(schema: Mapping[str, Any], name: str) -> str:
    """Declare the type of a JSON Schema.

    Args:
        schema: The schema.
        name: What to call the type.

    Returns:
        `type Name = ...`, after the types that it shares with itself.
    """
    return _Declarations(schema, name).text()


class _Declarations:
    """The types of one schema."""

    def __init__(self, schema: Mapping[str, Any], name: str) -> None:
        self._schema = schema
        self._name = name
        self._defs = {
            f"{pointer}{key}": (key, node)
            for pointer in _POINTERS
            for key, node in schema.get(pointer[2:-1], {}).items()
            if isinstance(node, Mapping)
        }
        self._shared = self._find_shared()

    def text(self) -> str:
        """All declarations, the shared ones first."""
        root = self._declaration(self._name, self._root())
        shared = [
            self._declaration(*self._defs[target])
            for target in self._defs
            if target in self._shared and self._root() is not self._defs[target][1]
        ]
        return "\n".join([*shared, root])

    def _root(self) -> Mapping[str, Any]:
        """The schema itself, or the definition that it is only a name of."""
        target = self._schema.get("$ref")
        return self._defs[target][1] if target in self._defs else self._schema

    def _find_shared(self) -> set[str]:
        """Find the definitions that are used twice, or that use themselves."""
        uses = Counter(_references(self._schema))
        recursive = {target for target in self._defs if self._reaches(target, target)}
        return {target for target, count in uses.items() if count > 1} | recursive

    def _reaches(self, start: str, goal: str) -> bool:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            node = self._defs.get(waiting.pop())
            fresh = set(_references(node[1])) - seen if node else set()
            if goal in fresh:
                return True
            seen |= fresh
            waiting.extend(fresh)
        return False

    def _declaration(self, name: str, node: Mapping[str, Any]) -> str:
        comment = _one_line(node.get("description", ""))
        head = f"// {comment}\n" if comment else ""
        return f"{head}type {_type_name(name)} = {self._type(node, 0)}"

    def _type(self, node: Any, level: int) -> str:
        """Write one type."""
        if not isinstance(node, Mapping):
            return "unknown"
        if "$ref" in node:
            return self._reference(str(node["$ref"]), level)
        values = [node["const"]] if "const" in node else node.get("enum")
        if values is not None:
            return " | ".join(_literal(value) for value in values)
        options = node.get("anyOf") or node.get("oneOf")
        if options:
            return self._union(options, level)
        return self._plain(node, node.get("type"), level)

    def _reference(self, target: str, level: int) -> str:
        if target not in self._defs:
            return _type_name(self._name) if target == "#" else "unknown"
        name, node = self._defs[target]
        if node is self._root():
            return _type_name(self._name)
        return _type_name(name) if target in self._shared else self._type(node, level)

    def _union(self, options: list[Any], level: int, sign: str = " | ") -> str:
        return sign.join(dict.fromkeys(self._type(part, level) for part in options))

    def _plain(self, node: Mapping[str, Any], kind: Any, level: int) -> str:
        if isinstance(kind, list):
            return self._union([{**node, "type": one} for one in kind], level)
        if kind is None and node.get("allOf"):
            return self._union(node["allOf"], level, " & ")
        if kind == "array" or (kind is None and "items" in node):
            return self._array(node, level)
        if kind == "object" or (kind is None and "properties" in node):
            return self._object(node, level)
        return _SCALARS.get(str(kind), "unknown")

    def _array(self, node: Mapping[str, Any], level: int) -> str:
        prefix = node.get("prefixItems")
        if prefix:
            return f"[{', '.join(self._type(item, level) for item in prefix)}]"
        item = self._type(node.get("items", {}), level)
        return f"({item})[]" if " | " in item else f"{item}[]"

    def _object(self, node: Mapping[str, Any], level: int) -> str:
        properties = node.get("properties")
        if not properties:
            values = node.get("additionalProperties")
            kind = (
                self._type(values, level) if isinstance(values, Mapping) else "unknown"
            )
            return f"Record<string, {kind}>"
        required = node.get("required", ())
        lines = [
            self._property(name, entry, name in required, level + 1)
            for name, entry in properties.items()
        ]
        return "\n".join(["{", *lines, f"{_INDENT * level}}}"])

    def _property(self, name: str, node: Any, required: bool, level: int) -> str:  # noqa: FBT001 - one flag of a property
        mark = "" if required else "?"
        key = name if name.isidentifier() else json.dumps(name, ensure_ascii=False)
        line = f"{_INDENT * level}{key}{mark}: {self._type(node, level)}"
        comment = "; ".join(_comments(node))
        return f"{line} // {comment}" if comment else line


def _comments(node: Any) -> Iterator[str]:
    """Say what the type does not: the description, the limits and the default."""
    if not isinstance(node, Mapping):
        return
    description = _one_line(node.get("description", ""))
    if description:
        yield description
    for limited in (node, *node.get("anyOf", ())):
        if isinstance(limited, Mapping):
            yield from (
                wording.format(limited[key])
                for key, wording in _LIMITS.items()
                if key in limited
            )
    default = node.get("default")
    empty = default is None or default in ([], {})
    if not empty and len(_literal(default)) <= _MAX_DEFAULT:
        yield f"default {_literal(default)}"


def _references(schema: Any) -> Iterator[str]:
    """Yield every reference in a schema, as often as it occurs."""
    for node in subschemas(schema):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]


def _one_line(text: Any) -> str:
    return " ".join(str(text).split())


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _type_name(name: str) -> str:
    """Write a name of pydantic's, such as `Box[int]`, as an identifier."""
    return "".join(
        char if char.isalnum() or char == "_" else "_" for char in name
    ).strip("_")
