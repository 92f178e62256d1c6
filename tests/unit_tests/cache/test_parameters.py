"""What of a model and its parameters decides the answer."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.cache.parameters import canonical_parameters
from langchain_prodpatterns.cache.schemas import THIS_PROCESS

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"x": 1}}}


def serialized(
    bound: list[tuple[str, Any]] | None = None, *, name: str = "Chat", **kwargs: Any
) -> str:
    """Return the string of a model that LangChain can serialize."""
    model = {
        "lc": 1,
        "type": "constructor",
        "id": ["langchain", "chat_models", "openai", "ChatOpenAI"],
        "kwargs": {"model_name": "gpt", **kwargs},
        "name": name,
    }
    return f"{json.dumps(model, sort_keys=True)}---{bound or [('stop', None)]}"


def plain(**kwargs: Any) -> str:
    """Return the string of any other model."""
    return str(sorted({"model": "m", "stop": None, **kwargs}.items()))


NOT_OF_THE_ANSWER = {
    "anthropic_api_url": "http://b",
    "base_url": "http://b",
    "cache_control": {"type": "ephemeral"},
    "disable_streaming": True,
    "endpoint": "https://b",
    "max_retries": 9,
    "metadata": {"a": 1},
    "prompt_cache_key": "k",
    "request_timeout": 3.0,
    "stream_chunk_timeout": 9.0,
    "stream_usage": True,
    "streaming": True,
    "tags": ["a"],
    "timeout": 9,
}
OF_THE_ANSWER = {
    "endpoint": "databricks-dbrx-instruct",
    "extra_body": {"top_k": 1},
    "logit_bias": {"1": 2},
    "max_tokens": 5,
    "model": "other",
    "model_kwargs": {"seed": 1},
    "n": 2,
    "output_version": "v1",
    "parallel_tool_calls": False,
    "previous_response_id": "resp_1",
    "reasoning_effort": "high",
    "response_format": {"type": "json_object"},
    "seed": 1,
    "stop": ["x"],
    "strict": True,
    "temperature": 0.1,
    "tool_choice": "any",
    "tools": [TOOL],
    "top_p": 0.5,
}


def shapes(key: str, value: Any) -> list[tuple[str, str]]:
    """Return each shape of string without and with a parameter."""
    bound = sorted({"stop": None, key: value}.items())
    return [
        (serialized(), serialized(**{key: value})),
        (serialized(), serialized(bound)),
        (plain(), plain(**{key: value})),
    ]


@pytest.mark.parametrize(("key", "value"), NOT_OF_THE_ANSWER.items())
def test_how_a_model_is_reached_is_left_out(key: str, value: Any) -> None:
    for without, having in shapes(key, value):
        assert canonical_parameters(without) == canonical_parameters(having)


@pytest.mark.parametrize(("key", "value"), OF_THE_ANSWER.items())
def test_what_decides_the_answer_stays(key: str, value: Any) -> None:
    for without, having in shapes(key, value):
        assert canonical_parameters(without) != canonical_parameters(having)


def test_what_a_model_is_called_in_traces_is_left_out() -> None:
    first, second = serialized(name="a"), serialized(name="b")

    assert canonical_parameters(first) == canonical_parameters(second)


@pytest.mark.parametrize(
    "changed",
    [
        {"function": {"name": "g", "parameters": {"x": 1}}},
        {"function": {"name": "f", "parameters": {"x": 2}}},
        {"function": {"name": "f", "parameters": {"x": 1}, "strict": True}},
        {"function": {"name": "f", "parameters": {"x": 1}, "description": "d"}},
    ],
)
def test_every_part_of_a_tool_counts(changed: dict[str, Any]) -> None:
    first, second = plain(tools=[TOOL]), plain(tools=[{**TOOL, **changed}])

    assert canonical_parameters(first) != canonical_parameters(second)


def test_text_in_a_tool_is_not_mistaken_for_a_transport_parameter() -> None:
    first = [("tools", [{"description": "('timeout', 1), ('base_url', 'a')"}])]
    second = [("tools", [{"description": "('timeout', 2), ('base_url', 'b')"}])]

    assert canonical_parameters(str(first)) != canonical_parameters(str(second))


def test_parameters_that_are_no_literals_partition_by_their_text() -> None:
    first, second = "[('x', <object 1>)]", "[('x', <object 2>)]"

    assert canonical_parameters(first) == canonical_parameters(first)
    assert canonical_parameters(first) != canonical_parameters(second)


def test_an_address_says_nothing_to_other_processes() -> None:
    with_address = "[('x', <f at 0x7f00>)]"

    assert THIS_PROCESS in canonical_parameters(with_address)
    assert THIS_PROCESS not in canonical_parameters("[('x', <f>)]")
    assert THIS_PROCESS not in canonical_parameters("[('x', '<f at 0x7f00>')]")


@given(
    *[
        st.dictionaries(
            st.sampled_from(sorted(OF_THE_ANSWER)),
            st.one_of(st.integers(0, 1), st.sampled_from(["a", "a'", '"a', "')]"])),
            max_size=3,
        )
    ]
    * 2
)
def test_no_two_lists_of_parameters_are_one(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    one, other = plain(**first), plain(**second)

    assert (canonical_parameters(one) == canonical_parameters(other)) == (one == other)
