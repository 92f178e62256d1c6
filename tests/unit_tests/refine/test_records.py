"""Rounds as lines of JSON."""

import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from pydantic import BaseModel, Field, SecretStr

from langchain_prodpatterns.refine import (
    Criteria,
    RefineChain,
    dump_round,
    load_round,
)
from tests.unit_tests.refine.scripts import Cast, Product, chain_of, number_in, refine

FUN = Criteria("fun")


class Aliased(BaseModel):
    title: str = Field(alias="the title")


class Hiding(BaseModel):
    title: str
    key: SecretStr


class Priced(BaseModel):
    price: float


@pytest.mark.parametrize(
    "draft",
    [
        "a text\nof two lines \U0001f600",
        "other line ends\u2028\x85\x0c\r, and half a pair \ud800",
        AIMessage("", tool_calls=[{"name": "f", "args": {"a": 1}, "id": "1"}]),
        AIMessage([{"type": "text", "text": "a"}, {"type": "x", "x": {"y": 1}}]),
        AIMessage("a text", id="1", response_metadata={"model_name": "m"}),
        {"a": [1, None, {"b": "c"}]},
        Product(title="a", price=1.5, tags=["x"]),
        Aliased.model_validate({"the title": "a"}),
    ],
)
def test_a_round_comes_back_as_it_was(draft: Any) -> None:
    marks = {"marks": [2], "evidence": ["a"], "feedback": "more"}
    chain = RefineChain(
        reviser=lambda _: 7,
        critics=[Criteria("fun", judge=lambda _: marks), lambda _: (0.5, "half")],
        accept="score",
        include_rounds=True,
    )
    for entry in refine(chain, draft).rounds:
        line = dump_round(entry)
        assert len(line.encode().splitlines()) == len(line.splitlines()) == 1
        assert load_round(line, draft_type=type(draft)) == entry


def test_a_refinement_goes_on_after_its_process_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "rounds.jsonl"

    def keep(entry: Any) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(dump_round(entry) + "\n")

    crew = Cast(marks=lambda draft: [1 + number_in(draft)])
    stream = chain_of(crew.model(), FUN, checkpoint=keep).stream("write")
    next(stream), next(stream)
    stream.close()  # type: ignore[attr-defined]  # a generator
    lines = path.read_text(encoding="utf-8").splitlines()
    chain = chain_of(crew.model(), FUN, max_rounds=1)
    result = chain.resume([load_round(line) for line in lines], task="write")
    assert result.best.content == "draft 2"


def test_an_object_that_hides_something_is_not_kept_in_part() -> None:
    chain = RefineChain(
        reviser=lambda _: 7, critics=[lambda _: True], include_rounds=True
    )
    draft = Hiding(title="a", key=SecretStr("hush"))
    (entry,) = refine(chain, draft).rounds
    with pytest.raises(ValueError, match="a Hiding cannot be kept as JSON"):
        dump_round(entry)


def test_an_object_needs_its_type() -> None:
    chain = RefineChain(
        reviser=lambda _: 7, critics=[lambda _: True], include_rounds=True
    )
    (entry,) = refine(chain, Product(title="a", price=1)).rounds
    with pytest.raises(ValueError, match="draft_type="):
        load_round(dump_round(entry))


class OneWay(BaseModel):
    title: str = Field(validation_alias="read", serialization_alias="written")


@pytest.mark.parametrize("draft", [OneWay(read="hush"), Priced(price=float("nan"))])
def test_what_does_not_come_back_is_refused_without_its_values(draft: Any) -> None:
    chain = RefineChain(
        reviser=lambda _: 7, critics=[lambda _: True], include_rounds=True
    )
    (entry,) = refine(chain, draft).rounds
    with pytest.raises(ValueError, match="cannot be kept as JSON") as caught:
        dump_round(entry)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("draft", "match"),
    [
        ("secret", "no draft of a round"),
        (5, "no draft of a round"),
        ([], "no draft of a round"),
        ({}, "no draft of a round"),
        ({"value": 5}, "no draft of a round"),
        ({"message": {}}, "no draft of a round"),
        ({"message": {"type": "ai", "data": {"content": 5}}}, "no draft of a round"),
        (
            {"message": {"type": "human", "data": {"content": "secret"}}},
            "no draft of a round",
        ),
        ({"object": {"title": "secret"}}, "the draft is no Product: price: missing"),
    ],
)
def test_what_is_no_draft_is_refused_without_its_values(draft: Any, match: str) -> None:
    chain = RefineChain(
        reviser=lambda _: 7, critics=[lambda _: True], include_rounds=True
    )
    (entry,) = refine(chain, "a text").rounds
    line = json.dumps(json.loads(dump_round(entry)) | {"draft": draft})
    with pytest.raises(ValueError, match=match) as caught:
        load_round(line, draft_type=Product)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("line", ["", "7", "[]", "{}", '{"draft": null}', "{'a'}"])
def test_what_is_no_round_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="not a line of dump_round"):
        load_round(line)


def test_what_is_wrong_with_a_round_is_said_without_its_values() -> None:
    chain = RefineChain(
        reviser=lambda _: 7, critics=[lambda _: True], include_rounds=True
    )
    (entry,) = refine(chain, "secret").rounds
    data = json.loads(dump_round(entry)) | {"number": "secret"}
    with pytest.raises(ValueError, match="number: int_parsing") as caught:
        load_round(json.dumps(data))
    assert "secret" not in str(caught.value)
