"""An agent's structured answer: asked for until it is valid, within a budget."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt
from pydantic import BaseModel
from typing_extensions import TypedDict

from langchain_prodpatterns import Budget, Rung, track
from langchain_prodpatterns.errors import (
    BudgetExceeded,
    ConfigurationError,
    GuardBlocked,
    ModelRefused,
    OutputTruncated,
    StructuredOutputError,
)
from langchain_prodpatterns.middleware import StructuredRetryMiddleware
from langchain_prodpatterns.testing import Fault, Reply, ScriptedChatModel, ToolCall
from tests.unit_tests.middleware.agents import (
    Turn,
    async_run,
    kinds,
    last,
    look,
    streamed,
    sync_run,
)
from tests.unit_tests.patience import no_pauses

VALID = {"title": "broken", "urgent": True}
WRONG = {"title": "broken", "urgent": "perhaps"}
SCHEMA = {
    "title": "Ticket",
    "description": "A ticket.",
    "type": "object",
    "properties": {"title": {"type": "string"}, "urgent": {"type": "boolean"}},
    "required": ["title", "urgent"],
}

both = pytest.mark.parametrize("run", [sync_run, async_run])


class Ticket(BaseModel):
    """A ticket."""

    title: str
    urgent: bool


class Question(BaseModel):
    """A question."""

    text: str


class TypedTicket(TypedDict):
    """A ticket."""

    title: str
    urgent: bool


@dataclass
class PlainTicket:
    """A ticket."""

    title: str
    urgent: bool


TICKET = Ticket(title="broken", urgent=True)


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    no_pauses(monkeypatch)


def model(*replies: Any, name: str = "small", **kwargs: Any) -> ScriptedChatModel:
    return ScriptedChatModel(replies=list(replies), model=name, **kwargs)


def native(*replies: Any, **kwargs: Any) -> ScriptedChatModel:
    return model(*replies, profile={"structured_output": True}, **kwargs)


def agent_of(
    llm: Any, *middleware: Any, answer: Any = Ticket, tools: Any = (), **kwargs: Any
) -> Any:
    return create_agent(
        llm, list(tools), middleware=middleware, response_format=answer, **kwargs
    )


@both
@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (Ticket, TICKET),
        (ToolStrategy(Ticket), TICKET),
        (ProviderStrategy(Ticket), TICKET),
        (TypedTicket, VALID),
        (PlainTicket, PlainTicket("broken", urgent=True)),
        (SCHEMA, VALID),
        (ToolStrategy(SCHEMA), VALID),
        (ProviderStrategy(SCHEMA), VALID),
        ({key: SCHEMA[key] for key in SCHEMA if key != "title"}, VALID),
    ],
)
def test_a_wrong_answer_is_asked_for_again_with_what_is_wrong(
    run: Turn, answer: Any, value: Any
) -> None:
    llm = model(WRONG, VALID)
    state = run(agent_of(llm, StructuredRetryMiddleware(), answer=answer), "my door")
    assert state["structured_response"] == value
    assert llm.calls == 2
    asked = llm.requests[1].messages
    assert len(asked) == 3
    assert "urgent" in asked[-1]["content"]
    assert "cannot be used" in asked[-1]["content"]


@both
def test_a_native_answer_is_asked_for_again(run: Turn) -> None:
    llm = native("a broken door", VALID)
    state = run(agent_of(llm, StructuredRetryMiddleware()), "my door")
    assert state["structured_response"] == TICKET
    assert kinds(state) == ["human", "ai"]


@both
def test_failed_attempts_do_not_stay_in_the_history(run: Turn) -> None:
    llm = model(WRONG, WRONG, VALID)
    state = run(agent_of(llm, StructuredRetryMiddleware()), "my door")
    assert kinds(state) == ["human", "ai", "tool"]
    assert state["messages"][1].tool_calls[0]["args"] == VALID


@both
def test_the_temperature_is_raised_and_then_the_model(run: Turn) -> None:
    small, large = model(WRONG, WRONG, WRONG), model(VALID, name="large")
    ladder = [Rung(small, temperatures=(0.3, 0.7)), large]
    retry = StructuredRetryMiddleware(ladder, budget=Budget(attempts=4))
    with track() as ledger:
        state = run(agent_of(small, retry), "my door")
    assert state["structured_response"] == TICKET
    assert [r.params.get("temperature") for r in small.requests] == [0.3, 0.7]
    assert large.calls == 1
    (row,) = ledger.to_records()
    assert (row.pattern, row.decision) == ("structured", "valid after retry")
    assert row.calls == small.calls + large.calls
    assert row.input_tokens == small.input_tokens + large.input_tokens


def test_the_agents_own_model_comes_before_a_ladder_of_others() -> None:
    small, large = model(WRONG), model(VALID, name="large")
    agent = agent_of(small, StructuredRetryMiddleware([large]))
    assert agent.invoke({"messages": "my door"})["structured_response"] == TICKET
    assert (small.calls, large.calls) == (1, 1)


def test_what_is_bound_to_a_rung_is_sent() -> None:
    large = model(VALID, name="large", max_tokens=500)
    ladder = [large.bind(stop=["END"])]
    agent = agent_of(model(WRONG), StructuredRetryMiddleware(ladder))
    assert agent.invoke({"messages": "my door"})["structured_response"] == TICKET
    assert large.requests[0].params["stop"] == ["END"]


@both
def test_calls_of_other_tools_pass_untouched(run: Turn) -> None:
    calls = Reply(tool_calls=[ToolCall("look", {"where": "Bath"})])
    answers = [Reply(tool_calls=[ToolCall("Ticket", args)]) for args in (WRONG, VALID)]
    llm = model(calls, *answers)
    with track() as ledger:
        state = run(agent_of(llm, StructuredRetryMiddleware(), tools=[look]), "my door")
    assert state["structured_response"] == TICKET
    assert kinds(state) == ["human", "ai", "tool", "ai", "tool"]
    decisions = [row.decision for row in ledger.to_records()]
    assert decisions == ["no answer yet", "valid after retry"]


def test_without_a_response_format_nothing_is_done() -> None:
    llm = model("hello")
    with track() as ledger:
        state = sync_run(agent_of(llm, StructuredRetryMiddleware(), answer=None), "hi")
    assert last(state).text == "hello"
    assert [row.pattern for row in ledger.to_records()] == ["model"]


@both
def test_a_validator_is_asked(run: Turn) -> None:
    def polite(ticket: Ticket) -> str | None:
        return None if "please" in ticket.title else "say please"

    good = {"title": "please mend", "urgent": True}
    llm = model(VALID, good)
    retry = StructuredRetryMiddleware(validators=[polite], reminder="Be polite.")
    state = run(agent_of(llm, retry), "my door")
    assert state["structured_response"] == Ticket(**good)
    assert "say please" in llm.requests[1].messages[-1]["content"]
    assert llm.requests[1].messages[-1]["content"].endswith("Be polite.")


@both
def test_the_last_error_holds_every_attempt(run: Turn) -> None:
    small, large = model(WRONG), model(WRONG, WRONG, name="large")
    agent = agent_of(small, StructuredRetryMiddleware([large]))
    with pytest.raises(StructuredOutputError) as caught:
        run(agent, "my door")
    attempts = caught.value.attempts
    assert [(each.rung, each.kind) for each in attempts] == [
        (0, "schema"),
        (1, "schema"),
        (1, "schema"),
    ]
    assert json.loads(caught.value.llm_output or "") == WRONG


@both
@pytest.mark.parametrize(
    ("replies", "budget", "error"),
    [
        ([Reply.refused()] * 3, Budget(attempts=3), ModelRefused),
        ([WRONG] * 9, Budget(calls=2), BudgetExceeded),
        ([Reply.truncated('{"title": "br')] * 3, Budget(attempts=3), OutputTruncated),
    ],
)
def test_a_failure_says_of_what_kind_it_is(
    run: Turn, replies: list[Any], budget: Budget, error: type[Exception]
) -> None:
    agent = agent_of(native(*replies), StructuredRetryMiddleware(budget=budget))
    with pytest.raises(error):
        run(agent, "my door")


@both
def test_errors_of_the_provider_are_retried_and_climb(run: Turn) -> None:
    small = model(Fault.rate_limit(), Fault.context_overflow())
    large = model(VALID, name="large")
    state = run(agent_of(small, StructuredRetryMiddleware([large])), "my door")
    assert state["structured_response"] == TICKET
    assert (small.faults, large.calls) == (2, 1)


@both
def test_json_in_a_fence_costs_no_attempt(run: Turn) -> None:
    llm = native(f"Here you are:\n```json\n{json.dumps(VALID)}\n```")
    state = run(agent_of(llm, StructuredRetryMiddleware()), "my door")
    assert state["structured_response"] == TICKET
    assert llm.calls == 1


def test_malformed_arguments_that_can_be_read_become_a_call() -> None:
    malformed = ToolCall("Ticket", '{"title": "broken", "urgent": true,}')
    llm = model(Reply(tool_calls=[malformed]))
    state = sync_run(agent_of(llm, StructuredRetryMiddleware()), "my door")
    assert state["structured_response"] == TICKET
    assert llm.calls == 1
    assert state["messages"][1].tool_calls[0]["args"] == VALID
    assert state["messages"][1].invalid_tool_calls == []
    assert kinds(state) == ["human", "ai", "tool"]


def test_a_text_where_a_tool_was_forced_is_asked_for_again() -> None:
    llm = model(Reply("a broken door", verbatim=True), VALID)
    state = sync_run(agent_of(llm, StructuredRetryMiddleware()), "my door")
    assert state["structured_response"] == TICKET


def test_two_answers_are_one_too_many() -> None:
    twice = Reply(tool_calls=[ToolCall("Ticket", VALID), ToolCall("Ticket", VALID)])
    llm = model(twice, VALID)
    state = sync_run(agent_of(llm, StructuredRetryMiddleware()), "my door")
    assert state["structured_response"] == TICKET
    assert "2 answers" in llm.requests[1].messages[-1]["content"]


def test_of_a_union_each_tool_has_its_own_form() -> None:
    wrong = Reply(tool_calls=[ToolCall("Question", VALID)])
    right = Reply(tool_calls=[ToolCall("Question", {"text": "why?"})])
    llm = model(wrong, right)
    answer = ToolStrategy(Ticket | Question)
    state = sync_run(agent_of(llm, StructuredRetryMiddleware(), answer=answer), "my")
    assert state["structured_response"] == Question(text="why?")
    assert llm.calls == 2


def test_the_words_of_the_tool_are_kept() -> None:
    answer = ToolStrategy(Ticket, tool_message_content="Noted.", handle_errors=False)
    llm = model(WRONG, VALID)
    state = sync_run(agent_of(llm, StructuredRetryMiddleware(), answer=answer), "my")
    assert last(state).text == "Noted."


@both
def test_a_block_inside_passes_at_once(run: Turn) -> None:
    class Blocking(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            raise GuardBlocked("secret", direction="input")

        async def awrap_model_call(self, request: Any, handler: Any) -> Any:
            raise GuardBlocked("secret", direction="input")

    retry = StructuredRetryMiddleware([model(VALID)])
    with track() as ledger, pytest.raises(GuardBlocked):
        run(agent_of(model(VALID), retry, Blocking()), "my door")
    assert [row.decision for row in ledger.to_records()] == ["passed on"]


def test_an_interrupt_inside_passes_and_the_agent_goes_on() -> None:
    class Asking(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            interrupt("may I?")
            return handler(request)

    llm = model(VALID)
    agent = agent_of(
        llm, StructuredRetryMiddleware(), Asking(), checkpointer=InMemorySaver()
    )
    config: Any = {"configurable": {"thread_id": "1"}}
    assert "__interrupt__" in sync_run(agent, "my door", config)
    assert llm.calls == 0
    state = agent.invoke(Command(resume="yes"), config)
    assert state["structured_response"] == TICKET


@both
def test_the_next_turn_of_a_thread_goes_on_from_a_clean_history(run: Turn) -> None:
    llm = model(WRONG, VALID, WRONG, VALID)
    agent = agent_of(llm, StructuredRetryMiddleware(), checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    run(agent, "my door", config)
    state = run(agent, "and my window", config)
    assert kinds(state) == ["human", "ai", "tool", "human", "ai", "tool"]
    assert state["structured_response"] == TICKET


def test_updates_hold_the_valid_answer_only() -> None:
    agent = agent_of(model(WRONG, VALID), StructuredRetryMiddleware())
    updates = list(agent.stream({"messages": "my door"}, stream_mode="updates"))
    assert [list(update) for update in updates] == [["model"]]
    assert updates[0]["model"]["structured_response"] == TICKET


def test_attempts_stream_as_they_are_made() -> None:
    agent = agent_of(native("no", VALID), StructuredRetryMiddleware())
    assert streamed(agent, "my door") == ["no", json.dumps(VALID)]


async def test_attempts_are_child_runs() -> None:
    agent = agent_of(model(WRONG, VALID), StructuredRetryMiddleware())
    names = [
        event["name"]
        async for event in agent.astream_events({"messages": "my door"}, version="v2")
        if event["event"] == "on_chat_model_start"
    ]
    assert names == ["structured:attempt:1", "structured:attempt:2"]


def test_two_of_them_in_one_agent() -> None:
    outer = StructuredRetryMiddleware(name="outer")
    agent = agent_of(model(WRONG, VALID), outer, StructuredRetryMiddleware())
    assert agent.invoke({"messages": "my"})["structured_response"] == TICKET
    assert outer.name == "outer"
    assert StructuredRetryMiddleware().name == "StructuredRetryMiddleware"


def test_one_of_them_serves_agents_of_several_forms() -> None:
    retry = StructuredRetryMiddleware()
    llm = model(WRONG, VALID, VALID, {"text": "why?"})
    first = agent_of(llm, retry)
    second = agent_of(llm, retry, answer=Question)
    assert sync_run(first, "my")["structured_response"] == TICKET
    assert sync_run(second, "my")["structured_response"] == Question(text="why?")


def test_a_message_of_a_middleware_inside_passes() -> None:
    class Standing(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            return AIMessage(json.dumps(VALID))

    agent = agent_of(native(VALID), StructuredRetryMiddleware(), Standing())
    assert sync_run(agent, "my")["structured_response"] == TICKET


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"ladder": "model"}, "ladder must be a list"),
        ({"ladder": ["model"]}, "a Rung needs a chat model"),
        ({"ladder": [model(VALID).with_retry()]}, "RunnableRetry"),
        ({"ladder": [model(VALID).with_config(tags=["a"])]}, "RunnableBinding"),
        ({"ladder": [model(VALID).bind(tools=[])]}, "tools bound to it"),
        ({"budget": 3}, "budget must be a Budget"),
        ({"validators": [3]}, "validator must be a function"),
        ({"reminder": 3}, "reminder must be a text"),
        ({"name": ""}, "name must be a text"),
    ],
)
def test_what_cannot_work_is_refused(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        StructuredRetryMiddleware(**arguments)
