"""What is read off the pages, for all systems alike; imports pydantic alone."""

from typing import Literal

from pydantic import BaseModel, Field

TASK = "You read the orders of a chandlery."
CHEAP = "scripted-small"
STRONG = "scripted-large"
CALLS = 4
"""Requests that one page may cost."""


class Line(BaseModel):
    """One position."""

    item: str
    quantity: int = Field(ge=1)


class Order(BaseModel):
    """An order."""

    number: str
    customer: str = Field(description="Full name")
    status: Literal["placed", "shipped", "returned"]
    total: float = Field(description="Gross")
    lines: list[Line] = Field(description="As on the page")
