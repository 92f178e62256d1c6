"""`SchemaParser` in a chain and alone."""

import json
import pickle
from typing import Any

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import Generation
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel

from langchain_prodpatterns import SchemaParser
from langchain_prodpatterns.errors import (
    ConfigurationError,
    ModelRefused,
    OutputTruncated,
    StructuredOutputError,
)
from langchain_prodpatterns.structured.reading import NOTATION
from langchain_prodpatterns.testing import Reply
from tests.unit_tests.structured.doubles import (
    INVALID,
    TICKET,
    TICKET_SCHEMA,
    VALID,
    Color,
    Ticket,
    scripted,
)


def test_parse() -> None:
    assert SchemaParser(Ticket).parse(f"Here: {VALID}") == TICKET
    assert SchemaParser(TICKET_SCHEMA).parse(VALID) == json.loads(VALID)


@pytest.mark.parametrize(
    "value", [VALID, AIMessage(VALID), AIMessageChunk(content=VALID)]
)
async def test_invoke_and_ainvoke(value: Any) -> None:
    parser = SchemaParser(Ticket)

    assert parser.invoke(value) == TICKET
    assert await parser.ainvoke(value) == TICKET


async def test_after_a_model() -> None:
    chain = scripted(*[VALID] * 4) | SchemaParser(Ticket)

    assert chain.invoke("my door") == TICKET
    assert await chain.ainvoke("my door") == TICKET
    assert list(chain.stream("my door"))[-1] == TICKET
    assert [value async for value in chain.astream("my door")][-1] == TICKET


def test_batch_returns_exceptions_in_place() -> None:
    outputs = SchemaParser(Ticket).batch([VALID, INVALID], return_exceptions=True)

    assert outputs[0] == TICKET
    assert isinstance(outputs[1], StructuredOutputError)


def test_the_error_is_a_parser_exception_with_the_attempt() -> None:
    with pytest.raises(OutputParserException) as caught:
        SchemaParser(Ticket).invoke(
            AIMessage(INVALID, response_metadata={"model_name": "small"})
        )

    error = caught.value
    assert isinstance(error, StructuredOutputError)
    assert error.llm_output == INVALID
    (attempt,) = error.attempts
    assert (attempt.kind, attempt.rung, attempt.model) == ("schema", None, "small")
    assert "urgent-secret" not in str(error)
    assert error.__cause__ is None


def test_no_traceback_shows_the_text() -> None:
    with pytest.raises(StructuredOutputError) as caught:
        SchemaParser(Ticket).parse(INVALID)

    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply.truncated(VALID[:-5]), OutputTruncated),
        (Reply.refused(), ModelRefused),
        (VALID[:-5], OutputTruncated),
    ],
)
def test_cut_off_and_refused(reply: Any, expected: type[Exception]) -> None:
    with pytest.raises(expected):
        (scripted(reply) | SchemaParser(Ticket)).invoke("my door")


def test_a_cut_off_answer_that_is_whole_is_valid() -> None:
    assert (scripted(Reply.truncated(VALID)) | SchemaParser(Ticket)).invoke(
        "x"
    ) == TICKET


@pytest.mark.parametrize("text", ["12", "1"])
def test_a_cut_off_number_is_not_whole(text: str) -> None:
    with pytest.raises(OutputTruncated):
        (scripted(Reply.truncated(text)) | SchemaParser(int)).invoke("how many?")


def test_a_draft_before_the_cut_is_not_the_answer() -> None:
    with pytest.raises(OutputTruncated):
        (scripted(Reply.truncated(f"{VALID} No,")) | SchemaParser(Ticket)).invoke("x")


def test_read_tells_without_raising() -> None:
    reading = SchemaParser(Ticket).read(INVALID)

    assert (reading.kind, reading.errors[0].path) == ("schema", "priority")


def test_prefer() -> None:
    text = f"{VALID} {VALID.replace('2', '3')}"

    assert SchemaParser(Ticket).parse(text).count == 3
    assert SchemaParser(Ticket, prefer="first").parse(text).count == 2


def test_instructions() -> None:
    parser = SchemaParser(Ticket)

    assert "type Ticket = {" in parser.get_format_instructions()
    assert '"required":' in parser.get_format_instructions(style="json_schema")


def test_partial_results() -> None:
    parser = SchemaParser(Ticket)

    partial = parser.parse_result([Generation(text=VALID[:13])], partial=True)
    assert (partial.title, partial.priority) == ("br", None)
    assert parser.parse_result([Generation(text="Well,")], partial=True) is None
    whole = parser.parse_result([Generation(text=VALID)], partial=True)
    assert whole.model_dump() == TICKET.model_dump()
    assert parser.parse_result([Generation(text=VALID)]) == TICKET


@pytest.mark.parametrize(
    "arguments", [{"prefer": "best"}, {"mode": "auto"}, {"schema_style": "yaml"}]
)
def test_arguments_that_cannot_work_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        SchemaParser(Ticket, **arguments)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (Ticket, {"title", "priority", "count"}),
        (TICKET_SCHEMA, {"title", "priority", "count"}),
    ],
)
def test_the_output_schema_is_that_of_the_model(model: Any, expected: set[str]) -> None:
    schema = SchemaParser(model).get_output_jsonschema()

    assert set(schema["properties"]) == expected


def test_the_output_schema_of_an_enum() -> None:
    assert "red" in json.dumps(SchemaParser(Color).get_output_jsonschema())


def test_the_input_schema() -> None:
    assert SchemaParser(Ticket).get_input_jsonschema()["anyOf"]


def test_it_pickles_also_when_used() -> None:
    parser = SchemaParser(Ticket)
    parser.parse(VALID)

    assert pickle.loads(pickle.dumps(parser)).parse(VALID) == TICKET  # noqa: S301 - our own bytes


def test_a_value_goes_on_down_the_chain() -> None:
    def title(value: BaseModel) -> str:
        assert isinstance(value, Ticket)
        return value.title

    assert (SchemaParser(Ticket) | RunnableLambda(title)).invoke(VALID) == "broken"


def test_what_was_repaired_is_reported() -> None:
    result = SchemaParser(Ticket).parse_with_report(VALID.replace('"', "'"))

    assert result.value == TICKET
    (attempt,) = result.attempts
    assert (attempt.kind, attempt.repairs, result.rung) == ("ok", (NOTATION,), None)
    with pytest.raises(StructuredOutputError):
        SchemaParser(Ticket).parse_with_report("nothing")


def test_a_part_of_an_answer_is_parsed_on_demand_only() -> None:
    parser = SchemaParser(Ticket)

    assert parser.parse('{"title": "x", "prio', partial=True) == {"title": "x"}
    with pytest.raises(OutputTruncated):
        parser.parse('{"title": "x", "prio')
    with pytest.raises(StructuredOutputError):
        parser.parse("", partial=True)
