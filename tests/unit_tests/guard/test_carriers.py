import copy
from typing import Any, NamedTuple

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.prompt_values import (
    ChatPromptValue,
    ImagePromptValue,
    StringPromptValue,
)

from langchain_prodpatterns.guard.carriers import (
    is_documents,
    rewrite,
    rewrite_document,
    rewrite_message,
)

VALUE = "SECRET"


def hide(text: str, role: str, label: str = "") -> str:
    return text.replace(VALUE, "[X]").replace("4111111111111111", "[X]")


def keep(text: str, role: str, label: str = "") -> str:
    return text


def guarded(value: Any) -> Any:
    before = copy.deepcopy(value)
    result = rewrite(value, hide)
    assert value == before, "the input was changed"
    assert type(result) is type(value)
    return result


MESSAGES: list[BaseMessage] = [
    SystemMessage("a SECRET"),
    HumanMessage("a SECRET", name="SECRET"),
    HumanMessage(["a SECRET", {"type": "text", "text": "SECRET"}]),
    AIMessage([{"type": "thinking", "thinking": "SECRET", "signature": "s"}]),
    AIMessage([{"type": "tool_use", "id": "1", "name": "f", "input": {"a": "SECRET"}}]),
    AIMessage([{"type": "reasoning", "summary": [{"type": "s", "text": "SECRET"}]}]),
    AIMessage("", additional_kwargs={"reasoning_content": "SECRET"}),
    AIMessage("", response_metadata={"note": "SECRET"}),
    AIMessage(
        "",
        tool_calls=[{"name": "f", "args": {"a": ["SECRET", {"SECRET": 1}]}, "id": "1"}],
    ),
    AIMessage(
        "",
        invalid_tool_calls=[
            {"name": "f", "args": "{SECRET", "id": "1", "error": "at SECRET"}
        ],
    ),
    AIMessage(
        "", tool_calls=[{"name": "f", "args": {"n": 4111111111111111}, "id": "1"}]
    ),
    ToolMessage("SECRET", tool_call_id="1"),
    ToolMessage("x", tool_call_id="1", artifact={"rows": ["SECRET"]}),
    AIMessageChunk(content="SECRET"),
    AIMessageChunk(
        content="",
        tool_call_chunks=[
            {"name": "f", "args": '{"a": "SECRET"}', "id": "1", "index": 0}
        ],
    ),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.type)
def test_every_place_in_a_message(message: BaseMessage) -> None:
    result = guarded(message)
    dumped = str(result.model_dump())
    assert VALUE not in dumped
    assert "4111111111111111" not in dumped
    assert "[X]" in dumped
    assert guarded([message]) == [result]
    assert guarded(ChatPromptValue(messages=[message])).messages == [result]


def test_arguments_in_json_are_read_before_they_are_looked_at() -> None:
    call = {"function": {"name": "f", "arguments": r'{"a": "SECR\u0045T"}'}}
    result = guarded(AIMessage("", additional_kwargs={"tool_calls": [call]}))
    arguments = result.additional_kwargs["tool_calls"][0]["function"]["arguments"]
    assert arguments == '{"a": "[X]"}'


@pytest.mark.parametrize("raw", ['{"a":  1}', "not json", "3", "[" * 100_000])
def test_arguments_without_a_value_stay_as_they_are_written(raw: str) -> None:
    message = AIMessage("", additional_kwargs={"arguments": raw})
    assert guarded(message) is message


def test_chunks_add_up_after_they_are_guarded() -> None:
    chunk = AIMessageChunk(
        content="",
        tool_call_chunks=[
            {"name": "f", "args": '{"a": "SECRET"}', "id": "1", "index": 0}
        ],
    )
    total = guarded(chunk) + AIMessageChunk(content="")
    assert total.tool_calls[0]["args"] == {"a": "[X]"}


def test_log_probabilities_spell_a_value_out_so_they_go() -> None:
    metadata = {"logprobs": {"content": [{"token": "SEC"}]}, "model_name": "m"}
    assert guarded(AIMessage(VALUE, response_metadata=metadata)).response_metadata == {
        "model_name": "m"
    }
    clean = AIMessage("fine", response_metadata=metadata)
    assert guarded(clean) is clean
    touched = rewrite_message(clean, keep, touched=True)
    assert touched.response_metadata == {"model_name": "m"}


def test_pictures_and_identifiers_are_no_text() -> None:
    blocks: list[str | dict[Any, Any]] = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,SECRET"}},
        {"type": "image", "base64": "SECRET", "mime_type": "image/png", "width": 3},
    ]
    message = HumanMessage(blocks, id="SECRET")
    assert guarded(message) is message


