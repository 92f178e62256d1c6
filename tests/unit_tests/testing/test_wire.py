import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.testing import Fault, Reply, ToolCall
from langchain_prodpatterns.testing.completion import complete, deltas
from langchain_prodpatterns.testing.wire import (
    BadRequestError,
    closing_events,
    completion_body,
    delta_event,
    embedding_body,
    error_body,
    fault_headers,
    models_body,
    opening_events,
    parse_body,
    parse_chat,
    parse_embedding,
    without_keys,
)

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b"{}", "model"),
        (b'{"model": ""}', "model"),
        (b'{"model": 3}', "model"),
    ],
)
def test_a_body_must_be_an_object_with_a_model(raw: bytes, message: str) -> None:
    with pytest.raises(BadRequestError, match=message) as caught:
        parse_body(raw)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [CHAT["messages"][0], {"content": "x"}]}, "messages[1]"),
        ({"n": 0}, "n"),
        ({"n": True}, "n"),
        ({"n": "2"}, "n"),
        ({"n": 129}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
        ({"stop": 3}, "stop"),
        ({"stop": ["a", 1]}, "stop"),
        ({"tools": {}}, None),
        ({"tools": "t"}, "tools"),
        ({"tools": [{"function": {}}]}, "tools"),
        ({"tools": ["t"]}, "tools"),
    ],
)
def test_malformed_fields_are_named(change: dict[str, Any], param: str | None) -> None:
    if param is None:
        assert parse_chat(CHAT | change, 1).tool_names == ()
        return
    with pytest.raises(BadRequestError) as caught:
        parse_chat(CHAT | change, 1)
    assert caught.value.param == param
    assert caught.value.body()["error"]["param"] == param
    assert caught.value.body()["error"]["type"] == "invalid_request_error"


def test_a_chat_request_is_read() -> None:
    body = CHAT | {"stream": True, "temperature": 0.5, "n": 2, "stop": ["x"]}
    request = parse_chat(body, 9)
    assert (request.model, request.number, request.stream) == ("m", 9, True)
    assert request.params == {"temperature": 0.5, "n": 2, "stop": ["x"]}
    assert request.user_text == "hi"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (404, "invalid_request_error"),
        (401, "authentication_error"),
        (429, "rate_limit_error"),
        (500, "server_error"),
        (503, "server_error"),
    ],
)
def test_errors_have_the_shape_of_the_api(status: int, kind: str) -> None:
    body = error_body("what", status, code="why")
    assert body == {
        "error": {"message": "what", "type": kind, "param": None, "code": "why"}
    }


@pytest.mark.parametrize(
    ("fault", "headers"),
    [
        (Fault.rate_limit(retry_after=0), {"retry-after": "0"}),
        (Fault.rate_limit(retry_after=1.5), {"retry-after": "1.5"}),
        (Fault.rate_limit(retry_after=None), {}),
        (Fault.server_error(), {}),
    ],
)
def test_retry_after_is_sent_when_given(fault: Fault, headers: dict[str, str]) -> None:
    assert fault_headers(fault) == headers


def test_headers_that_hold_a_key_are_left_out() -> None:
    headers = {"Authorization": "a", "API-Key": "b", "x-api-key": "c", "Cookie": "d"}
    assert without_keys(headers | {"accept": "e"}) == {"accept": "e"}


