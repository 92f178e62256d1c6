"""Data is brought into form by its schema, and never by filling in."""

from typing import Any

import pytest
from hypothesis import given, settings

from langchain_prodpatterns.structured.coercing import (
    AS_TEXT,
    FROM_TEXT,
    IMPLIED,
    LEFT_OUT,
    MAX_VISITS,
    RENAMED,
    UNNAMED,
    UNWRAPPED,
    WRAPPED,
    coerce,
)
from langchain_prodpatterns.structured.matching import AS_BOOLEAN, AS_NUMBER, RECASED
from tests.unit_tests.structured.test_candidates import VALUES

INT, TEXT, BOOL = {"type": "integer"}, {"type": "string"}, {"type": "boolean"}
NULL = {"type": "null"}
INTS = {"type": "array", "items": INT}
POINT = {"type": "object", "properties": {"x": INT, "y": INT}, "required": ["x"]}
COUNT = {"type": "object", "properties": {"n": INT}, "required": ["n"]}
ITEMS = {"type": "object", "properties": {"items": INTS}, "required": ["items"]}
BY_SIZE = {
    "type": "object",
    "propertyNames": {"anyOf": [{"const": "S"}, {"$ref": "#/$defs/large"}]},
    "additionalProperties": INT,
    "$defs": {"large": {"enum": ["L", "XL"]}},
}


@pytest.mark.parametrize(
    ("data", "schema", "wanted", "rules"),
    [
        ("1,200", INT, 1200, [AS_NUMBER]),
        ("7" * 350, INT, int("7" * 350), [AS_NUMBER]),
        ("$1,200.50", {"type": "number"}, 1200.5, [AS_NUMBER]),
        ("yes", BOOL, True, [AS_BOOLEAN]),
        (0, BOOL, False, [AS_BOOLEAN]),
        (5, TEXT, "5", [AS_TEXT]),
        ("n/a", NULL, None, ["word read as null"]),
        ("high", {"enum": ["HIGH", "LOW"]}, "HIGH", [RECASED]),
        (
            "2",
            {"enum": [1, 2]},
            2,
            ["matched without regard to quotes and white space"],
        ),
        (1, INTS, [1], [WRAPPED]),
        ("[1, 2]", INTS, [1, 2], [FROM_TEXT]),
        ("```json\n[1, 2]\n```", INTS, [1, 2], [FROM_TEXT]),
        ("[1, 2,]", INTS, [1, 2], [FROM_TEXT]),
        ('{"x": 1}', POINT, {"x": 1}, [FROM_TEXT]),
        ([{"x": 1}], POINT, {"x": 1}, [UNWRAPPED]),
        ({"point": {"x": 1}}, POINT, {"x": 1}, [UNWRAPPED]),
        ({"result": 3}, INT, 3, [UNWRAPPED]),
        ({"X": 1}, POINT, {"x": 1}, [RENAMED]),
        ({"x": 1, "y": None}, POINT, {"x": 1}, [LEFT_OUT]),
        ("5", {"type": ["integer", "null"]}, 5, [AS_NUMBER]),
        (
            {"a": "1"},
            {"type": "object", "additionalProperties": INT},
            {"a": 1},
            [AS_NUMBER],
        ),
        (
            ["1", 2],
            {"type": "array", "prefixItems": [INT], "items": TEXT},
            [1, "2"],
            [AS_NUMBER, AS_TEXT],
        ),
        (["1"], {"items": [INT]}, [1], [AS_NUMBER]),
        (5, COUNT, {"n": 5}, [IMPLIED]),
        ("5", COUNT, {"n": 5}, [IMPLIED, AS_NUMBER]),
        ([1, 2], ITEMS, {"items": [1, 2]}, [IMPLIED]),
        ({"result": [1, 2]}, INTS, [1, 2], [UNWRAPPED]),
        ({"s": 1, "xl": 2}, BY_SIZE, {"S": 1, "XL": 2}, [RENAMED, RENAMED]),
        ("1", {"allOf": [{"$ref": "#/$defs/n"}], "$defs": {"n": INT}}, 1, [AS_NUMBER]),
    ],
)
def test_corrects_the_form(
    data: Any, schema: Any, wanted: Any, rules: list[str]
) -> None:
    fit = coerce(data, schema)

    assert (fit.data, fit.fits) == (wanted, True)
    assert [one.rule for one in fit.corrections] == rules


@pytest.mark.parametrize(
    ("data", "schema"),
    [
        ("about 5", INT),
        ("5.5", INT),
        ("1e23", INT),
        ("maybe", BOOL),
        (True, INT),
        (None, TEXT),
        (None, INTS),
        ("neither", {"enum": ["HIGH", "LOW"]}),
        ("high or low", {"enum": ["HIGH", "LOW"]}),
        ("x", POINT),
        ("{broken", POINT),
        ({"y": 1}, POINT),
        ({"x": {"y": 1, "z": 2}}, POINT),
        (1, False),
        (5, POINT),
        (None, COUNT),
        ("many", COUNT),
        ({"title": "x"}, TEXT),
        ({"a": {"b": 1}}, INT),
        ([{"a": "HIGH"}], {"enum": ["HIGH", "LOW"]}),
        ({"a": [1], "b": [2]}, INTS),
    ],
)
def test_what_has_no_one_meaning_stays_as_it_is(data: Any, schema: Any) -> None:
    fit = coerce(data, schema)

    assert (fit.data, fit.fits, fit.corrections) == (data, False, ())


