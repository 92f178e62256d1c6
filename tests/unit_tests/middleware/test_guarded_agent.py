"""What is stored of a wrapped agent, and what its user sees, also where a human acts."""

import asyncio
from typing import Any

import pytest
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import HumanMessage
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from langchain_prodpatterns.errors import ConfigurationError, GuardBlocked
from langchain_prodpatterns.middleware import GuardMiddleware
from tests.unit_tests.middleware.agents import Turn, agent_of, calling, said
from tests.unit_tests.middleware.test_guard import (
    MAIL,
    OTHER,
    _echoing,
    _prompts,
    _pseudonyms,
    _stored,
    both_ways,
)


def _asking_a_human(seen: list[str], saver: InMemorySaver, mode: Any) -> Any:
    guard = _pseudonyms()
    human: Any = HumanInTheLoopMiddleware({"lookup": True}, interrupt_mode=mode)
    agent, model = _echoing(seen, human, guard, checkpointer=saver)
    return guard.wrap(agent), model


@both_ways
def test_an_agent_within_a_tool_restores_from_a_vault_of_its_own(run: Turn) -> None:
    inner, _ = _echoing([], _pseudonyms())

    def ask(who: str) -> str:
        """Ask another agent."""
        answer: str = inner.invoke(said(f"Write to {who}"))["messages"][-1].text
        return answer

    def respond(request: Any) -> Any:
        text = request.messages[-1]["content"]
        if request.messages[-1]["role"] == "tool":
            return text
        return calling("ask", who=text.removeprefix("Ask "))

    outer = _pseudonyms()
    agent, _ = agent_of(respond, [StructuredTool.from_function(ask)], outer)
    result = run(outer.wrap(agent), said(f"Ask {MAIL}"))
    assert result["messages"][-1].text == f"I wrote to {MAIL}."


EDITED = {"name": "lookup", "args": {"who": OTHER}}


@both_ways
@pytest.mark.parametrize(
    "decision",
    [
        {"type": "edit", "edited_action": EDITED},
        {"type": "reject", "message": f"take {OTHER}"},
    ],
)
@pytest.mark.parametrize("mode", ["batched", "per_call"])
def test_a_human_sees_values_and_answers_in_private(
    run: Turn, decision: dict[str, Any], mode: str
) -> None:
    seen: list[str] = []
    saver = InMemorySaver()
    agent, model = _asking_a_human(seen, saver, mode)
    thread = {"configurable": {"thread_id": "7"}}
    result = run(agent, said(f"Write to {MAIL}"), thread)
    (asked,) = result["__interrupt__"]
    assert f"{{'who': '{MAIL}'}}" in str(asked.value)
    batched = {"decisions": [decision]}
    resume = batched if mode == "batched" else {asked.id: decision}
    run(agent, Command(resume=resume), thread)
    assert seen == [OTHER] * (decision["type"] == "edit")
    for value in (MAIL, OTHER):
        assert value not in _stored(saver)
        assert value not in _prompts(model)


@both_ways
@pytest.mark.parametrize(
    "update",
    [
        {"messages": [("user", f"Write to {OTHER}")]},
        (("messages", [("user", f"Write to {OTHER}")]),),
        [("messages", HumanMessage(f"Write to {OTHER}"))],
    ],
)
def test_what_comes_with_an_answer_is_guarded_however_it_is_written(
    run: Turn, update: Any
) -> None:
    saver = InMemorySaver()
    agent, model = _asking_a_human([], saver, "batched")
    thread = {"configurable": {"thread_id": "7"}}
    run(agent, said(f"Write to {MAIL}"), thread)
    approved = {"decisions": [{"type": "approve"}]}
    run(agent, Command(resume=approved, update=update), thread)
    assert OTHER not in _stored(saver)
    assert OTHER not in _prompts(model)


def test_an_answer_of_a_human_that_is_blocked_is_raised() -> None:
    guard = GuardMiddleware(policy={"email": "block"}, on_block="end")
    agent, _ = agent_of(["fine"], [], guard)
    with pytest.raises(GuardBlocked):
        guard.wrap(agent).invoke(Command(resume=f"take {MAIL}"))


def test_the_second_form_of_a_result_shows_values() -> None:
    guard = _pseudonyms()
    agent, _ = _echoing([], guard)
    result = guard.wrap(agent).invoke(said(f"Write to {MAIL}"), version="v2")
    assert result.value["messages"][0].text == f"Write to {MAIL}"


@both_ways
def test_what_is_stored_of_a_thread_is_shown_with_values(run: Turn) -> None:
    saver = InMemorySaver()
    agent, _ = _asking_a_human([], saver, "batched")
    thread: Any = {"configurable": {"thread_id": "7"}}
    run(agent, said(f"Write to {MAIL}"), thread)
    for stored in (agent.get_state(thread), asyncio.run(agent.aget_state(thread))):
        assert MAIL in stored.values["messages"][0].text
        for (asked,) in (stored.interrupts, stored.tasks[0].interrupts):
            assert MAIL in str(asked.value)
        assert stored.config == agent.agent.get_state(thread).config
    assert MAIL not in _stored(saver)


def test_what_is_no_agent_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"takes the agent .*, got str"):
        GuardMiddleware().wrap("agent")  # type: ignore[arg-type]  # that is the test
