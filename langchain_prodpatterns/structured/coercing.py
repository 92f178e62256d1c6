"""Bringing data that was read into the form that a schema asks for.

Only the form changes, never what is said: a word becomes the allowed one that it means,
a number in a text becomes a number, one item becomes a list of one. Nothing is filled
in. Every correction has a cost; of a union, the option with the fewest wins, and where
two options win with different values, none does.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic_core import from_json

from langchain_prodpatterns.structured.forgiving import forgive
from langchain_prodpatterns.structured.matching import (
    AS_BOOLEAN,
    AS_NUMBER,
    FOUND,
    as_boolean,
    as_number,
    as_whole,
    match_word,
)
from langchain_prodpatterns.structured.naming import meant_keys, meant_properties
from langchain_prodpatterns.structured.schemas import labels_of, options_of, resolve
from langchain_prodpatterns.structured.texts import InexactError

RENAMED = "key matched to the property that it means"
WRAPPED = "one value taken for a list of one"
UNWRAPPED = "taken out of what it was wrapped in"
IMPLIED = "taken for the only property"
FROM_TEXT = "JSON in a text read"
AS_TEXT = "number or word read as a text"
UNNAMED = "property that the schema does not name left out"
LEFT_OUT = "null taken for absent"
AS_NULL = "word read as null"

_COSTS = {
    FOUND: 3,
    WRAPPED: 2,
    UNWRAPPED: 3,
    IMPLIED: 3,
    FROM_TEXT: 2,
    AS_TEXT: 2,
    AS_NULL: 2,
}
MAX_VISITS = 50_000
"""Pairs of a value and a schema that are looked at; with more, nothing is corrected."""
_MAX_DEPTH = 150
_MAX_TEXT = 64 * 1024
_JSON_AHEAD = re.compile(r"\s*+(?:```\w*\s*+)?[{\[]")
_FENCED = re.compile(r"\s*+```\w*+\s(.*)```\s*+", re.DOTALL)
_NULLS = {"null", "none", "nil", "n/a", ""}
_ABSENT: Final = object()
_COMBINED = {"$ref", "allOf", "anyOf", "oneOf"}
# Keywords that speak of properties which the schema does not name one by one.
_OF_OTHERS = {
    "additionalProperties",
    "patternProperties",
    "unevaluatedProperties",
    "propertyNames",
    "minProperties",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
}
_OF_PROPERTIES = {"properties", "required", *_OF_OTHERS}


@dataclass(frozen=True, slots=True)
class Correction:
    """One change of form."""

    path: tuple[str | int, ...]
    """The keys and indices that lead to it."""
    rule: str
    """What was done."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A value in the form that a schema asks for, as far as it has it now."""

    data: Any
    """The value."""
    corrections: tuple[Correction, ...] = ()
    """What was changed."""
    fits: bool = True
    """Whether it has the form now; a validator has the last word."""

    @property
    def cost(self) -> int:
        """How much was changed."""
        return sum(_COSTS.get(one.rule, 1) for one in self.corrections)

    def then(self, rule: str) -> "Fit":
        """Add a correction of the value as a whole."""
        mine = Correction((), rule)
        return Fit(self.data, (mine, *self.corrections), self.fits)

    def under(self, key: str | int) -> tuple[Correction, ...]:
        """Return the corrections as those of a part."""
        return tuple(Correction((key, *one.path), one.rule) for one in self.corrections)


class _TooMuchError(Exception):
    """Raised when a value and a schema have too many combinations to look at."""


def coerce(data: Any, schema: dict[str, Any], *, named_only: bool = False) -> Fit:
    """Bring a value into the form that a schema asks for.

    Args:
        data: JSON data.
        schema: The JSON Schema.
        named_only: Whether to leave out properties of which the schema says nothing,
            as pydantic does.

    Returns:
        The value, and what was changed; where it does not fit, as much of it as did.
    """
    try:
        return _Coercer(schema, named_only).fit(data, schema, 0)
    except (_TooMuchError, RecursionError):
        return Fit(data, fits=False)


