import copy
import json
import threading
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from pydantic import BaseModel, ValidationError

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.testing import Fault, Reply, Rule, ToolCall
from langchain_prodpatterns.testing.replies import to_text


class Answering(BaseModel):
    count: int
    text: str
    flag: bool
    items: list[int]
    note: str | None = None


@pytest.mark.parametrize(
    "make",
    [
        lambda: Reply(latency=-1),
        lambda: Reply(hold_after=-1),
        lambda: Reply(chunk_size=0),
        lambda: Fault.disconnect(after=-1),
        lambda: Fault.http(200),
        lambda: Fault.http(600),
        lambda: Fault("timeout", latency=-0.1),
    ],
)
def test_impossible_figures_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationError):
        make()


@pytest.mark.parametrize(
    "make",
    [
        Reply,
        lambda bad: Reply([bad]),
        lambda bad: Reply("first", variants=["second", bad]),
        lambda bad: ToolCall("t", bad),
        Fault.disconnect,
        lambda bad: Rule(reply=bad),
        lambda bad: Rule(replies=["fine", bad]),
    ],
)
def test_what_json_cannot_hold_is_refused_where_it_is_written(
    make: Callable[[Any], object],
) -> None:
    with pytest.raises(ConfigurationError, match="date is not JSON serializable"):
        make({"when": date(2026, 1, 2)})


def test_an_object_that_holds_itself_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["itself"] = endless
    with pytest.raises(ConfigurationError, match="cannot be sent as JSON"):
        Reply(endless)


def test_a_tool_call_alone_is_no_reply() -> None:
    with pytest.raises(ConfigurationError, match=r"give Reply\(tool_calls=\[ToolC"):
        Rule(replies=[ToolCall("search")])  # type: ignore[list-item]  # that is the test


def test_an_exception_is_no_reply() -> None:
    with pytest.raises(ConfigurationError, match="give a Fault, such as"):
        Rule(reply=ConnectionError())  # type: ignore[arg-type]  # that is the test


def test_no_one_is_told_to_come_again_before_now() -> None:
    with pytest.raises(ConfigurationError, match="0 or more, got -1"):
        Fault.rate_limit(retry_after=-1)


def test_a_message_is_no_content() -> None:
    with pytest.raises(ConfigurationError, match="AIMessage is no content"):
        Reply(AIMessage("hi"))


def test_a_message_becomes_a_reply_with_all_that_it_says() -> None:
    message = AIMessage(
        [{"type": "text", "text": "hi"}],
        tool_calls=[{"name": "one", "args": {"a": 1}, "id": "c1"}],
        invalid_tool_calls=[{"name": "two", "args": "{a", "id": None, "error": "x"}],
        response_metadata={"finish_reason": "length"},
        usage_metadata={"input_tokens": 5, "output_tokens": 7, "total_tokens": 12},
    )

    assert Reply.of_message(message) == Reply(
        "hi",
        tool_calls=(ToolCall("one", {"a": 1}, "c1"), ToolCall("two", "{a")),
        finish_reason="length",
        input_tokens=5,
        output_tokens=7,
    )


def test_a_message_that_refuses_becomes_a_refusal() -> None:
    message = AIMessage("", additional_kwargs={"refusal": "no"})
    assert Reply.of_message(message) == Reply.refused("no")


def test_a_truncated_reply_says_so() -> None:
    reply = Reply.truncated("half an ans")
    assert (reply.content, reply.finish_reason) == ("half an ans", "length")


def test_a_refused_reply_has_no_content() -> None:
    assert Reply.refused("no").refusal == "no"
    assert Reply.refused().content == ""


@given(
    st.recursive(
        st.integers() | st.text() | st.none(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(json.dumps)
)
def test_malformed_json_never_parses(data: str) -> None:
    text = to_text(Reply.malformed_json(data).content)
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)


@pytest.mark.parametrize("note", [None, "text"])
def test_wrong_types_keep_the_keys_and_fail_every_field(note: str | None) -> None:
    right = Answering(count=1, text="a", flag=True, items=[1], note=note)
    reply = Reply.wrong_types(right)
    with pytest.raises(ValidationError) as caught:
        Answering.model_validate_json(to_text(reply.content))
    fields = {error["loc"][0] for error in caught.value.errors()}
    assert fields == {"count", "text", "flag", "items", "note"}


def test_wrong_types_reach_into_objects() -> None:
    content = Reply.wrong_types({"a": {"b": 1.5, "c": "x"}}).content
    assert content == {"a": {"b": "not of this type", "c": {"not": "of this type"}}}


@pytest.mark.parametrize(
    ("fault", "label", "status"),
    [
        (Fault.rate_limit(), "429", 429),
        (Fault.server_error(), "500", 500),
        (Fault.server_error(503), "503", 503),
        (Fault.http(401), "401", 401),
        (Fault.timeout(), "timeout", 500),
        (Fault.disconnect(), "disconnect", 500),
        (Fault.malformed_body(), "malformed_body", 500),
    ],
)
def test_a_fault_has_a_label(fault: Fault, label: str, status: int) -> None:
    assert (fault.label, fault.status) == (label, status)


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (ToolCall("t"), "{}"),
        (ToolCall("t", {"a": "ü"}), '{"a": "ü"}'),
        (ToolCall("t", "{bad"), "{bad"),
    ],
)
def test_the_arguments_of_a_tool_call_are_json_text(
    call: ToolCall, arguments: str
) -> None:
    assert call.arguments == arguments


def test_a_deep_copy_shares_gates_and_functions() -> None:
    gate = threading.Event()
    rule = Rule(reply=Reply("x", wait_for=gate), where=lambda _: True)
    copied = copy.deepcopy({"rules": [rule]})["rules"][0]
    assert isinstance(copied.reply, Reply)
    assert copied.reply.wait_for is gate


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("plain", "plain"),
        ({"ü": [1, None]}, '{"ü": [1, null]}'),
        ([1, "a"], '[1, "a"]'),
        (Answering(count=1, text="t", flag=False, items=[]), None),
    ],
)
def test_all_but_text_is_sent_as_json(content: Any, text: str | None) -> None:
    if text is None:
        assert Answering.model_validate_json(to_text(content)) == content
    else:
        assert to_text(content) == text


def test_replies_and_faults_are_values() -> None:
    assert Reply("a") == Reply("a")
    assert Fault.rate_limit(retry_after=1) != Fault.rate_limit(retry_after=2)
    with pytest.raises(AttributeError):
        Reply("a").content = "b"  # type: ignore[misc]  # that is the test


def test_a_fault_of_the_context_names_its_code() -> None:
    fault = Fault.context_overflow()
    assert (fault.status, fault.code) == (400, "context_length_exceeded")
