"""Tools of any kind are read as routes; what cannot be routed to is refused."""

import dataclasses
import functools
from typing import Any

import pytest
from langchain_core.tools import StructuredTool, tool

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.routing import Route
from langchain_prodpatterns.routing.routes import read_routes


def add(left: int, right: int) -> int:
    """Add two numbers.

    Exact for whole numbers.

    Args:
        left: A secret of the signature.
        right: Another.

    Returns:
        The sum.
    """
    return left + right


@tool
def order_lookup(order: str) -> str:
    """Say where an order is."""
    return order


def undocumented(text: str) -> str:
    return text


async def later(text: str) -> str:
    """Do it later."""
    return text


class Shop:
    def close(self) -> str:
        """Close the shop."""
        return "closed"


def _only(given: Any, **kwargs: Any) -> Route:
    ((_, route),) = read_routes([given], **kwargs).values()
    return route


def test_a_function_is_what_its_docstring_says_before_the_sections() -> None:
    route = _only(add)

    assert route.name == "add"
    assert route.description == "Add two numbers.\n\nExact for whole numbers."


def test_a_langchain_tool_has_its_name_and_description() -> None:
    assert _only(order_lookup) == Route("order_lookup", "Say where an order is.")


def test_a_structured_tool_has_its_own_name() -> None:
    made = StructuredTool.from_function(add, name="sum", description="Sum up.")

    assert _only(made) == Route("sum", "Sum up.")


def test_a_langchain_tool_is_cut_before_its_arguments_too() -> None:
    assert "secret" not in _only(tool(add)).description


def test_async_functions_and_methods_are_functions() -> None:
    assert _only(later).description == "Do it later."
    assert _only(Shop().close) == Route("close", "Close the shop.")


def test_a_route_stays_as_it_is() -> None:
    route = Route("handbook", "Rules.", ["Do you ship?"])

    assert _only(route) == route


def test_the_tools_come_back_as_they_were_given_in_order() -> None:
    route = Route("handbook", "Rules.")

    found = read_routes([order_lookup, route, add])

    assert list(found) == ["order_lookup", "handbook", "add"]
    assert [given for given, _ in found.values()] == [order_lookup, route, add]


def test_examples_are_added_to_the_tools_own() -> None:
    route = _only(
        Route("handbook", "Rules.", ["Do you ship?"]),
        examples={"handbook": ["What does it cost?"]},
    )

    assert route.examples == ("Do you ship?", "What does it cost?")


def test_the_texts_are_the_description_and_the_examples_each_once() -> None:
    route = Route("x", " Rules. ", ["Rules.", "Do you ship?", " Do you ship? "])

    assert route.texts == ("Rules.", "Do you ship?")


def test_examples_are_enough_without_a_description() -> None:
    assert Route("x", examples=["Do you ship?"]).texts == ("Do you ship?",)
    assert _only(undocumented, examples={"undocumented": ["u"]}).texts == ("u",)


def test_a_route_is_frozen_even_where_its_list_was_not() -> None:
    examples = ["Do you ship?"]
    route = Route("x", "", examples)
    examples.append("later")

    assert route.examples == ("Do you ship?",)
    assert hash(route) == hash(Route("x", "", ("Do you ship?",)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        route.name = "y"  # type: ignore[misc]  # that is the test


@pytest.mark.parametrize("name", ["", " ", " x", "x ", None, 3])
def test_a_name_must_be_a_name(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="needs a name"):
        Route(name, "text")


@pytest.mark.parametrize("name", ["none", "None", "NONE", "1", "42", "٣"])
def test_a_name_must_not_be_an_answer_of_the_fallback(name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be named"):
        Route(name, "text")


def test_a_name_may_contain_both() -> None:
    assert Route("none_of_2", "text").name == "none_of_2"


@pytest.mark.parametrize("description", ["", "  \n"])
def test_a_route_without_text_is_refused(description: str) -> None:
    with pytest.raises(ConfigurationError, match="nothing to compare"):
        Route("x", description)


def test_a_function_without_docstring_is_refused_with_advice() -> None:
    with pytest.raises(ConfigurationError, match=r"'undocumented'.*docstring"):
        read_routes([undocumented])


def test_a_description_must_be_text() -> None:
    with pytest.raises(ConfigurationError, match="must be a text, got int"):
        Route("x", 3)  # type: ignore[arg-type]  # that is the test


@pytest.mark.parametrize(
    "given",
    [
        lambda text: text,
        functools.partial(add, 1),
        Route,
        Shop,
        Shop(),
        "add",
        None,
        {"name": "add"},
    ],
)
def test_what_is_no_tool_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="a tool must be"):
        read_routes([given])


@pytest.mark.parametrize("tools", ["x", None, 3, {"add": add}, order_lookup])
def test_tools_must_be_a_list(tools: Any) -> None:
    with pytest.raises(ConfigurationError, match="tools must be a list"):
        read_routes(tools)


def test_no_tools_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="tools is empty"):
        read_routes([])


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="two tools are named 'add'"):
        read_routes([add, Route("add", "Something else.")])


def test_examples_of_an_unknown_tool_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"for 'sub', but .*\['add'\]"):
        read_routes([add], {"sub": ["1 - 1"]})


@pytest.mark.parametrize("examples", [[["1 + 1"]], "add", 3])
def test_examples_must_be_a_mapping(examples: Any) -> None:
    with pytest.raises(ConfigurationError, match="examples must map"):
        read_routes([add], examples)


@pytest.mark.parametrize("texts", ["1 + 1", 3, None])
def test_the_examples_of_a_tool_must_be_a_list(texts: Any) -> None:
    with pytest.raises(ConfigurationError, match="examples of 'add' must be a list"):
        read_routes([add], {"add": texts})


@pytest.mark.parametrize("texts", [[""], ["fine", " "], [3], [None]])
def test_every_example_must_be_a_text(texts: Any) -> None:
    with pytest.raises(ConfigurationError, match="something else than a text"):
        Route("x", "text", texts)
