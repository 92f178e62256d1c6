"""JSON Schemas are really validated; what cannot work is refused at once."""

import copy
from typing import Any

import pytest

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.structured.target import (
    MisfitError,
    NotJsonError,
)
from langchain_prodpatterns.structured.targets import make_target
from tests.unit_tests.structured.doubles import (
    TICKET_SCHEMA,
    errors_of,
)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objekt"},
        {"properties": []},
        {"$ref": "https://example.com/schema.json"},
        {"properties": {"a": {"$ref": "#/$defs/Missing"}}},
        {"items": {"$ref": "other.json#/a"}},
        {"items": {"$ref": "#nowhere"}},
        {"anyOf": [{"type": "string"}, {"$ref": "#/anyOf/2"}]},
        {"properties": {1: {"type": "string"}}},
        {
            "properties": {"a": {"$ref": "#/$defs/item"}},
            "$defs": {
                "money": {"type": "number"},
                "item": {
                    "$id": "https://example.com/item",
                    "properties": {"price": {"$ref": "#/$defs/money"}},
                },
            },
        },
        {"$dynamicRef": "http://127.0.0.1:9/x"},
        {"$ref": "#/x-parts/a", "x-parts": {"a": {"$ref": "#/nowhere"}}},
        {"$ref": "#/title", "title": "a text"},
        {"pattern": "\\p{L}"},
        {"patternProperties": {"[": {}}},
    ],
)
def test_a_schema_that_cannot_work_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="response_model"):
        make_target(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"price": float, "name": str},
        {"title": "Ticket", "price": "number"},
        {"name": "answer", "schema": {"type": "object"}, "strict": True},
        {"name": "answer", "description": "a tool", "parameters": {"type": "object"}},
    ],
)
def test_a_dict_that_every_answer_would_fit_is_refused(schema: dict[str, Any]) -> None:
    names = ", ".join(map(repr, sorted(schema.keys() - {"title", "description"})))
    with pytest.raises(ConfigurationError) as caught:
        make_target(schema)
    assert str(caught.value) == (
        f"response_model has no keyword of JSON Schema, but {names}: give it the schema "
        'itself, such as {"type": "object", "properties": {...}}'
    )


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"title": "Anything", "description": "at all", "examples": [1]},
        {"$defs": {"a": {"type": "string"}}, "default": None},
        {"enum": [1], "of-my-own": True},
    ],
)
def test_a_schema_may_demand_nothing(schema: dict[str, Any]) -> None:
    assert make_target(schema).validate(1) == 1


@pytest.mark.parametrize(
    ("data", "path", "message"),
    [
        ({"priority": "low"}, "title", "is required and missing"),
        ({"title": 3, "priority": "low"}, "title", 'must be of type "string"'),
        ({"title": "a", "priority": "x"}, "priority", 'must be one of ["low","high"]'),
        ({"title": "a", "priority": "low", "count": 0}, "count", "minimum"),
        ({"title": "a", "priority": "low", "x": 1}, "", "not allowed"),
    ],
)
def test_schema_errors_are_in_our_words(
    data: dict[str, Any], path: str, message: str
) -> None:
    with pytest.raises(MisfitError) as caught:
        make_target(TICKET_SCHEMA).validate(data)

    (error,) = caught.value.errors
    assert error.path == path
    assert message in error.message


def test_a_recursive_schema_does_not_recurse_forever() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}

    (error,) = errors_of(make_target(schema), '{"a":' * 190 + "{}" + "}" * 190)

    assert "deeply" in error.message or "required" in error.message


def test_the_schema_is_copied() -> None:
    schema = copy.deepcopy(TICKET_SCHEMA)
    target = make_target(schema)

    schema["required"].append("never")

    assert target.validate_json('{"title": "a", "priority": "low"}')


