"""Structured output of a real client behind LangChain's cache."""

import logging
from typing import Any

import pytest
from pydantic import BaseModel, create_model

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.testing import LexicalEmbeddings, ScriptedProvider


class Answer(BaseModel):
    x: int


def test_an_answer_of_a_class_that_is_found_again_is_served() -> None:
    with (
        SemanticJudgeCache(LexicalEmbeddings(), band=(0.9, 0.99)) as cache,
        ScriptedProvider([], default='{"x": 1}') as provider,
    ):
        model = provider.chat_model(cache=cache).with_structured_output(Answer)

        assert [model.invoke("Why?") for _ in range(2)] == [Answer(x=1)] * 2
        assert provider.calls == 1


def test_classes_that_differ_in_nothing_but_their_fields_do_not_share(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # The request shows no more of such a class than its name.
    kinds: list[Any] = [create_model("Made", x=int), create_model("Made", y=int)]
    with (
        SemanticJudgeCache(LexicalEmbeddings(), band=(0.9, 0.99)) as cache,
        ScriptedProvider([], default='{"x": 1, "y": 2}') as provider,
        caplog.at_level(logging.WARNING),
    ):
        model = provider.chat_model(cache=cache)

        answers: list[Any] = [
            model.with_structured_output(kind).invoke("Why?") for kind in kinds
        ]

        assert [answer.model_dump() for answer in answers] == [{"x": 1}, {"y": 2}]
        assert provider.calls == 2
    # Both classes are alive: which of them a request is for cannot be seen.
    assert "lookup failed (AmbiguousClass)" in caplog.text
