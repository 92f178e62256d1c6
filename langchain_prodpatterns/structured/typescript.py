"""A JSON Schema as TypeScript-style declarations: a quarter of the tokens.

What a model needs to know of a type is its shape, and the words of the developer. A
type that is used more than once, or in itself, is declared once and called by name.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, count
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
    "uniqueItems": "no item twice",
    "minProperties": "keys >= {}",
    "maxProperties": "keys <= {}",
    "pattern": "matches /{}/",
    "format": "{}",
}
# Keywords that need no words, because the type says them or they say nothing of it.
_SILENT = {"$schema", "$id", "$defs", "definitions", "title", "description", "examples"}
# What no type and no comment says.
_UNSAID = {
    "not",
    "if",
    "contains",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "unevaluatedItems",
    "unevaluatedProperties",
    "$dynamicRef",
    "$recursiveRef",
}
_POINTERS = ("#/$defs/", "#/definitions/")
_COMBINED = ("allOf", "anyOf", "oneOf")
_LIST_KEYS = {"items", "prefixItems"}
_OBJECT_KEYS = {
    "properties",
    "patternProperties",
    "additionalProperties",
    "propertyNames",
}
_MAX_DEFAULT = 60
_INDENT = "  "


def is_opaque(schema: Mapping[str, Any]) -> bool:
    """Whether a schema has constraints of which its declaration says nothing.

    Args:
        schema: The schema.
    """
    if any(_UNSAID & set(node) for node in subschemas(schema)):
        return True
    declarations = _Declarations(schema, "Answer")
    if not all(map(declarations.knows, _references(schema))):
        return True
    unsaid = declarations.text().endswith("= unknown")
    return unsaid and not _SILENT.issuperset(schema)


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
        self._names = self._find_names()
        self._tags = dict(_tags(schema))

    def text(self) -> str:
        """All declarations, the shared ones first."""
        root = self._declaration(_type_name(self._name), self._root())
        shared = [
            self._declaration(name, self._defs[target][1])
            for target, name in self._names.items()
        ]
        return "\n".join([*shared, root])

    def knows(self, target: str) -> bool:
        """Whether a reference leads to a type that is declared."""
        return target == "#" or target in self._defs

    def _root(self) -> Mapping[str, Any]:
        """The schema itself, or the definition that it is only a name of."""
        target = str(self._schema.get("$ref"))
        more = _has_shape(self._schema) or set(_COMBINED) & set(self._schema)
        is_name = target in self._defs and not more
        return self._defs[target][1] if is_name else self._schema

    def _find_shared(self) -> set[str]:
        """Find the definitions that are used twice, or that use themselves."""
        uses = Counter(_references(self._schema))
        recursive = {target for target in self._defs if self._reaches(target, target)}
        return {target for target, count in uses.items() if count > 1} | recursive

    def _find_names(self) -> dict[str, str]:
        """Give each shared definition a name of its own: two may be called alike."""
        taken = {_type_name(self._name)}
        names = {}
        for target, (key, node) in self._defs.items():
            if target not in self._shared or node is self._root():
                continue
            name = _type_name(key)
            free = (f"{name}_{number}" for number in count(2))
            names[target] = next(one for one in chain([name], free) if one not in taken)
            taken.add(names[target])
        return names

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
        comment = "; ".join(self._comments(node))
        head = f"// {comment}\n" if comment else ""
        return f"{head}type {name} = {self._type(node, 0)}"

    def _type(self, node: Any, level: int) -> str:
        """Write one type: all that a schema demands, joined by `&`."""
        if not isinstance(node, Mapping):
            return "never" if node is False else "unknown"
        values = [node["const"]] if "const" in node else node.get("enum")
        if values is not None:
            return " | ".join(_literal(value) for value in values)
        parts = list(self._parts(node, level))
        own = self._plain(node, node.get("type"), level)
        if _has_shape(node) or not parts:
            parts.insert(0, own)
        parts = list(dict.fromkeys(part for part in parts if part != "unknown"))
        if len(parts) > 1:
            parts = [f"({part})" if " | " in part else part for part in parts]
        return " & ".join(parts) or "unknown"

    def _parts(self, node: Mapping[str, Any], level: int) -> Iterator[str]:
        """Write what a schema says by other schemas."""
        if "$ref" in node:
            yield self._reference(str(node["$ref"]), level)
        for part in node.get("allOf", ()):
            if not _only_requires(part):
                yield self._type(part, level)
        for key in ("anyOf", "oneOf"):
            options = [one for one in node.get(key, ()) if not _only_requires(one)]
            types = [self._type(option, level) for option in options]
            if types and "unknown" not in types:
                yield " | ".join(dict.fromkeys(types))

    def _reference(self, target: str, level: int) -> str:
        if target not in self._defs:
            return _type_name(self._name) if target == "#" else "unknown"
        node = self._defs[target][1]
        if node is self._root():
            return _type_name(self._name)
        name = self._names.get(target)
        return self._type(node, level) if name is None else name

    def _plain(self, node: Mapping[str, Any], kind: Any, level: int) -> str:
        if isinstance(kind, list):
            types = (self._plain(node, one, level) for one in kind)
            return " | ".join(dict.fromkeys(types))
        if kind == "array" or (kind is None and _LIST_KEYS & set(node)):
            return self._array(node, level)
        if kind == "object" or (kind is None and _OBJECT_KEYS & set(node)):
            return self._object(node, level)
        return _SCALARS.get(str(kind), "unknown")

    def _array(self, node: Mapping[str, Any], level: int) -> str:
        items = node.get("items", {})
        # Before the draft of 2020, the items of a tuple were in `items`.
        old = isinstance(items, list)
        prefix = items if old else node.get("prefixItems")
        rest = node.get("additionalItems", {}) if old else items
        if not prefix:
            return _list_of(self._type(rest, level))
        types = [self._type(item, level) for item in prefix]
        if isinstance(rest, Mapping) and rest:
            types.append(f"...{_list_of(self._type(rest, level))}")
        return f"[{', '.join(types)}]"

    def _object(self, node: Mapping[str, Any], level: int) -> str:
        properties = node.get("properties")
        values = self._values(node, level)
        if not properties:
            return f"Record<{self._keys(node)}, {values or 'unknown'}>"
        required = {
            *node.get("required", ()),
            *_required_by(node.get("allOf", ())),
            *(tag for one, tag in self._tags.items() if self._is(one, node)),
        }
        lines = [
            self._property(name, entry, name in required, level + 1)
            for name, entry in properties.items()
        ]
        if values:
            lines.append(f"{_INDENT * (level + 1)}[key: string]: {values}")
        return "\n".join(["{", *lines, f"{_INDENT * level}}}"])

    def _is(self, target: str, node: Mapping[str, Any]) -> bool:
        return target in self._defs and self._defs[target][1] is node

    def _keys(self, node: Mapping[str, Any]) -> str:
        names = self._type(node.get("propertyNames", {}), 0)
        return "string" if names == "unknown" else names

    def _values(self, node: Mapping[str, Any], level: int) -> str:
        """Write the type of the properties without a name of their own."""
        schemas = [*node.get("patternProperties", {}).values()]
        more = node.get("additionalProperties")
        schemas += [more] if isinstance(more, Mapping) else []
        types = (self._type(schema, level) for schema in schemas)
        return " | ".join(dict.fromkeys(types))

    def _property(self, name: str, node: Any, required: bool, level: int) -> str:  # noqa: FBT001 - one flag of a property
        mark = "" if required else "?"
        key = name if name.isidentifier() else json.dumps(name, ensure_ascii=False)
        line = f"{_INDENT * level}{key}{mark}: {self._type(node, level)}"
        comment = "; ".join(self._comments(node))
        return f"{line} // {comment}" if comment else line

    def _comments(self, node: Any) -> Iterator[str]:
        """Say what the type does not: the description, the limits and the default."""
        if not isinstance(node, Mapping):
            return
        # What a type is combined of stands inside of it, as if it were its own.
        parts = [node, *(part for key in _COMBINED for part in node.get(key, ()))]
        parts = [part for part in parts if isinstance(part, Mapping)]
        yield from self._descriptions(parts)
        for part in parts:
            yield from self._limits(part)
            yield from self._each(part)
        yield from _alternatives(node)
        default = node.get("default")
        # What has one value only has said it.
        empty = default is None or default in ([], {}) or "const" in node
        if not empty and len(_literal(default)) <= _MAX_DEFAULT:
            yield f"default {_literal(default)}"

    def _descriptions(self, parts: list[Mapping[str, Any]]) -> Iterator[str]:
        """Say what a property is, or else what the types are that stand in its place.

        A definition that is written where it is used has no other place for its words.
        """
        own = _one_line(parts[0].get("description", ""))
        if own:
            yield own
            return
        described = (
            part if "description" in part else self._inlined(part) for part in parts
        )
        words = [_one_line(one.get("description", "")) for one in described]
        said = " | ".join(dict.fromkeys(filter(None, words)))
        if said:
            yield said

    def _inlined(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the definition that is written in the place of a reference, if any."""
        target = node.get("$ref")
        if target not in self._defs or target in self._shared:
            return {}
        definition = self._defs[target][1]
        return {} if definition is self._root() else definition

    def _limits(self, node: Mapping[str, Any]) -> Iterator[str]:
        """Say what limits a value."""
        yield from _own_limits(self._inlined(node))
        yield from _own_limits(node)
        for pattern in node.get("patternProperties", ()):
            yield f"keys match /{pattern}/"

    def _each(self, node: Mapping[str, Any]) -> Iterator[str]:
        """Say the same of the items of a list, or of the values of a map."""
        for part in (node.get("items"), node.get("additionalProperties")):
            if isinstance(part, Mapping):
                about = "; ".join(self._comments({**part, "default": None}))
                if about:
                    yield f"each: {about}"