@dataclass(slots=True)
class _Coercer:
    """Fits values to the parts of one schema.

    Each pair of a value and a part is looked at once, so that a union of unions of
    itself takes no exponential time.
    """

    root: dict[str, Any]
    named_only: bool
    visits: int = 0
    known: dict[tuple[int, int], Fit] = field(default_factory=dict)
    # What the keys of `known` are ids of must stay alive, to keep them unique.
    alive: list[Any] = field(default_factory=list)

    def fit(self, data: Any, schema: Any, depth: int) -> Fit:
        if not isinstance(schema, dict) or depth > _MAX_DEPTH:
            return Fit(data, fits=schema is not False)
        if "$ref" in schema and _is_composed(schema):
            return Fit(data)
        node = resolve(schema, self.root)
        key = (id(data), id(node))
        if key not in self.known:
            self.visits += 1
            if self.visits > MAX_VISITS:
                raise _TooMuchError
            self.alive.append((data, node))
            # A schema that leads back to itself without a step into the value fits
            # nothing that way.
            self.known[key] = Fit(data, fits=False)
            self.known[key] = self._fit_node(data, node, depth)
        return self.known[key]

    def _fit_node(self, data: Any, node: dict[str, Any], depth: int) -> Fit:
        options = options_of(node)
        if _is_composed(node):
            # What each part says of the properties is only half of it.
            return Fit(data)
        if options:
            return self._union(data, options, depth)
        if "enum" in node or "const" in node:
            return self._word(data, node, depth)
        if "allOf" in node:
            return self.fit(data, node["allOf"][0], depth + 1)
        kinds = node.get("type")
        if isinstance(kinds, list):
            same = [{**node, "type": kind} for kind in kinds]
            return self._union(data, same, depth)
        return self._typed(data, node, kinds or _implied_type(node), depth)

    def _typed(self, data: Any, node: dict[str, Any], kind: Any, depth: int) -> Fit:
        if kind == "object":
            return self._object(data, node, depth)
        if kind == "array":
            return self._list(data, node, depth)
        if kind is None:
            return Fit(data)
        fit = _scalar(data, str(kind))
        # Of a text, what an object calls it is a part of what is said.
        if fit.fits or (kind == "string" and isinstance(data, dict)):
            return fit
        return self._unwrapped(data, node, depth) or fit

    def _union(self, data: Any, options: list[Any], depth: int) -> Fit:
        fits = [self.fit(data, option, depth + 1) for option in options]
        good = _without_rivals([fit for fit in fits if fit.fits])
        if not good:
            # Where one option alone is of the kind, its errors are those that matter.
            near = [fit for fit in fits if fit.corrections]
            return near[0] if len(near) == 1 else Fit(data, fits=False)
        least = min(fit.cost for fit in good)
        best = [fit for fit in good if fit.cost == least]
        first = _canonical(best[0].data)
        if least and any(_canonical(fit.data) != first for fit in best[1:]):
            return Fit(data, fits=False)
        return best[0]

    def _word(self, data: Any, node: dict[str, Any], depth: int) -> Fit:
        allowed = node["enum"] if "enum" in node else [node["const"]]
        if any(_is_same(data, one) for one in allowed):
            return Fit(data)
        if isinstance(data, str | int | float) and not isinstance(data, bool):
            by_name = {name_of(one): one for one in allowed}
            found = match_word(str(data), labels_of(node))
            if found and found.value in by_name:
                return Fit(by_name[found.value], (Correction((), found.rule),))
        return self._unwrapped(data, node, depth) or Fit(data, fits=False)

    def _unwrapped(self, data: Any, node: dict[str, Any], depth: int) -> Fit | None:
        """Take a scalar out of a list of one, or of an object with one property.

        Out of more than that, it is a part of something else.
        """
        inner = _only(data)
        if inner is _ABSENT or isinstance(inner, dict | list):
            return None
        fit = self.fit(inner, node, depth + 1)
        return fit.then(UNWRAPPED) if fit.fits else None

    def _list(self, data: Any, node: dict[str, Any], depth: int) -> Fit:
        if not isinstance(data, list):
            read = self._from_text(data, node, depth)
            return read or self._list_of(data, node, depth)
        first, others = node.get("prefixItems", ()), node.get("items", True)
        if isinstance(others, list):
            first, others = others, node.get("additionalItems", True)
        items: list[Any] = []
        corrections: list[Correction] = []
        fits = True
        for index, item in enumerate(data):
            schema = first[index] if index < len(first) else others
            fit = self.fit(item, schema, depth + 1)
            items.append(fit.data)
            corrections += fit.under(index)
            fits = fits and fit.fits
        return Fit(items, tuple(corrections), fits)

    def _list_of(self, data: Any, node: dict[str, Any], depth: int) -> Fit:
        """Make a list of its only item, or take it out of an object around it."""
        if data is None:
            return Fit(data, fits=False)
        fit = self._list([data], node, depth + 1)
        if fit.fits:
            return fit.then(WRAPPED)
        inner = _only(data)
        if isinstance(inner, list):
            fit = self._list(inner, node, depth + 1)
            if fit.fits:
                return fit.then(UNWRAPPED)
        return Fit(data, fits=False)

    def _object(self, data: Any, node: dict[str, Any], depth: int) -> Fit:
        if isinstance(data, dict):
            fit = self._properties(data, node, depth)
            if fit.fits:
                return fit
        else:
            read = self._from_text(data, node, depth)
            if read:
                return read
            fit = Fit(data, fits=False)
        inner = _only(data)
        if isinstance(inner, dict) and _only_key_of(data) not in node.get(
            "properties", {}
        ):
            inside = self._properties(inner, node, depth + 1)
            if inside.fits:
                return inside.then(UNWRAPPED)
        return self._implied(data, node, depth) or fit

    def _implied(self, data: Any, node: dict[str, Any], depth: int) -> Fit | None:
        """Take a value for the only property that an object can have."""
        properties = node.get("properties", {})
        if len(properties) != 1 or isinstance(data, dict) or data is None:
            return None
        name, schema = next(iter(properties.items()))
        fit = self.fit(data, schema, depth + 1)
        if not fit.fits:
            return None
        return Fit({name: fit.data}, fit.under(name)).then(IMPLIED)

    def _properties(
        self, data: dict[str, Any], node: dict[str, Any], depth: int
    ) -> Fit:
        properties = node.get("properties", {})
        names = meant_properties(data, properties) or meant_keys(data, node, self.root)
        required = node.get("required", ())
        required = required if isinstance(required, list) else ()
        found: dict[str, Any] = {}
        corrections: list[Correction] = []
        fits = True
        for key, value in data.items():
            name = names.get(key, key)
            unnamed = properties and name not in required and _is_unnamed(name, node)
            if self.named_only and unnamed:
                corrections.append(Correction((name,), UNNAMED))
                continue
            schema = properties.get(name, node.get("additionalProperties", True))
            fit = self.fit(value, schema, depth + 1)
            if (
                value is None
                and not fit.fits
                and name in properties
                and name not in required
            ):
                corrections.append(Correction((name,), LEFT_OUT))
                continue
            found[name] = fit.data
            fits = fits and fit.fits
            if name != key:
                corrections.append(Correction((name,), RENAMED))
            corrections += fit.under(name)
        fits = fits and all(name in found for name in required)
        return Fit(found, tuple(corrections), fits)

    def _from_text(self, data: Any, node: dict[str, Any], depth: int) -> Fit | None:
        """Read a text that holds JSON."""
        if not isinstance(data, str) or not _JSON_AHEAD.match(data):
            return None
        inner = _json_in(data)
        if not isinstance(inner, dict | list):
            return None
        fit = self.fit(inner, node, depth + 1)
        return fit.then(FROM_TEXT) if fit.fits else None


