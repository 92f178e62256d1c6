"""A key means a property, or a key of a map, where it can mean no other."""

import pytest

from langchain_prodpatterns.structured.naming import meant_keys, meant_properties


@pytest.mark.parametrize(
    ("keys", "meant"),
    [
        (["first_name"], {}),
        (["First Name"], {"First Name": "first_name"}),
        (["pr\u00e9nom"], {"pr\u00e9nom": "first_name"}),
        (["first_name", "FirstName"], {}),
        (["FIRST_NAME", "FirstName"], {"FIRST_NAME": "first_name"}),
        (["B_C"], {}),
        (["age"], {}),
    ],
)
def test_a_key_means_a_property(keys: list[str], meant: dict[str, str]) -> None:
    properties = {"first_name": {"x-aliases": ["Prenom"]}, "b-c": {}, "bc": True}

    assert meant_properties(dict.fromkeys(keys), properties) == meant


@pytest.mark.parametrize(
    ("keys", "meant"),
    [
        (["ON_HOLD"], {}),
        (["on hold", "Done"], {"on hold": "ON_HOLD", "Done": "DONE"}),
        (["done", "Done"], {}),
        (["done", "DONE"], {}),
        (["it is done"], {}),
        (["other"], {}),
    ],
)
def test_a_key_means_an_allowed_one(keys: list[str], meant: dict[str, str]) -> None:
    root = {
        "propertyNames": {"$ref": "#/$defs/state"},
        "$defs": {"state": {"enum": ["ON_HOLD", "DONE"]}},
    }

    assert meant_keys(dict.fromkeys(keys), root, root) == meant


def test_where_every_key_is_allowed_none_is_meant() -> None:
    assert meant_keys({"a": 1}, {"propertyNames": True}, {}) == {}
    assert meant_keys({"a": 1}, {}, {}) == {}
