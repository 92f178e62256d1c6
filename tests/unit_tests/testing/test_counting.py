"""How the model in this process counts, for those who ask it to."""

from langchain_core.messages import (
    BaseMessage,
    HumanMessage,
    SystemMessage,
    trim_messages,
)
from langchain_core.tools import BaseTool, tool

from langchain_prodpatterns.testing import ScriptedChatModel, count_tokens


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_a_text_is_counted_as_everywhere_here() -> None:
    model = ScriptedChatModel(replies=["x"])
    text = "a b, a \ud800"

    ids = model.get_token_ids(text)

    assert model.get_num_tokens(text) == len(ids) == count_tokens(text)
    assert ids[0] == ids[3] != ids[1]


def test_a_prompt_is_counted_as_it_is_booked() -> None:
    model = ScriptedChatModel(default="x")
    messages: list[BaseMessage] = [SystemMessage("be kind"), HumanMessage("hi, you")]

    choices: list[list[BaseTool]] = [[], [add]]
    for tools in choices:
        before = model.input_tokens
        (model.bind_tools(tools) if tools else model).invoke(messages)
        booked = model.input_tokens - before
        assert model.get_num_tokens_from_messages(messages, tools) == booked


def test_a_tokenizer_of_ones_own_is_used() -> None:
    model = ScriptedChatModel(default="x", custom_get_token_ids=lambda text: [1] * 9)

    assert model.get_num_tokens("one") == 9
    assert model.get_num_tokens_from_messages([HumanMessage("a")] * 2) == 18


def test_messages_are_trimmed_by_the_models_own_count() -> None:
    messages = [HumanMessage("one two three"), HumanMessage("four five")]

    kept = trim_messages(
        messages, max_tokens=4, token_counter=ScriptedChatModel(default="x")
    )

    assert kept == messages[1:]