def test_a_text_answer() -> None:
    request = parse_chat(CHAT, 3)
    body = completion_body(request, complete(request, Reply("Fine.")))
    assert body == {
        "id": "chatcmpl-scripted-3",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Fine.", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }


@pytest.mark.parametrize(
    "reply", [Reply.refused("no"), Reply(tool_calls=[ToolCall("t", {"a": 1})])]
)
def test_content_is_null_with_a_refusal_or_calls_alone(reply: Reply) -> None:
    request = parse_chat(CHAT, 1)
    (choice,) = completion_body(request, complete(request, reply))["choices"]
    assert choice["message"]["content"] is None
    if reply.refusal:
        assert choice["message"]["refusal"] == "no"
    else:
        (call,) = choice["message"]["tool_calls"]
        assert call["function"] == {"name": "t", "arguments": '{"a": 1}'}
        assert (call["id"], call["type"]) == ("call_1_0_0", "function")


def events_of(body: dict[str, Any], reply: Reply) -> list[dict[str, Any]]:
    request = parse_chat(body, 1)
    completion = complete(request, reply)
    events = [
        *opening_events(request, completion),
        *(delta_event(request, delta) for delta in deltas(completion, None)),
        *closing_events(request, completion),
    ]
    for event in events:
        assert event.startswith(b"data: ")
        assert event.endswith(b"\n\n")
        assert event.count(b"\n") == 2
    return [json.loads(event[6:]) for event in events]


def test_a_streamed_text() -> None:
    events = events_of(CHAT, Reply("one\n\ntwo"))
    found = [event["choices"][0]["delta"] for event in events]
    assert found == [
        {"role": "assistant", "content": ""},
        {"content": "one"},
        {"content": "\n\ntwo"},
        {},
    ]
    reasons = [event["choices"][0]["finish_reason"] for event in events]
    assert reasons == [None, None, None, "stop"]
    assert not any("usage" in event for event in events)


def test_streamed_tool_calls() -> None:
    calls = [ToolCall("a", {"x": 1}), ToolCall("b")]
    events = events_of(CHAT, Reply(tool_calls=calls))
    parts = [
        part
        for event in events
        for part in event["choices"][0]["delta"].get("tool_calls", ())
    ]
    first = {"name": "a", "arguments": ""}
    assert parts[0] == {
        "index": 0,
        "id": "call_1_0_0",
        "type": "function",
        "function": first,
    }
    assert parts[1] == {"index": 0, "function": {"arguments": '{"x": 1}'}}
    assert [part["index"] for part in parts] == [0, 0, 1, 1]


def test_a_streamed_refusal() -> None:
    events = events_of(CHAT, Reply.refused("no"))
    assert events[1]["choices"][0]["delta"] == {"refusal": "no"}


def test_usage_comes_last_and_without_choices_when_asked_for() -> None:
    asked = CHAT | {"stream_options": {"include_usage": True}, "n": 2}
    events = events_of(asked, Reply("one"))
    assert events[-1]["choices"] == []
    assert events[-1]["usage"]["completion_tokens"] == 2
    assert {e["choices"][0]["index"] for e in events[:-1]} == {0, 1}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": [[1, 2]]}, "input"),
        ({"input": [1, 2]}, "input"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": True}, "dimensions"),
        ({"dimensions": "8"}, "dimensions"),
    ],
)
def test_malformed_embedding_fields_are_named(
    change: dict[str, Any], param: str
) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse_embedding({"model": "m", "input": "a"} | change)
    assert caught.value.param == param


def test_token_ids_are_refused_with_the_remedy() -> None:
    with pytest.raises(BadRequestError, match="check_embedding_ctx_length=False"):
        parse_embedding({"model": "m", "input": [[1, 2]]})


@pytest.mark.parametrize("given_", ["a", ["a"]])
def test_texts_to_embed(given_: Any) -> None:
    assert parse_embedding({"model": "m", "input": given_}) == ["a"]


@given(
    st.lists(
        st.lists(st.floats(-1, 1, width=32), min_size=4, max_size=4),
        min_size=1,
        max_size=3,
    )
)
def test_base64_holds_the_same_floats(vectors: list[list[float]]) -> None:
    texts = ["two words"] * len(vectors)
    plain = embedding_body({"model": "m"}, texts, vectors)
    packed = embedding_body({"model": "m", "encoding_format": "base64"}, texts, vectors)
    for one, other in zip(plain["data"], packed["data"], strict=True):
        raw = base64.b64decode(other["embedding"])
        assert np.frombuffer(raw, dtype="<f4").tolist() == one["embedding"]
    assert [item["index"] for item in plain["data"]] == list(range(len(vectors)))
    assert plain["usage"]["prompt_tokens"] == 2 * len(vectors)


def test_fewer_dimensions_are_the_first_ones_at_unit_length() -> None:
    body = embedding_body({"model": "m", "dimensions": 2}, ["a"], [[3.0, 4.0, 12.0]])
    assert body["data"][0]["embedding"] == pytest.approx([0.6, 0.8])


def test_a_vector_of_zeros_stays_so() -> None:
    body = embedding_body({"model": "m", "dimensions": 1}, ["a"], [[0.0, 1.0]])
    assert body["data"][0]["embedding"] == [0.0]


def test_more_dimensions_than_there_are_is_an_error() -> None:
    with pytest.raises(BadRequestError, match="at most 3"):
        embedding_body({"model": "m", "dimensions": 4}, ["a"], [[1.0, 0.0, 0.0]])


def test_models_are_listed() -> None:
    body = models_body(["a", "b"])
    assert [model["id"] for model in body["data"]] == ["a", "b"]
    assert body["object"] == "list"