def _without_rivals(fits: list[Fit]) -> list[Fit]:
    """Drop what is implied, if it is so in two ways: neither is said."""
    implied = [fit for fit in fits if Correction((), IMPLIED) in fit.corrections]
    return fits if len(implied) <= 1 else [fit for fit in fits if fit not in implied]


def _scalar(data: Any, kind: str) -> Fit:
    """Fit a value to a type without parts."""
    if kind == "string":
        if isinstance(data, str):
            return Fit(data)
        is_plain = isinstance(data, int | float) and not isinstance(data, bool)
        return (
            Fit(json.dumps(data)).then(AS_TEXT) if is_plain else Fit(data, fits=False)
        )
    if kind == "null":
        is_null_word = isinstance(data, str) and data.strip().lower() in _NULLS
        return Fit(None).then(AS_NULL) if is_null_word else Fit(data, fits=data is None)
    if kind == "boolean":
        return _boolean(data)
    if kind in {"integer", "number"}:
        return _number(data, kind)
    return Fit(data)


def _boolean(data: Any) -> Fit:
    if isinstance(data, bool):
        return Fit(data)
    said = as_boolean(str(data)) if isinstance(data, str | int | float) else None
    return Fit(data, fits=False) if said is None else Fit(said).then(AS_BOOLEAN)


def _number(data: Any, kind: str) -> Fit:
    whole_only = kind == "integer"
    if isinstance(data, int | float) and not isinstance(data, bool):
        is_whole = isinstance(data, int) or data.is_integer()
        return Fit(data, fits=is_whole or not whole_only)
    number = as_number(data) if isinstance(data, str) else None
    if number is not None and whole_only:
        number = as_whole(number)
    return Fit(data, fits=False) if number is None else Fit(number).then(AS_NUMBER)


def _json_in(text: str) -> Any:
    if len(text) > _MAX_TEXT:
        return None
    fenced = _FENCED.fullmatch(text)
    text = fenced[1] if fenced else text
    try:
        return from_json(text)
    except ValueError:
        pass
    try:
        parsed = forgive(text)
    except InexactError:
        return None
    whole = not parsed.broken_off and not text[parsed.end :].strip()
    return parsed.data if whole else None


def _only(data: Any) -> Any:
    if isinstance(data, list) and len(data) == 1:
        return data[0]
    if isinstance(data, dict) and len(data) == 1:
        return next(iter(data.values()))
    return _ABSENT


def _only_key_of(data: Any) -> Any:
    return next(iter(data)) if isinstance(data, dict) else None


def name_of(value: Any) -> str:
    """Return what an allowed value is called in a text."""
    return value if isinstance(value, str) else json.dumps(value)


def _is_same(one: Any, other: Any) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _is_composed(node: dict[str, Any]) -> bool:
    """Whether several schemas speak of the same value together."""
    parts = _COMBINED & node.keys()
    more = parts and not _OF_PROPERTIES.isdisjoint(node)
    together = len(parts) > 1 or more or len(node.get("allOf", ())) > 1
    return together or any(key in node for key in ("if", "$dynamicRef", "not"))


def _is_unnamed(name: str, node: dict[str, Any]) -> bool:
    return name not in node["properties"] and _OF_OTHERS.isdisjoint(node)


def _implied_type(node: dict[str, Any]) -> str | None:
    """Return the type of a schema that does not tell it."""
    if "properties" in node or "required" in node:
        return "object"
    return "array" if "items" in node or "prefixItems" in node else None


def _canonical(data: Any) -> str:
    return json.dumps(data, sort_keys=True, default=str)
