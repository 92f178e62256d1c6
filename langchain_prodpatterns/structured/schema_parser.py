"""`SchemaParser`: from a model's text to a validated value, without a model call."""

from collections.abc import AsyncIterator, Iterator
from functools import cached_property
from typing import Any, Literal

from langchain_core.messages import BaseMessage
from langchain_core.output_parsers import BaseTransformOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import run_in_executor
from langchain_core.utils.pydantic import TypeBaseModel

from langchain_prodpatterns.arguments import refuse_unknown
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.structured.assessing import Assessment, assess
from langchain_prodpatterns.structured.attempts import (
    Attempt,
    Reading,
    StructuredResult,
)
from langchain_prodpatterns.structured.failures import failure
from langchain_prodpatterns.structured.partial import read_partial
from langchain_prodpatterns.structured.partial_shapes import MISSING
from langchain_prodpatterns.structured.prompts import SchemaStyle, write_instructions
from langchain_prodpatterns.structured.reading import read
from langchain_prodpatterns.structured.streaming import Stream, partial_value
from langchain_prodpatterns.structured.target import Target
from langchain_prodpatterns.structured.targets import make_target
from langchain_prodpatterns.usage import NO_USAGE


class SchemaParser(BaseTransformOutputParser[Any]):
    """Parses the text of a model into a validated value.

    ```python
    chain = prompt | llm | SchemaParser(Ticket)
    SchemaParser(Ticket).parse('Here you are: {"title": "Broken", "priority": "high"}')
    ```

    Valid JSON is read strictly. Otherwise the text is searched for values (in fences,
    in prose), read in the notations that models use, and one span that is none of them
    is mended. What was read is brought into the form that the response model asks for:
    an enum in another case, `"1,200"` where a number is wanted, one item for a list of
    one. It refuses rather than invents: a missing field is never filled in, an answer
    that breaks off is never closed and accepted, and where a union could be two things,
    it is none. Only for a JSON Schema that demands nothing, `{}`, whatever is there is
    all that is asked for. `parse_with_report` tells what was repaired.

    `stream` yields partial values that grow, and the validated value at the end. A
    partial value has the shape of the final one, unvalidated, and is an instance of
    `Partial` too:

    - A pydantic model or dataclass is an instance of a class derived from it. What is
      not there yet is `None`, also where the field is required, and no validator of
      the whole model has run; `model_dump()` leaves it out.
    - A TypedDict or a JSON Schema's object is a dict with the keys that are there.
    - A list holds the items that have begun.
    - Texts grow. Numbers, enums, dates and other values appear when they are complete.
    - An enum, a literal or a scalar as the whole answer has no partial values.

    While the text grows past 2,000 characters, the values come in steps of a
    sixteenth, so that the work is linear. An answer that never gets complete, or is not
    valid, raises the error of `parse` at its end. A step that follows in a chain and
    does not stream gets the validated value.
    """

    response_model: Any
    """What the answer has to be."""
    prefer: Literal["first", "last"] = "last"
    """Which of several valid values in one text counts."""

    def __init__(
        self,
        response_model: Any,
        *,
        prefer: Literal["first", "last"] = "last",
        **kwargs: Any,
    ) -> None:
        """Set up a parser.

        Args:
            response_model: A pydantic model class, a JSON Schema dict (values are what
                `json.loads` gives, really validated), or another type that pydantic
                validates: TypedDict, dataclass, Enum, Literal, Union, `list[...]`,
                scalars.
            prefer: Which of several valid values in one text counts. By default the
                last: untrusted text that a model repeats usually comes first.
            **kwargs: `name`, for traces.

        Raises:
            ConfigurationError: When an argument cannot work.
        """
        refuse_unknown("SchemaParser", kwargs, "name")
        if prefer not in {"first", "last"}:
            msg = f"prefer must be 'first' or 'last', got {prefer!r}"
            raise ConfigurationError(msg)
        super().__init__(response_model=response_model, prefer=prefer, **kwargs)
        _ = self.target  # what cannot work must fail here, not at the first call

    @cached_property
    def target(self) -> Target:
        """The response model as a validator, made once."""
        return make_target(self.response_model)

    @property
    def OutputType(self) -> Any:  # noqa: N802 - LangChain's name
        """The type of the values."""
        return self.target.output_type

    def get_output_schema(self, config: RunnableConfig | None = None) -> TypeBaseModel:
        """Return the schema of the values."""
        return self.target.output_schema or super().get_output_schema(config)

    @property
    def _type(self) -> str:
        return "schema_parser"

    def parse(self, text: str, *, partial: bool = False) -> Any:
        """Parse a text.

        Args:
            text: The text of a model.
            partial: Whether the text may break off. Then the result is JSON data, as
                much of it as is there, in the form of the response model but not
                validated.

        Returns:
            The validated value.

        Raises:
            StructuredOutputError: When the text holds no valid value; it is an
                `OutputParserException` with one `Attempt`.
        """
        if not partial:
            return self._value_of(text)
        reading = read_partial(text, self.target, self.prefer)
        if reading.kind != "ok":
            attempt = completed(
                text, Assessment(reading.kind, text, None, reading.errors)
            )
            raise failure(self.target.name, (attempt,))
        return reading.value

    def parse_with_report(self, text: str) -> StructuredResult:
        """Parse a text, and tell what had to be repaired.

        Args:
            text: The text of a model.

        Returns:
            The validated value, with one attempt whose `repairs` say what was done to
            the text, in words without any of it.

        Raises:
            StructuredOutputError: When the text holds no valid value.
        """
        assessment = self._assessed(text)
        attempt = completed(text, assessment)
        return StructuredResult(assessment.value, (attempt,), NO_USAGE, rung=None)

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """Parse the first generation of a model.

        Args:
            result: Generations, of which the first is read.
            partial: Whether the answer may be incomplete.

        Returns:
            The validated value; of an answer that may be incomplete, what `stream`
            yields of it, or `None` where nothing of it has come.

        Raises:
            StructuredOutputError: When it holds no valid value.
        """
        first = result[0]
        answer = first.message if isinstance(first, ChatGeneration) else first.text
        if partial:
            return partial_value(answer, self.target, self.prefer)
        return self._value_of(answer)

    def read(self, text: str) -> Reading:
        """Parse a text without raising.

        Args:
            text: The text of a model.

        Returns:
            The value or what is wrong, and what had to be repaired.
        """
        return read(text, self.target, self.prefer)

    def get_format_instructions(self, *, style: SchemaStyle = "typescript") -> str:
        """Return instructions for a prompt.

        Args:
            style: `"typescript"` declares the type; `"json_schema"` gives the schema.
        """
        return write_instructions(self.target, style=style)

    def _transform(self, input: Iterator[str | BaseMessage]) -> Iterator[Any]:
        stream = Stream(self.target, self.prefer)
        for chunk in input:
            value = stream.feed(chunk)
            if value is not MISSING:
                yield value
        yield self._value_of(stream.whole())

    async def _atransform(
        self,
        input: AsyncIterator[str | BaseMessage],
    ) -> AsyncIterator[Any]:
        stream = Stream(self.target, self.prefer)
        async for chunk in input:
            value = stream.feed(chunk)
            if value is not MISSING:
                yield value
        # A long answer that has to be mended takes too long for the event loop.
        yield await run_in_executor(None, self._value_of, stream.whole())

    def _value_of(self, answer: str | BaseMessage) -> Any:
        return self._assessed(answer).value

    def _assessed(self, answer: str | BaseMessage) -> Assessment:
        assessment = assess(answer, self.target, prefer=self.prefer)
        if assessment.kind != "ok":
            error = failure(self.target.name, (completed(answer, assessment),))
            raise error from assessment.cause
        return assessment


def completed(answer: Any, assessment: Assessment) -> Attempt:
    """Describe a completion that somebody else asked for.

    Args:
        answer: The message or text.
        assessment: What it is worth.

    Returns:
        An attempt without a rung and without usage.
    """
    is_message = isinstance(answer, BaseMessage)
    return Attempt(
        rung=None,
        model=answer.response_metadata.get("model_name") if is_message else None,
        temperature=None,
        kind=assessment.kind,
        errors=assessment.errors,
        repairs=assessment.repairs,
        text=assessment.text,
    )
