import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from langchain_prodpatterns.testing import (
    Reply,
    ScriptedRequest,
    ToolCall,
    count_tokens,
)
from langchain_prodpatterns.testing.completion import (
    complete,
    count_prompt,
    deltas,
    interrupted,
    pieces,
)


def ask(text: str = "hello", **params: Any) -> ScriptedRequest:
    return ScriptedRequest("m", ({"role": "user", "content": text},), params, number=4)


def tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


class Pick(BaseModel):
    a: int


# Counting


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("   \n", 0),
        ("hello", 1),
        ("hello world", 2),
        ("It's 3.50 EUR.", 8),
        ("Grüße, Welt!", 4),
        ("a_b-c", 3),
    ],
)
def test_tokens_are_runs_of_word_characters_and_marks(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens


@given(st.text(), st.text())
def test_tokens_of_lines_add_up(left: str, right: str) -> None:
    together = count_tokens(f"{left}\n{right}")
    assert together == count_tokens(left) + count_tokens(right)


def test_a_prompt_counts_texts_calls_tools_and_formats() -> None:
    call = {"function": {"name": "find", "arguments": '{"q": 1}'}}
    request = ScriptedRequest(
        "m",
        (
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": [{"type": "text", "text": "hi you"}]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
        ),
        {},
    )
    assert count_prompt(request) == 2 + 2 + 1 + count_tokens('{"q": 1}')
    tools = [tool("t")]
    with_tools = ask("hello", tools=tools, response_format={"type": "json_object"})
    extra = json.dumps(tools) + " " + json.dumps({"type": "json_object"})
    assert count_prompt(with_tools) == 1 + count_tokens(extra)


def test_a_class_among_the_parameters_can_be_counted() -> None:
    assert count_prompt(ask("hello", response_format=Pick)) > 1


def test_given_counts_replace_counted_ones() -> None:
    done = complete(ask(), Reply("x", input_tokens=70, output_tokens=0))
    assert (done.input_tokens, done.output_tokens) == (70, 0)


# Choices


def test_a_text_is_one_choice_that_stops() -> None:
    done = complete(ask("a b c"), Reply("Fine, thanks."))
    assert len(done.choices) == 1
    assert done.choices[0].content == "Fine, thanks."
    assert done.choices[0].finish_reason == "stop"
    assert (done.input_tokens, done.output_tokens) == (3, 4)


@pytest.mark.parametrize("content", [{"a": 1}, Pick(a=1), '{"a": 1}'])
def test_an_object_is_sent_as_json(content: Any) -> None:
    assert json.loads(complete(ask(), Reply(content)).choices[0].content) == {"a": 1}


def test_n_choices_share_one_prompt() -> None:
    done = complete(ask("a b", n=3), Reply("one", variants=["two two", {"c": 3}]))
    assert [c.content for c in done.choices] == ["one", "two two", '{"c": 3}']
    assert done.input_tokens == 2
    assert done.output_tokens == 1 + 2 + 7


def test_choices_beyond_the_variants_repeat_the_content() -> None:
    done = complete(ask(n=4), Reply("a", variants=["b"]))
    assert [c.content for c in done.choices] == ["a", "b", "a", "a"]


def test_a_refusal_has_no_content_and_costs_tokens() -> None:
    (choice,) = complete(ask(), Reply.refused("I will not.")).choices
    assert (choice.content, choice.refusal) == ("", "I will not.")
    assert choice.finish_reason == "stop"
    assert choice.tokens == 4


def test_tool_calls_get_ids_that_differ() -> None:
    reply = Reply(
        tool_calls=[ToolCall("a", {"x": 1}), ToolCall("b"), ToolCall("b", id="i")]
    )
    done = complete(ask(n=2), reply)
    ids = [call.id for choice in done.choices for call in choice.tool_calls]
    assert ids == ["call_4_0_0", "call_4_0_1", "i", "call_4_1_0", "call_4_1_1", "i"]
    assert {c.finish_reason for c in done.choices} == {"tool_calls"}
    assert done.choices[0].tokens == (1 + 7) + (1 + 2) + (1 + 2)


def test_tool_calls_may_come_with_text() -> None:
    (choice,) = complete(ask(), Reply("let me see", tool_calls=[ToolCall("a")])).choices
    assert choice.content == "let me see"
    assert choice.tool_calls[0].name == "a"


@pytest.mark.parametrize(
    ("content", "name"),
    [({"a": 1}, "First"), ('{"a": 1', "First"), (Pick(a=1), "Pick")],
)
def test_an_object_answers_a_forced_tool(content: Any, name: str) -> None:
    request = ask(tools=[tool("First"), tool("Pick")], tool_choice="required")
    (choice,) = complete(request, Reply(content)).choices
    assert choice.content == ""
    assert [call.name for call in choice.tool_calls] == [name]
    assert choice.tool_calls[0].arguments.startswith('{"a":')


@pytest.mark.parametrize(
    ("content", "params"),
    [
        ("text", {"tools": [tool("t")], "tool_choice": "required"}),
        ({"a": 1}, {"tools": [tool("t")], "tool_choice": "auto"}),
        ({"a": 1}, {"tools": [tool("t")]}),
    ],
)
def test_else_no_tool_is_called(content: Any, params: dict[str, Any]) -> None:
    assert complete(ask(**params), Reply(content)).choices[0].tool_calls == ()


JSON_MODE: dict[str, Any] = {"response_format": {"type": "json_object"}}


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        ("just text", {"content": "just text"}),
        ("[1, 2]", {"content": "[1, 2]"}),
        ('{"a": 1}', {"a": 1}),
        ({"a": 1}, {"a": 1}),
        ("", {"content": ""}),
    ],
)
def test_json_mode_always_gives_an_object(content: Any, sent: dict[str, Any]) -> None:
    text = complete(ask(**JSON_MODE), Reply(content)).choices[0].content
    assert json.loads(text) == sent