BLOCKS: list[dict[str, Any]] = [
    {"type": "text", "text": "data: SECRET"},
    {"type": "text", "text": "data:4111111111111111"},
    {"type": "image_url", "image_url": {"url": "data:SECRET"}},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64, SECRET"}},
    {"type": "image_url", "image_url": {"url": "https://a/b", "detail": "SECRET"}},
    {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "I am SECRET"},
    },
    {
        "type": "document",
        "source": {"type": "text", "media_type": "TEXT/PLAIN", "data": VALUE},
    },
    {"type": "image", "mime_type": "image/png", "base64": "not SECRET in base64"},
    {"type": "json", "json": {"id": VALUE, "data": VALUE, "detail": VALUE}},
    {"type": "json", "data": VALUE},
    {"type": "json", "json": {"card": 4111111111111111}},
    {"type": "json", "json": [{"type": "image", "base64": VALUE}]},
    {"type": "text", "text": "x", "card": 4111111111111111},
    {"type": "text", "text": "x", "id": "4111111111111111"},
    {"type": "image_generation_call", "revised_prompt": VALUE, "result": "a SECRET"},
    {"type": "code_interpreter_call", "result": VALUE},
    {"type": "x", "reasoning_content": {"text": VALUE, "signature": "s"}},
    {"type": "note", "signature": "Yours, SECRET"},
    {"type": "tool_result", "content": [{"type": "text", "text": "data: SECRET"}]},
    {"type": VALUE},
    {VALUE: 1},
]


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_the_name_of_a_field_lets_no_text_through(block: dict[str, Any]) -> None:
    for message in (
        HumanMessage([block]),
        ToolMessage([block], tool_call_id="1"),
        AIMessageChunk(content=[block]),
    ):
        dumped = str(guarded(message).content)
        assert VALUE not in dumped
        assert "4111111111111111" not in dumped
        assert "[X]" in dumped


def test_blocks_that_hold_no_text_stay_and_the_judge_does_not_see_them() -> None:
    blocks: list[str | dict[Any, Any]] = [
        {"type": "thinking", "thinking": "", "signature": "SECRET/+=="},
        {"type": "x", "extras": {"signature": "SECRET"}, "id": "SECRET_1"},
        {"type": "input_audio", "input_audio": {"data": "SECRET", "format": "wav"}},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "SECRET="},
        },
        {"type": "input_image", "image_url": "data:image/png;base64,SECRET"},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,SECRET"}},
        {"type": "image_url", "image_url": {"url": "", "detail": "low"}},
        {"type": "image_generation_call", "result": "SECRET+/", "id": "ig_1"},
        {"type": "redacted_thinking", "data": "SECRET_-=="},
        {"type": "x", "citations": [{"type": "y", "encrypted_index": "SECRET/="}]},
        {"type": "x", "reasoning_content": {"text": "", "signature": "SECRET"}},
        {
            "type": "input_image",
            "image_url": "data:image/svg+xml;charset=utf-8;base64,SECRET",
        },
        {"type": "text", "text": "", "cache_control": {"type": "ephemeral"}},
    ]
    audio = {"id": "audio_1", "data": "SECRET", "expires_at": 1, "transcript": ""}
    message = AIMessage(blocks, additional_kwargs={"audio": audio})
    assert guarded(message) is message
    seen: set[str] = set()

    def note(text: str, role: str, label: str = "") -> str:
        seen.update([text] if role != "metadata" else [])
        return text

    rewrite(message, note)
    assert seen == {"", "1"}, "a number is left out where the judge is asked"


def test_what_is_said_aloud_is_text() -> None:
    audio = {"id": "audio_1", "data": "UklGRg==", "transcript": "a SECRET"}
    spoken = AIMessage("", additional_kwargs={"audio": audio, "note": VALUE})
    assert guarded(spoken).additional_kwargs == {
        "audio": {**audio, "transcript": "a [X]"},
        "note": "[X]",
    }
    written = AIMessage("", additional_kwargs={"audio": VALUE})
    assert guarded(written).additional_kwargs == {"audio": "[X]"}


def test_a_link_to_a_picture_is_text() -> None:
    blocks: list[str | dict[Any, Any]] = [
        {"type": "image_url", "image_url": {"url": "https://a/SECRET"}}
    ]
    assert VALUE not in str(guarded(HumanMessage(blocks)).content)


@pytest.mark.parametrize(
    "value",
    [
        "fine",
        HumanMessage("fine"),
        StringPromptValue(text="fine"),
        AIMessage("", id="1"),
    ],
)
def test_what_holds_nothing_is_given_back_itself(value: Any) -> None:
    assert rewrite(value, hide) is value


def test_prompt_values() -> None:
    assert guarded(StringPromptValue(text=VALUE)) == StringPromptValue(text="[X]")
    assert guarded(VALUE) == "[X]"
    assert guarded([]) == []


