"""The final answer of an agent: refined before the agent ends."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt
from pydantic import BaseModel

from langchain_prodpatterns import Budget, track
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.middleware import RefineMiddleware
from langchain_prodpatterns.refine import Criteria
from langchain_prodpatterns.testing import Fault, Reply, ToolCall
from tests.unit_tests.middleware.agents import (
    Turn,
    async_run,
    kinds,
    last,
    look,
    streamed,
    sync_run,
)
from tests.unit_tests.refine.scripts import Cast, number_in

both = pytest.mark.parametrize("run", [sync_run, async_run])


def at_least_two(text: str) -> float:
    """A verifier."""
    return min(1.0, number_in(text) / 2)


class Ticket(BaseModel):
    """A ticket."""

    title: str


def refiner(*critics: Any, **kwargs: Any) -> RefineMiddleware:
    kwargs.setdefault("accept", "verifier>score")
    return RefineMiddleware(critics=critics or [at_least_two], **kwargs)


def agent_of(cast: Cast, *middleware: Any, tools: Any = (), **kwargs: Any) -> Any:
    return create_agent(cast.model(), list(tools), middleware=middleware, **kwargs)


@both
def test_the_answer_is_refined_before_it_is_in_the_history(run: Turn) -> None:
    cast = Cast(marks=lambda draft: [min(5, 2 + number_in(draft))])
    with track() as ledger:
        state = run(agent_of(cast, refiner(Criteria("high"), max_rounds=5)), "count")
    assert kinds(state) == ["human", "ai"]
    assert last(state).text == "draft 3"
    told = last(state).response_metadata["prodpatterns.refine"]
    assert told == {"rounds": 3, "score": 1.0, "stop_reason": "all_met"}
    rows = {row.pattern: row for row in ledger.to_records()}
    assert rows["refine"].decision == "all_met"
    assert rows["refine"].calls == len(cast.asked) - 1
    assert rows["model"].calls == 1


@both
def test_the_best_is_kept_as_it_was(run: Turn) -> None:
    cast = Cast(draft=lambda _: "draft 2", revise=lambda _: {"revision": "draft 0"})
    state = run(agent_of(cast, refiner(Criteria("high"), at_least_two)), "count")
    answer = last(state)
    assert isinstance(answer, AIMessage)
    assert answer.text == "draft 2"
    assert answer.usage_metadata is not None
    assert answer.response_metadata["finish_reason"] == "stop"


def test_the_question_is_what_the_answer_is_for() -> None:
    asked = []

    def fits(text: str, question: str) -> bool:
        asked.append(question)
        return True

    agent = agent_of(Cast(), refiner(fits), checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    sync_run(agent, "count", config)
    sync_run(agent, "count on", config)
    assert asked == ["count", "count on"]


@both
def test_the_id_of_the_draft_and_the_name_of_the_agent_are_kept(run: Turn) -> None:
    seen: list[Any] = []

    def draft(_: Any) -> AIMessage:
        return AIMessage("draft 0")

    agent = agent_of(Cast(draft=draft), refiner(max_rounds=5), name="counter")
    state = run(agent, "count", {"callbacks": [_Ids(seen)]})
    assert last(state).text == "draft 2"
    assert last(state).id == seen[0]
    assert last(state).name == "counter"


@both
def test_tool_loops_are_left_alone(run: Turn) -> None:
    replies = iter([Reply(tool_calls=[ToolCall("look", {"where": "Bath"})]), "draft 0"])
    cast = Cast(draft=lambda _: next(replies))
    state = run(agent_of(cast, refiner(max_rounds=5), tools=[look]), "count")
    assert kinds(state) == ["human", "ai", "tool", "ai"]
    assert cast.asked == ["draft", "draft", "revise", "revise"]
    assert last(state).text == "draft 2"


@both
def test_structured_answers_are_left_alone(run: Turn) -> None:
    cast = Cast(draft=lambda _: {"title": "draft 0"})
    agent = agent_of(cast, refiner(), response_format=Ticket)
    assert run(agent, "count")["structured_response"] == Ticket(title="draft 0")
    assert cast.asked == ["draft"]


def test_an_empty_answer_is_left_alone() -> None:
    cast = Cast(draft=lambda _: Reply(""))
    assert last(sync_run(agent_of(cast, refiner()), "count")).text == ""
    assert cast.asked == ["draft"]


@both
def test_nothing_raises_after_the_draft(run: Turn) -> None:
    cast = Cast(revise=lambda _: Fault.server_error())
    state = run(agent_of(cast, refiner()), "count")
    assert last(state).text == "draft 0"
    told = last(state).response_metadata["prodpatterns.refine"]
    assert told["stop_reason"] == "reviser_failed"


@both
def test_a_critic_may_ask_a_person(run: Turn) -> None:
    def person(text: str) -> float:
        return float(interrupt(f"how good is {text!r}?"))

    agent = agent_of(Cast(), refiner(person), checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "1"}}
    assert "__interrupt__" in run(agent, "write", thread)
    state = agent.invoke(Command(resume="1.0"), thread)
    told = last(state).response_metadata["prodpatterns.refine"]
    assert told["score"] == 1.0


@both
def test_a_spent_budget_returns_the_best_so_far(run: Turn) -> None:
    cast = Cast()
    state = run(
        agent_of(cast, refiner(budget=Budget(calls=1), max_rounds=5, patience=5)),
        "count",
    )
    told = last(state).response_metadata["prodpatterns.refine"]
    assert told["stop_reason"] == "budget"
    assert cast.asked == ["draft", "revise"]


def test_an_error_of_the_agents_model_is_its_own() -> None:
    cast = Cast(draft=lambda _: Fault.context_overflow())
    with pytest.raises(Exception, match="tokens exceed"):
        sync_run(agent_of(cast, refiner()), "count")


@both
def test_another_reviser(run: Turn) -> None:
    cast, other = Cast(), Cast(revise=lambda _: {"revision": "draft 7"})
    state = run(agent_of(cast, refiner(reviser=other.model())), "count")
    assert last(state).text == "draft 7"
    assert (cast.asked, other.asked) == (["draft"], ["revise"])


def test_the_reviser_is_the_model_of_the_agent_it_serves() -> None:
    refine = refiner()
    one, other = Cast(), Cast()
    sync_run(agent_of(one, refine), "count")
    sync_run(agent_of(other, refine), "count")
    assert other.asked[0] == "draft"
    assert "revise" in one.asked
    assert "revise" in other.asked


def test_what_is_streamed_is_the_refined_answer() -> None:
    agent = agent_of(Cast(), refiner(Criteria("high"), at_least_two, max_rounds=2))
    assert streamed(agent, "count") == ["draft 2"]


def test_drafts_are_streamed_where_that_is_wanted() -> None:
    agent = agent_of(
        Cast(), refiner(Criteria("high"), at_least_two, stream_drafts=True)
    )
    assert streamed(agent, "count") == ["draft 0"]


async def test_it_streams_on_an_event_loop() -> None:
    agent = agent_of(Cast(), refiner(max_rounds=5))
    parts = agent.astream({"messages": "count"}, stream_mode="messages")
    texts = [chunk.text async for chunk, _ in parts]
    assert texts == ["draft 2"]


def test_updates_hold_the_refined_answer_only() -> None:
    agent = agent_of(Cast(), refiner(max_rounds=5))
    updates = list(agent.stream({"messages": "count"}, stream_mode="updates"))
    assert [[m.text for m in update["model"]["messages"]] for update in updates] == [
        ["draft 2"]
    ]


def test_the_next_turn_sees_the_refined_answer() -> None:
    prompts = []

    def draft(request: Any) -> str:
        prompts.append(request.prompt_text)
        return "draft 0"

    agent = agent_of(
        Cast(draft=draft), refiner(max_rounds=5), checkpointer=InMemorySaver()
    )
    config: Any = {"configurable": {"thread_id": "1"}}
    sync_run(agent, "count", config)
    state = sync_run(agent, "again", config)
    assert "draft 2" in prompts[1]
    assert "draft 0" not in prompts[1]
    assert kinds(state) == ["human", "ai", "human", "ai"]


def test_two_of_them_in_one_agent() -> None:
    def at_least_four(text: str) -> float:
        return min(1.0, number_in(text) / 4)

    outer = refiner(at_least_four, max_rounds=5, name="outer")
    agent = agent_of(Cast(), outer, refiner(max_rounds=5))
    assert last(sync_run(agent, "count")).text == "draft 4"
    assert outer.name == "outer"
    assert refiner().name == "RefineMiddleware"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"critics": "kind"}, "critics must be a list"),
        ({"critics": [at_least_two], "max_rounds": 0}, "max_rounds"),
        ({"critics": [at_least_two], "accept": "luck"}, "accept"),
        ({"critics": [at_least_two], "budget": 3}, "budget must be a Budget"),
        ({"critics": [at_least_two], "reviser": 3}, "reviser"),
        ({"critics": [at_least_two], "stream_drafts": "no"}, "stream_drafts must be"),
        ({"critics": [at_least_two], "name": " "}, "name must be a text"),
    ],
)
def test_what_cannot_work_is_refused(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        RefineMiddleware(**arguments)


def test_criteria_need_a_model_that_can_judge() -> None:
    with pytest.raises(ConfigurationError):
        RefineMiddleware(critics=[Criteria("kind")], reviser=lambda request: "x")


class _Ids(BaseCallbackHandler):
    """Notes the ids of the messages of models."""

    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self.seen.append(response.generations[0][0].message.id)