def test_malformed_json_stays_malformed_in_json_mode() -> None:
    reply = Reply.malformed_json({"a": 1})
    assert complete(ask(**JSON_MODE), reply).choices[0].content == '{:"a": 1}'


def test_a_truncated_answer_stays_truncated_in_json_mode() -> None:
    (choice,) = complete(ask(**JSON_MODE), Reply.truncated('{"a": [1,')).choices
    assert (choice.content, choice.finish_reason) == ('{"a": [1,', "length")


@pytest.mark.parametrize(
    ("stop", "content"),
    [
        ("three", "one two "),
        (["three", "two"], "one "),
        (["none"], "one two three"),
        ([""], "one two three"),
        ([], "one two three"),
        (None, "one two three"),
    ],
)
def test_a_text_ends_before_the_first_stop_text(stop: Any, content: str) -> None:
    (choice,) = complete(ask(stop=stop), Reply("one two three")).choices
    assert (choice.content, choice.finish_reason) == (content, "stop")


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize(
    ("limit", "content", "reason"),
    [
        (1, "one", "length"),
        (2, "one, ".strip(), "length"),
        (3, "one, two", "stop"),
        (9, "one, two", "stop"),
    ],
)
def test_a_text_is_cut_at_the_token_limit(
    name: str, limit: int, content: str, reason: str
) -> None:
    params: dict[str, Any] = {name: limit}
    (choice,) = complete(ask(**params), Reply("one, two")).choices
    assert (choice.content, choice.finish_reason) == (content, reason)


@given(st.text(max_size=80), st.integers(1, 10))
def test_a_limit_is_never_exceeded(text: str, limit: int) -> None:
    done = complete(ask(max_tokens=limit), Reply(text))
    assert done.output_tokens <= limit
    assert text.startswith(done.choices[0].content)


# Streams


@given(st.text(max_size=200), st.none() | st.integers(1, 7))
def test_pieces_join_to_the_text(text: str, size: int | None) -> None:
    found = pieces(text, size)
    assert "".join(found) == text
    assert all(found)
    if size is not None:
        assert all(len(piece) == size for piece in found[:-1])


def test_words_are_the_default_pieces() -> None:
    assert pieces("Hello, big  world! ", None) == ["Hello,", " big", "  world!", " "]


@given(
    st.text(max_size=40),
    st.dictionaries(st.text(max_size=5), st.text(max_size=30), max_size=3),
    st.integers(1, 3),
    st.none() | st.integers(1, 5),
)
def test_the_parts_of_a_stream_join_to_the_answer(
    text: str, args: dict[str, str], count: int, size: int | None
) -> None:
    reply = Reply(text, tool_calls=[ToolCall("a", args), ToolCall("b")])
    done = complete(ask(n=count), reply)
    parts = list(deltas(done, size))
    for index, choice in enumerate(done.choices):
        own = [part for part in parts if part.choice == index]
        assert "".join(part.content or "" for part in own) == choice.content
        for position, call in enumerate(choice.tool_calls):
            pieces_ = [part for part in own if part.tool == position]
            assert [p.tool_id for p in pieces_ if p.tool_id] == [call.id]
            assert "".join(p.arguments or "" for p in pieces_) == call.arguments
        assert [p.finish_reason for p in own if p.finish_reason] == ["tool_calls"]
        assert own[-1].finish_reason == "tool_calls"


def test_a_refusal_is_streamed_as_one() -> None:
    parts = list(deltas(complete(ask(), Reply.refused("not this")), None))
    assert [part.refusal for part in parts] == ["not", " this", None]
    assert all(part.content is None for part in parts)


@pytest.mark.parametrize(
    ("after", "texts"),
    [(0, []), (1, ["one"]), (2, ["one", " two"]), (9, ["one", " two", " three"])],
)
def test_an_interrupted_stream_never_ends(after: int, texts: list[str]) -> None:
    done = complete(ask(), Reply("one two three"))
    parts = interrupted(done, after)
    assert [part.content for part in parts] == texts
    assert not any(part.finish_reason for part in parts)
