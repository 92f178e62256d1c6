"""What each mode needs, and how inputs are split."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.runnables import RunnableLambda

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.refine import Criteria, RefineChain
from langchain_prodpatterns.refine.modes import split
from langchain_prodpatterns.testing import ScriptedChatModel

LLM = ScriptedChatModel(default="x")
FUN = Criteria("fun", model=LLM)
TEN = [{"text": str(number)} for number in range(10)]


@given(st.integers(3, 60), st.floats(0.05, 0.9))
def test_a_share_is_always_drawn_alike(size: int, share: float) -> None:
    inputs = [{"n": number} for number in range(size)]
    try:
        parts = split(inputs, share)
    except ConfigurationError:
        assert size - max(1, round(size * share)) < 2
        return
    assert parts == split(inputs, share)
    assert sorted([*parts.train, *parts.held_out], key=str) == sorted(inputs, key=str)
    assert len(parts.held_out) == max(1, round(size * share))


def test_held_out_inputs_may_be_given() -> None:
    parts = split(TEN[:2], TEN[2:])
    assert (list(parts.train), list(parts.held_out)) == (TEN[:2], TEN[2:])


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"mode": "swim"}, "mode must be one of 'loop', 'single_prompt', 'prompt'"),
        ({"inputs": TEN}, "inputs are for mode='prompt', and mode is 'loop'"),
        ({"held_out": 0.5}, "held_out is for mode='prompt', and mode is 'loop'"),
        ({"mode": "single_prompt", "failed_ideas": 1}, "failed_ideas are for"),
        (
            {"mode": "prompt", "inputs": TEN, "failed_ideas": 1},
            "failed_ideas are for mode='loop', and mode is 'prompt'",
        ),
        ({"mode": "prompt"}, "needs inputs="),
        ({"mode": "prompt", "inputs": TEN[:2]}, "at least 2 inputs to make edits"),
        ({"mode": "prompt", "inputs": TEN, "held_out": 0}, "above 0 and below 1"),
        ({"mode": "prompt", "inputs": TEN, "held_out": 1.0}, "above 0 and below 1"),
        ({"mode": "prompt", "inputs": TEN, "held_out": []}, "got 10 and 0"),
        ({"mode": "prompt", "inputs": ["a", "b"]}, "inputs must be a list of mappings"),
        ({"mode": "prompt", "inputs": TEN, "held_out": "a"}, "held_out must be a list"),
        (
            {"mode": "prompt", "inputs": TEN, "generator": None, "reviser": LLM},
            "needs a generator",
        ),
        (
            {"mode": "prompt", "inputs": TEN, "generator": RunnableLambda(str)},
            "needs a chat model that edits the prompt",
        ),
        (
            {"mode": "prompt", "inputs": TEN, "reviser": lambda _: "x"},
            "needs a chat model that edits the prompt",
        ),
        (
            {"mode": "single_prompt", "generator": RunnableLambda(str)},
            "needs a chat model as its generator, got RunnableLambda",
        ),
        ({"mode": "single_prompt", "reviser": LLM}, "a reviser has nothing to do"),
        ({"mode": "single_prompt", "candidates": 2}, "got candidates=2"),
    ],
)
def test_what_does_not_go_together(kwargs: dict[str, Any], match: str) -> None:
    arguments: dict[str, Any] = {"generator": LLM, "critics": [FUN], **kwargs}
    with pytest.raises(ConfigurationError, match=match):
        RefineChain(**arguments)


@pytest.mark.parametrize("mode", ["single_prompt", "prompt"])
def test_only_a_loop_is_resumed(mode: Any) -> None:
    inputs = TEN if mode == "prompt" else None
    chain = RefineChain(LLM, critics=[FUN], mode=mode, inputs=inputs)
    with pytest.raises(ConfigurationError, match="resume goes on with mode='loop'"):
        chain.resume([])


@pytest.mark.parametrize("include_rounds", [False, True])
@pytest.mark.parametrize("mode", ["single_prompt", "prompt"])
def test_schemas_are_real(mode: Any, include_rounds: bool) -> None:
    chain = RefineChain(
        LLM,
        critics=[FUN],
        mode=mode,
        inputs=TEN if mode == "prompt" else None,
        include_rounds=include_rounds,
    )
    assert chain.get_input_jsonschema()
    assert chain.get_output_jsonschema()
    assert "RefineChain" in chain.get_graph().draw_mermaid()
