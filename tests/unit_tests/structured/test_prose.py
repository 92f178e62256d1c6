"""A scalar is read out of prose where the prose means one."""

from typing import Any

import pytest

from langchain_prodpatterns.structured.prose import meaning_of

SIZE = {"type": "string", "enum": ["LOW", "HIGH"]}


@pytest.mark.parametrize(
    ("text", "schema", "value"),
    [
        ("It is high.", SIZE, "HIGH"),
        ("It is high.", {"$ref": "#/$defs/size", "$defs": {"size": SIZE}}, "HIGH"),
        ("2", {"anyOf": [{"const": 2}, {"const": 3}]}, 2),
        ("It is 7", {"type": "integer"}, 7),
        ("It is 7", {"anyOf": [SIZE, {"type": "integer"}]}, 7),
        ("yes", {"type": ["boolean", "null"]}, True),
        ("None", {"type": ["boolean", "null"]}, None),
        (" any text ", {"type": ["string", "null"]}, "any text"),
        ("It is " + "7" * 350, {"type": "integer"}, int("7" * 350)),
    ],
)
def test_the_value(text: str, schema: dict[str, Any], value: Any) -> None:
    meaning = meaning_of(text, schema)

    assert meaning is not None
    assert meaning.value == value


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        ("2 or 3", {"anyOf": [{"const": 2}, {"const": 3}]}),
        ("low or high", SIZE),
        ("3.5", {"type": "integer"}),
        ("It is 1e23.", {"type": "integer"}),
        ("1", {"type": ["boolean", "integer"]}),
        ("", {"type": "string"}),
        ("prose", {"type": "object"}),
        ("prose", {"anyOf": [False]}),
    ],
)
def test_no_value(text: str, schema: dict[str, Any]) -> None:
    assert meaning_of(text, schema) is None
