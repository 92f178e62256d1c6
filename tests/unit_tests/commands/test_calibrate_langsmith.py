"""Runs as LangSmith exports them."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.load import dumpd
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langsmith.schemas import Run

from langchain_prodpatterns.commands.calibrate_langsmith import (
    answer_of,
    check_run,
    feedback_of,
    is_run,
    question_of,
    route_of,
)
from langchain_prodpatterns.commands.calibrate_rows import BadRow, LeftOut

QUESTION, ANSWER = "May my dog come?", "Yes, on a lead."
SAID = [
    SystemMessage("be kind"),
    HumanMessage("hello"),
    AIMessage("hi"),
    HumanMessage(QUESTION),
]


@pytest.mark.parametrize(
    "inputs",
    [
        {"question": QUESTION, "context": "secret"},
        {"input": QUESTION},
        {"input": {"question": QUESTION}},
        {"query": f"  {QUESTION}\n"},
        {"messages": [{"role": "user", "content": QUESTION}]},
        {
            "messages": [
                {"type": "human", "content": [{"type": "text", "text": QUESTION}]}
            ]
        },
        {"messages": dumpd(SAID)},
        {"messages": [dumpd(SAID)]},
        {"messages": [one.model_dump() for one in SAID]},
        {"input": dumpd(SAID)},
        {"input": dumpd(HumanMessage(QUESTION))},
    ],
)
def test_the_question_is_what_the_user_said_last(inputs: Any) -> None:
    assert question_of({"inputs": inputs}) == QUESTION


@pytest.mark.parametrize(
    "inputs",
    [
        None,
        {},
        {"messages": []},
        {"messages": [{"role": "system", "content": "x"}]},
        {"question": 3},
        {"input": [[[[[[[["x"]]]]]]]]},
        {"messages": [3, None]},
        {"messages": [{"type": "human", "kwargs": ["x"]}]},
        {"messages": [{"id": ["HumanMessage"], "kwargs": []}]},
    ],
)
def test_without_a_question_a_run_is_a_bad_row(inputs: Any) -> None:
    with pytest.raises(BadRow, match="no question"):
        question_of({"inputs": inputs})


RESULT = LLMResult(generations=[[ChatGeneration(message=AIMessage(ANSWER))]])


@pytest.mark.parametrize(
    "outputs",
    [
        {"answer": ANSWER},
        {"output": ANSWER},
        {"output": dumpd(AIMessage(ANSWER))},
        {"messages": dumpd([*SAID, AIMessage(ANSWER)])},
        {"generations": [[{"text": ANSWER, "message": dumpd(AIMessage(ANSWER))}]]},
        {"generations": [[{"text": ANSWER}]]},
        RESULT.model_dump(),
    ],
)
def test_the_answer_is_what_the_model_said_last(outputs: Any) -> None:
    assert answer_of({"outputs": outputs}) == ANSWER


def test_without_an_answer_there_is_none() -> None:
    assert answer_of({"outputs": None}) == ""
    assert answer_of({}) == ""


def test_what_the_client_exports_is_read() -> None:
    run = Run(
        id=uuid4(),
        trace_id=uuid4(),
        session_id=uuid4(),
        name="chain",
        run_type="chain",
        start_time=datetime(2026, 10, 31, tzinfo=UTC),
        inputs={"question": QUESTION},
        outputs={"output": ANSWER},
        feedback_stats={"correct": {"n": 1, "avg": 1.0}},
    )
    fields = json.loads(run.model_dump_json())

    assert is_run(fields)
    check_run(fields)
    assert (question_of(fields), answer_of(fields)) == (QUESTION, ANSWER)
    assert feedback_of(fields) == 1.0
    assert fields["start_time"].startswith("2026-10-31")


def test_a_run_is_told_from_a_labeled_pair() -> None:
    assert is_run({"inputs": {}, "run_type": "chain"})
    assert not is_run({"inputs": "a column of that name"})
    assert not is_run({"new_question": "a"})


def test_runs_that_failed_or_were_found_wrong_are_left_out() -> None:
    check_run({"error": None, "feedback_stats": None})
    check_run({"feedback_stats": {"score": {"n": 2, "avg": 0.5}}})
    with pytest.raises(LeftOut, match="failed"):
        check_run({"error": "ValueError('secret')"})
    with pytest.raises(LeftOut, match="wrong"):
        check_run({"feedback_stats": {"score": {"n": 2, "avg": 0.4}}})


def test_feedback_is_weighed_by_its_count() -> None:
    stats = {
        "a": {"n": 3, "avg": 1.0},
        "b": {"n": 1, "avg": 0.0},
        "c": {"n": 0},
        "d": 3,
        "e": {"n": 1, "avg": None},
        "f": {"n": 10**400, "avg": 0.0},
        "g": {"n": 1, "avg": 10**400},
    }

    assert feedback_of({"feedback_stats": stats}) == 0.75
    assert feedback_of({"feedback_stats": {}}) is None
    assert feedback_of({}) is None


RIGHT = {"feedback_stats": {"correct": {"n": 1, "avg": 1.0}}}
DECIDED = {"tool": "refund", "decided_by": "distance"}


@pytest.mark.parametrize(
    "run",
    [
        {"outputs": {"output": {**DECIDED, "decided_by": "llm"}}},
        {"outputs": {**DECIDED, "decided_by": "llm"}},
        {"outputs": {"output": DECIDED}, **RIGHT},
        {
            "extra": {
                "metadata": {
                    "prodpatterns.tool": "refund",
                    "prodpatterns.decision": "llm",
                }
            }
        },
    ],
)
def test_a_route_is_what_people_or_a_model_stand_for(run: dict[str, Any]) -> None:
    assert route_of(run) == "refund"


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        ({"outputs": {"output": DECIDED}}, "decided by distance"),
        ({"outputs": {"output": {"tool": None, "decided_by": "llm"}}}, "no tool"),
        ({"outputs": {"output": "secret"}}, "no tool"),
        ({}, "no tool"),
    ],
)
def test_what_nobody_stands_for_is_left_out(run: dict[str, Any], reason: str) -> None:
    with pytest.raises(LeftOut, match=reason):
        route_of(run)
