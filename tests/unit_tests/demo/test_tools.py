from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.demo.options import DATA
from langchain_prodpatterns.demo.tools import Orders, build_tools, calculate


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("2340 * 17 / 100", "397.80"),
        ("3 * 42 + 350", "476"),
        ("-(2 + 3) * 2", "-10"),
        ("0.1 + 0.2", "0.30"),
        ("1290 / 12", "107.50"),
        ("1 / 0", "Cannot divide by zero."),
    ],
)
def test_calculates_sums(expression: str, result: str) -> None:
    assert calculate(expression) == result


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os')",
        "2 ** 99",
        "1E100",
        "1e999",
        "a + 1",
        "'x' * 3",
        "1 if 1 else 2",
        "",
        "(((",
    ],
)
def test_calculates_nothing_but_sums(expression: str) -> None:
    assert calculate(expression).startswith("Cannot calculate")


def test_long_expressions_are_refused() -> None:
    assert calculate("1+" * 200 + "1") == "The expression is too long."


@given(st.text(max_size=300))
def test_any_text_gets_an_answer(expression: str) -> None:
    assert calculate(expression)


@given(st.integers(-999, 999), st.integers(-999, 999))
def test_adds_like_python(first: int, second: int) -> None:
    assert calculate(f"({first}) + ({second})") == str(first + second)


@pytest.fixture
def orders(tmp_path: Path) -> Orders:
    return Orders.from_csv(DATA / "orders.csv", tmp_path / "orders.sqlite")


def test_finds_an_order_by_the_number_in_a_question(orders: Orders) -> None:
    answer = orders.look_up("Where is my order FC-10204, please?")

    assert "FC-10204" in answer
    assert "shipped with Islander Ferry Freight" in answer


def test_an_unknown_order_is_said_to_be_unknown(orders: Orders) -> None:
    assert orders.look_up("FC-99999") == "There is no order FC-99999."


def test_a_question_without_a_number_is_asked_for_one(orders: Orders) -> None:
    assert "order number" in orders.look_up("where is it? '; DROP TABLE orders")
    assert "FC-10204" in orders.look_up("FC-10204")


def test_the_tools_run_as_langchain_tools(orders: Orders) -> None:
    calculator, order_lookup = build_tools(orders)

    assert calculator.invoke({"expression": "1 + 1"}) == "2"
    assert "FC-10201" in order_lookup.invoke("order FC-10201")


def test_arguments_that_are_no_expression_are_an_answer(orders: Orders) -> None:
    calculator, _ = build_tools(orders)

    assert (
        calculator.invoke({"sum": "1 + 1"}) == "The model gave the calculator no sum."
    )
