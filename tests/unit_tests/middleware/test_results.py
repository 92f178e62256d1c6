"""Every message in what a tool gives is found, and can be replaced in its place."""

from dataclasses import dataclass
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langgraph.types import Command, Send
from pydantic import BaseModel

from langchain_prodpatterns.middleware.results import messages_of, with_messages

FOUND = ToolMessage("found", tool_call_id="1")
ASKED = HumanMessage("asked")
SEEN = ToolMessage("seen", tool_call_id="1")


class Model(BaseModel):
    messages: list[BaseMessage]
    rest: int = 1


@dataclass(frozen=True)
class Frozen:
    messages: list[Any]
    rest: int = 1


class Plain:
    messages: list[Any]
    rest: int

    def __init__(self) -> None:
        self.messages, self.rest = [FOUND], 1


def sending(state: Any) -> Command[Any]:
    return Command(goto=Send("other", state), graph=Command.PARENT)


@pytest.mark.parametrize(
    "state",
    [
        {"messages": [FOUND], "rest": 1},
        Model(messages=[FOUND]),
        Frozen([FOUND]),
        Plain(),
    ],
    ids=["dict", "model", "dataclass", "object"],
)
def test_what_is_sent_to_a_node_is_replaced(state: Any) -> None:
    command = sending(state)

    assert messages_of(command) == [FOUND]
    made = with_messages(command, [SEEN])

    assert isinstance(made, Command)
    assert made.graph == Command.PARENT
    assert isinstance(made.goto, Send)
    arg = made.goto.arg
    fields = arg if isinstance(arg, dict) else vars(arg)
    assert type(arg) is type(state)
    assert (fields["messages"], fields["rest"]) == ([SEEN], 1)
    assert messages_of(command) == [FOUND]


def test_everything_is_replaced_in_its_place() -> None:
    command: Command[Any] = Command(
        update={"messages": [ASKED], "rest": 1},
        goto=[
            "somewhere",
            Send("one", {"messages": [FOUND, ASKED]}, timeout=3.0),
            Send("two", {"rest": 2}),
            Send("three", "no state"),
            Send("four", {"messages": FOUND}),
        ],
    )
    numbered = [AIMessage(str(n)) for n in range(4)]

    assert messages_of(command) == [ASKED, FOUND, ASKED, FOUND]
    made: Any = with_messages(command, numbered)

    assert made.update == {"messages": numbered[:1], "rest": 1}
    where, one, two, three, four = made.goto
    assert where == "somewhere"
    assert one == Send("one", {"messages": numbered[1:3]}, timeout=3.0)
    assert (two, three) == (Send("two", {"rest": 2}), Send("three", "no state"))
    assert four == Send("four", {"messages": numbered[3:]})


@pytest.mark.parametrize(
    ("state", "replaced"),
    [
        (FOUND, SEEN),
        ([FOUND], [SEEN]),
        ([("rest", 1), ("messages", FOUND)], [("rest", 1), ("messages", [SEEN])]),
        ({"messages": (FOUND,)}, {"messages": [SEEN]}),
    ],
    ids=["a message", "messages", "pairs", "a tuple"],
)
def test_what_is_sent_bare_or_in_pairs_is_replaced(state: Any, replaced: Any) -> None:
    command = sending(state)

    assert messages_of(command) == [FOUND]
    made: Any = with_messages(command, [SEEN])

    assert made.goto.arg == replaced


@pytest.mark.parametrize(
    "command",
    [
        Command(goto="somewhere"),
        Command(goto=Send("one", [])),
        Command(goto=Send("one", None)),
        Command(update="text", goto=[]),
    ],
)
def test_what_holds_no_messages_stays_as_it_is(command: Command[Any]) -> None:
    assert messages_of(command) == []
    assert with_messages(command, []) is command


def test_an_update_that_is_none_stays_so() -> None:
    made: Any = with_messages(sending({"messages": [FOUND]}), [SEEN])

    assert made.update is None
