"""The two tools of the assistant: a calculator, and orders in a real SQLite file."""

import ast
import csv
import operator
import re
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from decimal import Decimal, InvalidOperation
from pathlib import Path

from langchain_core.tools import BaseTool, StructuredTool

_MAX_EXPRESSION = 200
_OPERATORS: dict[type[ast.AST], Callable[..., Decimal]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_ORDER_ID = re.compile(r"\bFC-\d{5}\b")


def calculate(expression: str) -> str:
    """Calculate a sum such as `2340 * 17 / 100` with + - * / and brackets."""
    if len(expression) > _MAX_EXPRESSION:
        return "The expression is too long."
    try:
        return _shown(_value(ast.parse(expression, mode="eval").body))
    except (SyntaxError, ValueError, InvalidOperation, RecursionError):
        return f"Cannot calculate {expression!r}: only numbers, + - * / and brackets."
    except ZeroDivisionError:
        return "Cannot divide by zero."


def _shown(value: Decimal) -> str:
    """Round to cents; a whole number is shown as one."""
    rounded = value.quantize(Decimal("0.01"))
    whole = rounded == rounded.to_integral_value()
    return str(rounded.quantize(Decimal(1)) if whole else rounded)


def _value(node: ast.AST) -> Decimal:
    """Evaluate the few nodes that a sum consists of."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return Decimal(str(node.value))
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left), _value(node.right))
    if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.operand))
    msg = "not a sum"
    raise ValueError(msg)


class Orders:
    """Orders in a SQLite file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def from_csv(cls, source: Path, path: Path) -> "Orders":
        """Build the file from a table of orders.

        Args:
            source: A CSV file with a header.
            path: Where the SQLite file goes.

        Returns:
            The orders.
        """
        with source.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(
                "CREATE TABLE orders (order_id TEXT PRIMARY KEY, status TEXT,"
                " item TEXT, total_eur TEXT, ordered_on TEXT, expected_on TEXT,"
                " carrier TEXT)"
            )
            connection.executemany(
                "INSERT INTO orders VALUES (:order_id, :status, :item, :total_eur,"
                " :ordered_on, :expected_on, :carrier)",
                rows,
            )
        return cls(path)

    def look_up(self, question: str) -> str:
        """Say where an order is, given a text that names its number, like FC-10204."""
        ids = _ORDER_ID.findall(question)
        if not ids:
            return "Please give the order number, which looks like FC-10204."
        with closing(sqlite3.connect(self.path)) as connection:
            connection.row_factory = sqlite3.Row
            rows = connection.execute(
                "SELECT * FROM orders WHERE order_id = ?", (ids[0],)
            ).fetchall()
        return _describe(ids[0], rows)


def _describe(order_id: str, rows: Iterable[sqlite3.Row]) -> str:
    for row in rows:
        expected = f", expected on {row['expected_on']}" if row["expected_on"] else ""
        carrier = f" with {row['carrier']}" if row["carrier"] else ""
        return (
            f"Order {order_id} ({row['item']}) is {row['status']}{carrier}{expected}."
        )
    return f"There is no order {order_id}."


def build_tools(orders: Orders) -> list[BaseTool]:
    """Return the tools that the router chooses between."""
    calculator = StructuredTool.from_function(
        calculate,
        name="calculator",
        description="Calculate a sum, a product, a percentage or a division.",
        # A model may fill in what is no expression; that is no reason to stop.
        handle_validation_error="The model gave the calculator no sum.",
    )
    order_lookup = StructuredTool.from_function(
        orders.look_up,
        name="order_lookup",
        description="Say where an order is and when it arrives, by its order number.",
    )
    return [calculator, order_lookup]