def test_paths_lead_to_the_corrections() -> None:
    schema = {
        "type": "object",
        "properties": {"points": {"type": "array", "items": POINT}},
    }

    (one,) = coerce({"points": [{"x": 1}, {"x": "2"}]}, schema).corrections

    assert one.path == ("points", 1, "x")


@pytest.mark.parametrize(
    ("data", "options", "wanted"),
    [
        ("5", [INT, TEXT], "5"),
        ("5", [INT, NULL], 5),
        (5, [TEXT, INTS], None),
        ({"x": "1"}, [POINT, {"type": "object", "required": ["z"]}], {"x": 1}),
        ("x", [{"const": "X"}, {"const": "Y"}], "X"),
        ("xy", [{"const": "X Y"}, {"const": "X-Y"}], None),
        (5, [COUNT, NULL], {"n": 5}),
        (5, [COUNT, TEXT], "5"),
        (5, [COUNT, {"type": "object", "properties": {"m": TEXT}}], None),
        (5, [COUNT, {"type": "object", "properties": {"m": TEXT}}, TEXT], "5"),
    ],
)
def test_of_a_union_the_fewest_corrections_win(
    data: Any, options: list[Any], wanted: Any
) -> None:
    fit = coerce(data, {"anyOf": options})

    assert (fit.data if fit.fits else None) == wanted


def test_other_names_of_a_property_and_of_a_word() -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {**TEXT, "x-aliases": ["pr\u00e9nom"]},
            "size": {
                "enum": ["S", "L"],
                "x-enum-aliases": {"S": "small", "L": ["big", "large"]},
            },
        },
    }

    fit = coerce({"prenom": "Ann", "size": "Large"}, schema)

    assert fit.data == {"name": "Ann", "size": "L"}


def test_a_key_that_could_mean_two_properties_means_none() -> None:
    schema = {"type": "object", "properties": {"a_b": INT, "aB": INT}}

    assert coerce({"A-B": 1}, schema).data == {"A-B": 1}
    assert coerce(
        {"a_b": 1, "A_B": 2}, {**schema, "properties": {"a_b": INT}}
    ).data == {
        "a_b": 1,
        "A_B": 2,
    }


def test_only_a_schema_that_says_nothing_of_others_loses_them() -> None:
    rules: list[dict[str, Any]] = [
        {"additionalProperties": True},
        {"patternProperties": {}},
        {"anyOf": [{}]},
    ]
    for rule in rules:
        schema = {**POINT, **rule}
        assert coerce({"x": 1, "z": 2}, schema, named_only=True).data == {
            "x": 1,
            "z": 2,
        }
    fit = coerce({"x": 1, "z": 2}, POINT, named_only=True)
    assert (fit.data, fit.corrections[0].rule) == ({"x": 1}, UNNAMED)
    assert coerce({"x": 1, "z": 2}, POINT).data == {"x": 1, "z": 2}


def test_a_union_of_itself_takes_no_exponential_time() -> None:
    branch = {"$ref": "#/$defs/node"}
    node = {
        "anyOf": [
            INT,
            {
                "type": "object",
                "properties": {"a": branch, "b": branch},
                "required": ["a"],
            },
            {
                "type": "object",
                "properties": {"a": branch, "c": branch},
                "required": ["a"],
            },
        ]
    }
    data: Any = "1"
    for _ in range(40):
        data = {"a": data}

    fit = coerce(data, {**branch, "$defs": {"node": node}})

    for _ in range(40):
        fit_data = fit.data["a"] if isinstance(fit.data, dict) else fit.data
        fit = type(fit)(fit_data)
    assert fit.data == 1


def test_a_schema_that_leads_to_itself_ends() -> None:
    schema = {"anyOf": [{"$ref": "#"}, INT]}

    assert coerce("5", schema).data == 5
    assert coerce("x", schema).fits is False


def test_too_much_to_look_at_is_left_as_it_is() -> None:
    data = [str(number) for number in range(MAX_VISITS + 1)]

    assert coerce(data, INTS) == type(coerce(1, INT))(data, fits=False)


@settings(deadline=None)
@given(VALUES)
def test_what_demands_nothing_changes_nothing(value: Any) -> None:
    assert coerce(value, {}).data == value


BASE = {"type": "object", "properties": {"a": INT}, "required": ["a"]}


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/base", "properties": {"b": TEXT}, "$defs": {"base": BASE}},
        {"$ref": "#/$defs/base", "required": ["b"], "$defs": {"base": BASE}},
        {"allOf": [BASE], "required": ["b"]},
        {"allOf": [BASE], "additionalProperties": True},
        {"anyOf": [BASE, TEXT], "required": ["b"]},
        {**BASE, "required": ["a", "b"]},
        {**BASE, "minProperties": 2},
        {**BASE, "propertyNames": {"pattern": "^[ab]$"}},
        {**BASE, "dependentRequired": {"a": ["b"]}},
        {**BASE, "dependentSchemas": {"a": {"properties": {"b": TEXT}}}},
    ],
)
def test_a_property_of_which_another_keyword_speaks_is_kept(
    schema: dict[str, Any],
) -> None:
    data = {"a": 1, "b": "x"}

    assert coerce(data, schema, named_only=True).data == data


def test_words_beside_a_reference_change_nothing() -> None:
    schema = {
        "$ref": "#/$defs/base",
        "description": "Of a",
        "$defs": {"base": BASE},
    }

    assert coerce({"a": "1"}, schema, named_only=True).data == {"a": 1}
