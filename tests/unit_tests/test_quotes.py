"""Quotes in a verdict are looked up, wherever a verdict may hold them."""

from collections.abc import Sequence
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.quotes import QuoteOf, quoted_fields, unproven_quote
from langchain_prodpatterns.verdicts import JudgeRequest, Verdict


class Passage(JudgeRequest):
    text: str
    parts: tuple[str, ...] = ()
    note: str | None = None


class Quoting(Verdict):
    quote: Annotated[str | None, QuoteOf("text")] = None
    quotes: Annotated[tuple[str, ...], QuoteOf("text")] = ()
    part: Annotated[str, QuoteOf("parts")] = ""
    noted: Annotated[list[str], QuoteOf("note")] = Field(default_factory=list)


Quote = Annotated[str, QuoteOf("text")]


class Evidence(BaseModel):
    quote: Quote
    inner: "Evidence | None" = None


@pytest.mark.parametrize(
    ("verdict", "unproven"),
    [
        (Quoting(), None),
        (Quoting(quote=""), None),
        (Quoting(quote="   "), None),
        (Quoting(quote="the quick fox"), None),
        (Quoting(quote="the  quick\n fox "), None),
        (Quoting(quote="The quick fox"), "quote"),
        (Quoting(quote="quick brown fox"), "quote"),
        (Quoting(quotes=("the quick", "lazy dog")), None),
        (Quoting(quotes=("the quick", "lazy cat")), "quotes"),
        (Quoting(quotes=("",)), None),
        (Quoting(part="first part"), None),
        (Quoting(part="part second"), "part"),
        (Quoting(part="', 'second"), "part"),
        (Quoting(noted=["anything"]), "noted"),
        (Quoting(noted=["None"]), "noted"),
    ],
)
def test_quotes_are_looked_up_in_their_source(
    verdict: Verdict, unproven: str | None
) -> None:
    request = Passage(
        text="  the quick\tfox  and the lazy dog",
        parts=("the first part", "second part"),
    )
    assert unproven_quote(verdict, request) == unproven


@pytest.mark.parametrize(
    ("declared", "there", "made_up"),
    [
        (Quote, "the fox", "the cat"),
        (Quote | None, "the fox", "the cat"),
        (list[Quote], ["the fox"], ["the fox", "the cat"]),
        (list[Quote] | None, ["the fox"], ["the cat"]),
        (Sequence[Quote], ["the fox"], ["the cat"]),
        (set[Quote], {"the fox"}, {"the cat"}),
        (tuple[Quote, str], ("the fox", "the cat"), ("the cat", "the fox")),
        (dict[str, Quote], {"the cat": "the fox"}, {"the fox": "the cat"}),
        (dict[Quote, str], {"the fox": "the cat"}, {"the cat": "the fox"}),
        (Annotated[Sequence[str], QuoteOf("text")], ["the fox"], ["the cat"]),
        (Evidence, {"quote": "the fox"}, {"quote": "the cat"}),
        (list[Evidence], [{"quote": "the fox"}], [{"quote": "the cat"}]),
        (
            Evidence,
            {"quote": "fox", "inner": {"quote": "the"}},
            {"quote": "fox", "inner": {"quote": "cat"}},
        ),
    ],
)
def test_a_quote_is_found_wherever_it_is_declared(
    declared: Any, there: Any, made_up: Any
) -> None:
    kind: Any = type("Quoter", (Verdict,), {"__annotations__": {"found": declared}})
    request = Passage(text="the fox")
    assert quoted_fields(kind) == {"text"}
    assert unproven_quote(kind(found=there), request) is None
    assert unproven_quote(kind(found=made_up), request) == "found"


@pytest.mark.parametrize("declared", [int, dict[str, str], Any, list[str | int], list])
def test_a_mark_that_no_text_answers_to_is_refused(declared: Any) -> None:
    marked = Annotated[(declared, QuoteOf("text"))]
    kind: Any = type("Quoter", (Verdict,), {"__annotations__": {"found": marked}})
    with pytest.raises(ConfigurationError, match=r"QuoteOf.*must mark a str"):
        quoted_fields(kind)


def test_a_verdict_without_quotes_quotes_nothing() -> None:
    assert quoted_fields(Verdict) == set()
    assert unproven_quote(Verdict(), Passage(text="x")) is None


def test_a_request_may_say_what_is_quotable_of_a_field() -> None:
    class Shouted(Passage):
        def quotable(self, field: str) -> Any:
            if field != "text":
                return super().quotable(field)
            return [self.text, self.text.upper()]

    request = Shouted(text="the fox")
    assert unproven_quote(Quoting(quote="THE FOX"), request) is None
    assert unproven_quote(Quoting(quote="the fox"), request) is None
    assert unproven_quote(Quoting(quote="The fox"), request) == "quote"
