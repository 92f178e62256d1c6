"""Edits of a prompt: only words may change."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, SystemMessage
from langchain_core.prompts import (
    ChatPromptTemplate,
    MessagesPlaceholder,
    PromptTemplate,
)

from langchain_prodpatterns.refine.objects import RevisionError
from langchain_prodpatterns.refine.prompt_edits import (
    as_chat_prompt,
    read_edit,
    shown,
    variables_in,
)

PROMPT = ChatPromptTemplate(
    [
        SystemMessage("Answer in {} of JSON."),
        ("system", "You know {subject}."),
        MessagesPlaceholder("history", optional=True),
        ("human", "{question} Be {tone}."),
        ("ai", "Well:"),
    ]
).partial(tone="brief")


def edit(*changes: tuple[int, str]) -> str:
    return json.dumps(
        {"messages": [{"index": index, "template": text} for index, text in changes]}
    )


def test_a_prompt_is_shown_with_index_role_and_words() -> None:
    assert shown(PROMPT) == (
        "[0] system\nAnswer in {{}} of JSON.\n\n"
        "[1] system\nYou know {subject}.\n\n"
        "[2] messagesplaceholder (fixed)\n\n"
        "[3] human\n{question} Be {tone}.\n\n"
        "[4] ai\nWell:"
    )


def test_words_change_and_nothing_else() -> None:
    reply = edit(
        (1, "You are an expert in {subject}. Use {{braces}}."), (0, "In {{}}.")
    )
    new = read_edit(PROMPT, AIMessage(f"```json\n{reply}\n```"))
    assert new.input_variables == PROMPT.input_variables
    assert new.optional_variables == PROMPT.optional_variables
    assert new.partial_variables == PROMPT.partial_variables
    values = {"subject": "lamps", "question": "Why?"}
    before, after = (p.invoke(values).to_messages() for p in (PROMPT, new))
    assert [m.type for m in before] == [m.type for m in after]
    assert after[0].content == "In {}."
    assert after[1].content == "You are an expert in lamps. Use {braces}."
    assert [m.content for m in after[2:]] == [m.content for m in before[2:]]
    assert PROMPT.invoke(values).to_messages() == before, "the prompt is not changed"


def test_a_variable_may_move_to_another_message() -> None:
    reply = edit((1, "You are an expert."), (3, "{question} On {subject}, be {tone}."))
    assert read_edit(PROMPT, reply).input_variables == PROMPT.input_variables


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("Here is the improved prompt: ...", "not JSON"),
        ("{}", "messages: missing"),
        (edit(), "messages: too_short"),
        ('{"messages": [], "more": 1}', "messages: too_short"),
        (edit((1, "You know all.")), "changes the variables: subject"),
        (edit((1, "{subject} of {year}")), "changes the variables: a new one"),
        (edit((1, "{Subject}")), "changes the variables: subject"),
        (edit((1, "{subject")), "the braces of the edit do not match"),
        (edit((1, "{subject} }")), "the braces of the edit do not match"),
        (edit((1, "{subject.__class__}")), "stands in braces as it is"),
        (edit((1, "{subject!r}")), "stands in braces as it is"),
        (edit((1, "{subject:>999999999}")), "stands in braces as it is"),
        (edit((1, "{subject} {}")), "stands in braces as it is"),
        (edit((0, "Know {subject}.")), "message 0 takes no variables"),
        (edit((2, "history")), "message 2 cannot be edited"),
        (edit((9, "x")), "message 9 cannot be edited"),
        ('{"messages": [{"index": -1, "template": "x"}]}', "messages: greater_than"),
        ('{"messages": [{"index": 1, "template": ""}]}', "messages: string_too_short"),
        (
            json.dumps({"messages": [{"index": 1, "template": "x" * 20_001}]}),
            "too_long",
        ),
    ],
)
def test_what_must_not_be_is_refused(reply: str, why: str) -> None:
    with pytest.raises(RevisionError, match=why):
        read_edit(PROMPT, reply)


@given(st.text(alphabet="{}ab!: .", max_size=12))
def test_no_edit_changes_what_a_prompt_needs(text: str) -> None:
    prompt = ChatPromptTemplate([("human", "{a} {b}")])
    try:
        new = read_edit(prompt, edit((0, text)))
    except RevisionError:
        return
    assert set(new.input_variables) == {"a", "b"}
    (message,) = new.invoke({"a": "{x}", "b": "B"}).to_messages()
    assert "{x}" in message.content


@given(st.text(max_size=60))
def test_variables_are_found_or_refused(text: str) -> None:
    try:
        names = variables_in(text)
    except RevisionError:
        return
    text.format(**dict.fromkeys(names, ""))


@pytest.mark.parametrize(
    "value",
    [
        "{q}",
        PromptTemplate.from_template("{q}"),
        ChatPromptTemplate([("human", "{q}")]),
    ],
)
def test_prompts_in_any_form(value: Any) -> None:
    assert as_chat_prompt(value).invoke({"q": "x"}).to_messages()[0].content == "x"


def test_partials_of_a_plain_template_stay() -> None:
    template = PromptTemplate.from_template(
        "{q} {tone}", partial_variables={"tone": "t"}
    )
    prompt = as_chat_prompt(template)
    assert prompt.input_variables == ["q"]
    assert prompt.invoke({"q": "x"}).to_messages()[0].content == "x t"


@pytest.mark.parametrize(
    ("value", "error", "why"),
    [
        (PROMPT.invoke({"subject": "a", "question": "b"}), TypeError, "not its output"),
        (7, TypeError, "got int"),
        (ChatPromptTemplate([MessagesPlaceholder("h")]), ValueError, "no text"),
        (
            ChatPromptTemplate([("human", "{{q}}")], template_format="mustache"),
            ValueError,
            "message 0 is a mustache template",
        ),
    ],
)
def test_what_cannot_be_edited_is_refused(
    value: Any, error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        as_chat_prompt(value)