@pytest.mark.parametrize(
    "schema",
    [
        {
            "items": {"$ref": "#word"},
            "$defs": {"w": {"$anchor": "word", "type": "string"}},
        },
        {"items": {"$ref": "#/prefixItems/0"}, "prefixItems": [{"type": "string"}]},
        {"items": {"$ref": "#/$defs/a%20b"}, "$defs": {"a b": {"type": "string"}}},
    ],
)
def test_references_lead_to_anchors_and_into_lists(schema: dict[str, Any]) -> None:
    target = make_target(schema)

    assert target.validate(["a", "b"]) == ["a", "b"]
    assert errors_of(target, '["a", 2]')[0].path == "[1]"


@pytest.mark.parametrize(
    "schema",
    [
        {"items": {"$ref": "#/$defs/any"}, "$defs": {"any": True}},
        {
            "$id": "https://example.com/root",
            "items": {"$ref": "b"},
            "$defs": {"b": {"$id": "b", "type": "integer"}},
        },
        {"items": {"type": "integer", "default": {"$ref": "a text"}}},
        {"enum": [{"$ref": "#/nowhere"}, [1]]},
        {"properties": {"$ref": {"type": "string"}, "default": {"type": "integer"}}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}},
        {"$dynamicRef": "#a", "$defs": {"a": {"$dynamicAnchor": "a"}}},
    ],
)
def test_references_that_lead_somewhere_are_taken(schema: dict[str, Any]) -> None:
    target = make_target(schema)

    assert target.validate([] if "items" in str(schema) else [1]) is not None


@pytest.mark.parametrize("text", ["1e999", '{"price": [-1e400]}'])
def test_a_number_that_is_not_finite_is_an_error(text: str) -> None:
    (error,) = errors_of(make_target({}), text)

    assert "not finite" in error.message


def test_what_is_no_number_in_json_is_no_json() -> None:
    with pytest.raises(NotJsonError):
        make_target({"type": "number", "minimum": 0}).validate_json("NaN")


@pytest.mark.parametrize(
    ("divisor", "text", "fits"),
    [
        (0.01, "19.99", True),
        (0.01, "0.07", True),
        (0.01, "9" * 400, True),
        (0.01, "1e300", True),
        (0.01, "19.999", False),
        (3, "9", True),
        (3, "10", False),
        (0.5, "true", True),
        (2, '"text"', True),
    ],
)
def test_multiples_are_those_of_decimals(divisor: float, text: str, fits: bool) -> None:
    target = make_target({"multipleOf": divisor})

    if fits:
        target.validate_json(text)
    else:
        assert "multipleOf" in errors_of(target, text)[0].message


def test_every_missing_property_is_named() -> None:
    schema = {"required": ["a", "b", "c"], "properties": {}}

    assert [e.path for e in errors_of(make_target(schema), '{"b": 1}')] == ["a", "c"]


def test_a_property_of_draft_3_is_missing() -> None:
    draft = "http://json-schema.org/draft-03/schema#"
    schema = {"$schema": draft, "properties": {"a": {"required": True}}}

    (error,) = errors_of(make_target(schema), "{}")

    assert error.message == "is required and missing"


@pytest.mark.parametrize(
    ("text", "unique"),
    [
        ("[1, true, 0, false, null, [1], [true]]", True),
        ('[{"a": 1, "b": 2}, {"b": 2, "a": 1.0}]', False),
        ("[[], {}, [[]], [0, 1]]", True),
        ("[1, 1.0]", False),
    ],
)
def test_items_are_unique_as_json_has_it(text: str, unique: bool) -> None:
    target = make_target({"uniqueItems": True})

    if unique:
        target.validate_json(text)
    else:
        assert errors_of(target, text)[0].message == "has items that occur twice"


def test_unique_items_take_linear_time() -> None:
    compared = 0

    class Counted(dict[str, int]):
        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return dict.__eq__(self, other)

        __hash__ = None

    make_target({"uniqueItems": True}).validate([Counted(a=n) for n in range(300)])

    assert compared < 300
