"""Names that middleware is given."""

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


@pytest.mark.parametrize("wrong", ["search", [""], [3], None, 3])
def test_names_of_tools_are_a_list_of_texts(wrong: Any) -> None:
    assert read_names("tools", ["a", "b"]) == ("a", "b")
    with pytest.raises(ConfigurationError, match="tools must be a list of names"):
        read_names("tools", wrong)
