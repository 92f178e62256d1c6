"""Typed answers, and how they came about."""

import logging
from collections.abc import Iterator

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable
from pydantic import BaseModel

from langchain_prodpatterns import (
    Budget,
    Rung,
    SchemaParser,
    StructuredOutputError,
    StructuredRetryParser,
)
from langchain_prodpatterns.errors import (
    BudgetExceeded,
    ModelRefused,
    OutputTruncated,
)
from langchain_prodpatterns.structured import (
    Attempt,
    AttemptKind,
    Explanation,
    FieldError,
    LearnedStart,
    Partial,
    Reading,
    RungRecord,
    StructuredResult,
)

logger = logging.getLogger(__name__)


class Ticket(BaseModel):
    """What a customer wants."""

    title: str
    urgent: bool = False


def parser(small: BaseChatModel, large: BaseChatModel) -> StructuredRetryParser:
    start = LearnedStart()
    records: tuple[RungRecord, ...] = start.records("tickets")
    return StructuredRetryParser(
        Ticket,
        ladder=[small, Rung(small, temperatures=(0.3, 0.7)), large],
        budget=Budget(attempts=4, usd=0.01, seconds=30),
        validators=[lambda ticket: None if ticket.title else "no title"],
        start=start if not records else "first",
        include_attempts=True,
    )


def ask(small: BaseChatModel, large: BaseChatModel) -> Ticket | None:
    prompt = ChatPromptTemplate.from_template("File a ticket: {text}")
    chain: Runnable[dict[str, str], StructuredResult] = prompt | parser(small, large)
    try:
        result = chain.invoke({"text": "It is broken!"})
    except (BudgetExceeded, OutputTruncated, ModelRefused):
        return None
    except StructuredOutputError as error:
        attempts: tuple[Attempt, ...] = error.attempts
        kinds: list[AttemptKind] = [attempt.kind for attempt in attempts]
        wrong: list[FieldError] = [e for attempt in attempts for e in attempt.errors]
        logger.warning("%s %s", kinds, [error.safe for error in wrong])
        return None
    ticket = result.value
    return ticket if isinstance(ticket, Ticket) else None


def told(small: BaseChatModel, large: BaseChatModel) -> int:
    explanation: Explanation = parser(small, large).explain("File a ticket")
    return len(explanation.messages)


def read(text: str) -> Iterator[str]:
    plain = SchemaParser(Ticket, prefer="first")
    yield plain.get_format_instructions(style="typescript")
    reading: Reading = plain.read(text)
    yield reading.kind
    for part in plain.stream(AIMessage(text)):
        yield f"so far {part}" if isinstance(part, Partial) else repr(part)