def _references(schema: Any) -> Iterator[str]:
    """Yield every reference in a schema, as often as it occurs."""
    for node in subschemas(schema):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]


def _tags(schema: Any) -> Iterator[tuple[str, str]]:
    """Yield the types that are told apart by a tag, which none may leave out."""
    for node in subschemas(schema):
        by = node.get("discriminator")
        if not isinstance(by, Mapping) or not isinstance(by.get("propertyName"), str):
            continue
        for target in _references([node.get("oneOf"), node.get("anyOf")]):
            yield target, by["propertyName"]


def _own_limits(node: Mapping[str, Any]) -> Iterator[str]:
    # The type of a tuple says how many items it has.
    said = {"minItems", "maxItems"} if "prefixItems" in node else set()
    for key, wording in _LIMITS.items():
        if node.get(key, False) is not False and key not in said:
            yield wording.format(node[key])


def _has_shape(node: Mapping[str, Any]) -> bool:
    """Whether a schema says more of its own than that it is some object or list."""
    shaped = bool((_LIST_KEYS | _OBJECT_KEYS) & set(node))
    return shaped or node.get("type", "object") not in ("object", "array")


def _only_requires(node: Any) -> bool:
    """Whether a schema names properties that must be there, and says nothing else."""
    return isinstance(node, Mapping) and set(node) == {"required"}


def _required_by(schemas: Iterable[Any]) -> Iterator[str]:
    for schema in schemas:
        if _only_requires(schema):
            yield from schema["required"]


def _alternatives(node: Mapping[str, Any]) -> Iterator[str]:
    """Say which properties can stand in for which."""
    for key, word in (("anyOf", "at least one of"), ("oneOf", "exactly one of")):
        options = [one["required"] for one in node.get(key, ()) if _only_requires(one)]
        if options:
            yield f"{word}: {', '.join(' and '.join(option) for option in options)}"


def _list_of(item: str) -> str:
    return f"({item})[]" if " | " in item or " & " in item else f"{item}[]"


def _one_line(text: Any) -> str:
    return " ".join(str(text).split())


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _type_name(name: str) -> str:
    """Write a name of pydantic's, such as `Box[int]`, as an identifier."""
    return "".join(
        char if char.isalnum() or char == "_" else "_" for char in name
    ).strip("_")
