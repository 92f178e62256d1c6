"""What is put before a judge, and what a judge answers."""

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from langchain_prodpatterns.errors import JudgeError
from langchain_prodpatterns.verdicts import (
    JudgeFailure,
    Judgement,
    JudgeRequest,
    Verdict,
    YesNoVerdict,
    describe_errors,
    no_verdict,
    stand_in,
    weigh,
)

FAILURE = JudgeFailure("timeout", "no verdict within 5 seconds")


class Text(JudgeRequest):
    text: str


class Score(Verdict):
    score: int = Field(ge=0, le=10)
    by_name: dict[str, int] = Field(default_factory=dict)
    inner: int = Field(default=0, alias="innerValue")


SECRET = "the judged words"


@pytest.mark.parametrize("frozen", [Text(text="x"), YesNoVerdict(yes=True)])
def test_requests_and_verdicts_are_frozen(frozen: BaseModel) -> None:
    with pytest.raises(ValidationError):
        frozen.__setattr__(next(iter(type(frozen).model_fields)), "other")


def test_a_closed_yes_no_verdict_is_a_no_that_says_why() -> None:
    verdict = YesNoVerdict.closed(FAILURE)
    assert verdict == YesNoVerdict(yes=False, reason="no verdict: timeout")


def test_a_verdict_without_a_safe_answer_raises_when_closed() -> None:
    with pytest.raises(JudgeError, match="timeout"):
        Score.closed(FAILURE)


def test_a_yes_is_a_yes_and_nothing_else_is() -> None:
    assert Judgement(YesNoVerdict(yes=True)).yes
    assert not Judgement(YesNoVerdict(yes=False)).yes
    assert not Judgement(Score(score=10)).yes
    assert not no_verdict("nonce", "x").yes


@pytest.mark.parametrize("yes", ["no", "false", 1, [0], object()])
def test_what_is_merely_truthy_is_no_yes(yes: Any) -> None:
    assert not Judgement(YesNoVerdict.model_construct(yes=yes)).yes


def test_a_failure_has_no_verdict() -> None:
    judgement = no_verdict("quote", "'quote' does not occur in the text")
    assert judgement.verdict is None
    assert judgement.failure == JudgeFailure("quote", judgement.failure.detail)  # type: ignore[union-attr]  # compared just here


def errors_of(data: Any, model: type[BaseModel] = Score) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(data)
    return caught.value


def test_errors_are_described_by_place_and_kind() -> None:
    text = describe_errors(errors_of({"score": 99, "by_name": {"a": "x"}}))
    assert text == "score: less_than_equal; by_name.a: int_parsing"


def test_a_value_of_no_object_is_described_as_the_verdict() -> None:
    assert describe_errors(errors_of(SECRET)) == "verdict: model_type"


def test_only_declared_names_are_told_when_the_writer_is_not_trusted() -> None:
    class Strict(Score):
        model_config = ConfigDict(extra="forbid")

    data = {"score": SECRET, "by_name": {SECRET: "x"}, SECRET: 1, "innerValue": "x"}
    text = describe_errors(errors_of(data, Strict), Strict)
    assert SECRET not in text
    assert text.split("; ") == [
        "score: int_parsing",
        "by_name: int_parsing",
        "innerValue: int_parsing",
        "verdict: extra_forbidden",
    ]


def test_a_long_list_of_errors_is_cut() -> None:
    class Wide(BaseModel):
        a: int
        b: int
        c: int
        d: int
        e: int
        f: int

    assert describe_errors(errors_of({}, Wide)).count("missing") == 5


def test_a_no_that_needs_more_than_a_no_cannot_be_made_up() -> None:
    class Rated(YesNoVerdict):
        score: int

    with pytest.raises(JudgeError, match="no verdict") as caught:
        Rated.closed(FAILURE)
    assert caught.value.__context__ is None


def test_a_verdict_that_stands_for_none_is_told_from_a_no() -> None:
    closed = stand_in(YesNoVerdict, FAILURE)
    assert (closed.yes, closed.reason) == (False, "no verdict: timeout")
    weighed = weigh(closed, YesNoVerdict, Text(text="x"))
    assert (weighed.verdict, weighed.failure) == (None, FAILURE)
    own_no = weigh(YesNoVerdict(yes=False), YesNoVerdict, Text(text="x"))
    assert own_no.failure is None
