"""One call that drafts, marks itself and refines."""

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from langchain_prodpatterns import Budget, StructuredOutputError, track
from langchain_prodpatterns.errors import BudgetSpent
from langchain_prodpatterns.refine import (
    Criteria,
    RefineChain,
    RefineResult,
    RefineRound,
)
from langchain_prodpatterns.refine.single_prompt import NOT_JUDGED, OWN_MARKS
from langchain_prodpatterns.testing import Fault, ScriptedChatModel

CRITERIA = [Criteria("fun", "short"), Criteria("true", scale="yes/no")]


def answer(**changes: Any) -> str:
    whole = {
        "draft": "a lamp",
        "assessments": [
            {"marks": [2, 5], "evidence": ["a lamp", ""], "feedback": "more fun"},
            {"marks": [True]},
        ],
        "revision": "a lamp that sings",
    }
    return json.dumps(whole | changes)


def chain_for(model: ScriptedChatModel, *critics: Any, **kwargs: Any) -> RefineChain:
    return RefineChain(
        model,
        critics=[*critics, *CRITERIA],
        mode="single_prompt",
        include_rounds=True,
        **kwargs,
    )


def run(model: ScriptedChatModel, *critics: Any, **kwargs: Any) -> RefineResult:
    result = chain_for(model, *critics, **kwargs).invoke("a line for a lamp")
    assert isinstance(result, RefineResult)
    return result


def test_one_call_gives_a_draft_its_marks_and_a_revision() -> None:
    model = ScriptedChatModel(replies=[answer()])
    with track() as ledger:
        result = run(model)
    assert len(model.requests) == ledger.summary().calls == result.usage.calls == 1
    assert result.best.text == "a lamp that sings"
    assert isinstance(result.best, AIMessage)
    assert result.best.usage_metadata is not None
    draft, revision = result.rounds
    assert draft.draft.text == "a lamp"
    assert [score.value for score in draft.scores] == [0.625, 1.0]
    assert {score.note for score in draft.scores} == {OWN_MARKS}
    assert draft.scores[0].marks[0].evidence == "a lamp"
    assert draft.feedback == ("fun: 2 of 5; short: 5 of 5. more fun",)
    assert [score.note for score in revision.scores] == [NOT_JUDGED] * 2
    assert (revision.accepted, revision.reason) == (True, "no verifier got worse")
    assert result.stop_reason == "max_rounds"


async def test_async_and_streams_alike() -> None:
    model = ScriptedChatModel(default=answer())
    result = await chain_for(model).ainvoke("a line")
    assert result.best.text == "a lamp that sings"
    *rounds, last = chain_for(model).stream("a line")
    assert tuple(rounds) == last.rounds
    plain = RefineChain(model, critics=CRITERIA, mode="single_prompt")
    piped = plain | StrOutputParser()
    assert [c async for c in piped.astream("a line")] == ["a lamp that sings"]


def test_a_revision_that_fails_a_verifier_is_not_taken() -> None:
    result = run(
        ScriptedChatModel(replies=[answer()]), lambda text: len(text) <= 10 or "long"
    )
    assert result.best.text == "a lamp"
    assert result.rounds[1].reason == "worse by verifier"
    assert result.rounds[1].feedback == ("<lambda>: long",)


def test_own_marks_decide_nothing() -> None:
    marks = [{"marks": [5, 5]}, {"marks": [True]}]
    result = run(ScriptedChatModel(replies=[answer(assessments=marks)]))
    assert result.rounds[0].score == 1.0
    assert result.best.text == "a lamp that sings"


def test_the_same_text_again_is_unchanged() -> None:
    result = run(ScriptedChatModel(replies=[answer(revision="a lamp\n")]))
    assert result.best.text == "a lamp"
    assert result.stop_reason == "unchanged"


@pytest.mark.parametrize(
    ("assessments", "notes"),
    [
        ([], ["unparseable", "unparseable"]),
        ([{"marks": [9, 1]}, {"marks": [True]}], ["unparseable", OWN_MARKS]),
        ([{"marks": [1, 2, 3]}, {"marks": ["maybe"]}], ["unparseable", "unparseable"]),
        (
            [{"marks": [1, 2], "evidence": ["not there"]}, {"marks": [False]}],
            ["quote", OWN_MARKS],
        ),
    ],
)
def test_garbled_marks_are_unscored(assessments: Any, notes: list[str]) -> None:
    result = run(ScriptedChatModel(replies=[answer(assessments=assessments)]))
    assert [score.note for score in result.rounds[0].scores] == notes
    assert result.best.text == "a lamp that sings"


def test_the_users_own_messages_come_first_and_stay() -> None:
    model = ScriptedChatModel(default=answer())
    prompt = ChatPromptTemplate([("system", "You sell lamps."), ("human", "{q}")])
    (prompt | chain_for(model)).invoke({"q": "one line"})
    system, human, last = model.requests[0].messages
    assert (system["content"], human["content"]) == ("You sell lamps.", "one line")
    assert last["role"] == "user"
    assert "1. fun\n2. short\n3. true" in str(last["content"])
    for value in ([SystemMessage("s"), HumanMessage("h")], HumanMessage("h"), ["h"]):
        assert chain_for(model).invoke(value).best.text == "a lamp that sings"


@pytest.mark.parametrize(
    "garbled",
    ["no json", "{}", answer(draft=""), answer(more=1), "[]", answer(revision=7)],
)
def test_an_answer_that_cannot_be_read_is_asked_for_once_more(garbled: str) -> None:
    model = ScriptedChatModel(replies=[garbled, answer()])
    result = run(model)
    assert result.best.text == "a lamp that sings"
    assert result.usage.calls == 2
    assert "That answer cannot be used" in str(model.requests[1].messages[-1])


def test_twice_unreadable_raises_what_the_model_said() -> None:
    model = ScriptedChatModel(replies=["secret one", "secret two"])
    with pytest.raises(StructuredOutputError, match="not JSON") as caught:
        run(model)
    assert "secret" not in str(caught.value)
    assert caught.value.llm_output == "secret two"


def test_a_budget_has_no_room_for_a_second_call() -> None:
    model = ScriptedChatModel(default="no json")
    with pytest.raises(StructuredOutputError):
        run(model, budget=Budget(calls=1))
    assert len(model.requests) == 1
    with pytest.raises((StructuredOutputError, BudgetSpent)):
        run(model, budget=Budget(attempts=1))
    assert len(model.requests) == 2


def test_a_model_that_fails_raises() -> None:
    with pytest.raises(Exception, match=r"500|server"):
        run(ScriptedChatModel(default=Fault.server_error()))


def test_what_a_model_does_not_take_is_refused() -> None:
    with pytest.raises(TypeError, match="takes what a chat model takes"):
        chain_for(ScriptedChatModel(default=answer())).invoke(7)


def test_verifiers_alone_will_do() -> None:
    model = ScriptedChatModel(replies=[answer(assessments=[])])
    chain = RefineChain(
        model,
        critics=[lambda text: "sings" in text],
        mode="single_prompt",
        include_rounds=True,
    )
    result = chain.invoke("a line")
    assert result.stop_reason == "all_met"
    assert "criteria" not in str(model.requests[0].messages)


def test_rounds_are_kept_by_a_checkpoint_and_the_temperature_is_sent() -> None:
    kept: list[RefineRound] = []
    model = ScriptedChatModel(replies=[answer()])
    result = run(model, checkpoint=kept.append, temperatures=(0.5,))
    assert tuple(kept) == result.rounds
    assert model.requests[0].params["temperature"] == 0.5
