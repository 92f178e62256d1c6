"""Response models, and a parser on scripted models."""

from enum import Enum
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from langchain_prodpatterns.budget import Budget
from langchain_prodpatterns.structured import StructuredResult, StructuredRetryParser
from langchain_prodpatterns.structured.attempts import FieldError
from langchain_prodpatterns.structured.target import MisfitError, Target
from langchain_prodpatterns.testing import ScriptedChatModel


class Ticket(BaseModel):
    """A support ticket."""

    title: str = Field(description="What it is about")
    priority: Literal["low", "high"]
    count: int = Field(default=1, ge=1)


class Node(BaseModel):
    """A tree."""

    name: str
    children: list["Node"] = []


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    scores: dict[str, int]


VALID = '{"title": "broken", "priority": "high", "count": 2}'
INVALID = '{"title": "broken", "priority": "urgent-secret"}'
TICKET = Ticket(title="broken", priority="high", count=2)

TICKET_SCHEMA: dict[str, Any] = {
    "title": "support ticket",
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "priority": {"enum": ["low", "high"]},
        "count": {"type": "integer", "minimum": 1},
    },
    "required": ["title", "priority"],
    "additionalProperties": False,
}


def scripted(*replies: Any, **kwargs: Any) -> ScriptedChatModel:
    """A model that gives these replies in turn."""
    return ScriptedChatModel(replies=list(replies), **kwargs)


def parser_on(*ladder: Any, attempts: int = 5, **kwargs: Any) -> StructuredRetryParser:
    """A parser of tickets that includes its attempts."""
    kwargs.setdefault("budget", Budget(attempts=attempts))
    return StructuredRetryParser(Ticket, ladder, include_attempts=True, **kwargs)


def result_of(
    parser: StructuredRetryParser, value: Any = "my door"
) -> StructuredResult:
    """Invoke a parser that includes its attempts."""
    result = parser.invoke(value)
    assert isinstance(result, StructuredResult)
    return result


def kinds(result: Any) -> list[str]:
    """The kinds of the attempts of a result or an error."""
    return [attempt.kind for attempt in result.attempts]


def prompt_of(model: ScriptedChatModel, number: int) -> str:
    """The text of all messages of a request."""
    return "\n".join(str(message["content"]) for message in messages_of(model, number))


def messages_of(model: ScriptedChatModel, number: int) -> list[dict[str, Any]]:
    """The messages of a request, in OpenAI's format."""
    return [dict(message) for message in model.requests[number].messages]


def errors_of(target: Target, text: str) -> tuple[FieldError, ...]:
    """What is wrong with a text, which must be JSON that does not fit."""
    with pytest.raises(MisfitError) as caught:
        target.validate_json(text)
    return caught.value.errors