def test_documents() -> None:
    document = Document(
        "a SECRET", metadata={"by": "SECRET", "tags": ["SECRET"], "page": 3}, id="1"
    )
    before = copy.deepcopy(document)
    result = rewrite_document(document, hide)
    assert document == before
    assert result == Document(
        "a [X]", metadata={"by": "[X]", "tags": ["[X]"], "page": 3}, id="1"
    )


def test_which_lists_are_documents() -> None:
    assert is_documents([Document("x")])
    assert not is_documents([])
    assert not is_documents([Document("x"), "y"])
    assert not is_documents(Document("x"))


@pytest.mark.parametrize(
    "value",
    [
        {"question": VALUE},
        3,
        None,
        [VALUE],
        [HumanMessage("x"), VALUE],
        (HumanMessage("x"),),
        Document(VALUE),
        ImagePromptValue(image_url={"url": VALUE, "detail": "low"}),
    ],
)
def test_what_a_guard_cannot_look_into_does_not_pass(value: Any) -> None:
    with pytest.raises(TypeError, match="takes a str") as caught:
        rewrite(value, hide)
    assert VALUE not in str(caught.value)


def test_roles_are_told() -> None:
    roles: dict[str, str] = {}

    def note(text: str, role: str, label: str = "") -> str:
        roles[text] = role
        return text

    rewrite([SystemMessage("s"), HumanMessage("h"), AIMessageChunk(content="a")], note)
    rewrite(ToolMessage("t", tool_call_id="1", artifact=12), note)
    rewrite("x", note)
    rewrite_document(Document("d"), note)
    assert roles == {
        "s": "system",
        "h": "human",
        "a": "ai",
        "t": "tool",
        "12": "tool",
        "x": "text",
        "d": "document",
    }


@pytest.mark.parametrize(
    "value",
    [
        AIMessage(
            "", tool_calls=[{"name": "f", "args": {"a": {"b": ["x", 1]}}, "id": "1"}]
        ),
        AIMessage("", additional_kwargs={"args": '{"a": {"b": ["x", 1]}}'}),
        AIMessage([{"type": "tool_use", "input": {"a": {"b": ["x", 1]}}}]),
        ToolMessage("", tool_call_id="1", artifact=[{"a": {"b": ("x", 1)}}]),
        Document("", metadata={"a": {"b": ["x", 1]}}),
    ],
)
def test_plain_data_is_labeled_with_the_keys_on_the_way_to_it(value: Any) -> None:
    labels: dict[str, str] = {}

    def note(text: str, role: str, label: str) -> str:
        labels[text] = label
        return text

    if isinstance(value, Document):
        rewrite_document(value, note)
    else:
        rewrite(value, note)
    assert {labels["x"].removeprefix("args "), labels["1"].removeprefix("args ")} == {
        "a b"
    }
    assert {labels[key] for key in ("", "a", "b") if key in labels} == {""}


class Row(NamedTuple):
    note: str


@pytest.mark.parametrize(
    ("artifact", "expected"),
    [
        ((VALUE, 1), ("[X]", 1)),
        (Row(VALUE), ("[X]",)),
        ({VALUE}, {"[X]"}),
        ([Document(VALUE)], [Document("[X]")]),
        ({"m": HumanMessage(VALUE)}, {"m": HumanMessage("[X]")}),
        (4111111111111111.0, "[X]"),
    ],
)
def test_what_a_tool_puts_beside_its_answer(artifact: Any, expected: Any) -> None:
    message = ToolMessage("ok", tool_call_id="1", artifact=artifact)
    assert guarded(message).artifact == expected


@pytest.mark.parametrize("artifact", [("a", 1), Row("a"), frozenset({"a"}), 0.5, 7.0])
def test_what_holds_no_value_stays_itself(artifact: Any) -> None:
    message = ToolMessage("ok", tool_call_id="1", artifact=artifact)
    assert rewrite(message, hide) is message


def test_an_array_beside_an_answer_is_let_through() -> None:
    array = np.array([1.0, 2.0])
    result: Any = rewrite(ToolMessage(VALUE, tool_call_id="1", artifact=array), hide)
    assert result.content == "[X]"
    assert result.artifact is array


def test_a_key_that_is_there_twice_hides_nothing() -> None:
    spelled = '{"to": "SECRET", "to": "ok"}'
    call = {"function_call": {"arguments": spelled}}
    result = guarded(AIMessage("", additional_kwargs=call))
    assert result.additional_kwargs["function_call"]["arguments"] == '{"to": "ok"}'


def test_an_error_names_what_is_in_a_list() -> None:
    wrong: Any = [("human", VALUE)]
    with pytest.raises(TypeError, match=r"got a list of tuple$"):
        rewrite(wrong, hide)
