"""Names that middleware is given."""

import re
from typing import Any

import pytest

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.middleware.naming import read_name, read_names


def test_a_name_is_a_text() -> None:
    assert read_name(None, "Default") == "Default"
    assert read_name("mine", "Default") == "mine"


@pytest.mark.parametrize("wrong", ["", " ", "a|b", "a:b", 3])
def test_what_graphs_cannot_take_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="name must be a text"):
        read_name(wrong, "Default")


@pytest.mark.parametrize(
    ("wrong", "given"),
    [
        ("search", "got 'search'"),
        ([""], "one that holds an empty text"),
        (["a", 3], "one that holds a int"),
        (None, "got None"),
        ({"a": 1}, "got {'a': 1}"),
    ],
)
def test_what_is_no_list_of_names_is_refused(wrong: Any, given: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(given)) as caught:
        read_names("tools", wrong)
    assert str(caught.value).startswith("tools must be a list of names, ['search'], ")


def test_names_may_stand_in_any_collection() -> None:
    assert read_names("tools", ["a", "b", "a"]) == read_names("tools", {"a", "b"})
