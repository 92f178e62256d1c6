"""What a command line names by module and attribute."""

import sys
from types import ModuleType
from typing import Any

import pytest

from langchain_prodpatterns.commands import loading
from langchain_prodpatterns.commands.loading import (
    load_embeddings,
    load_judge,
    load_tools,
)
from langchain_prodpatterns.demo import embedding
from langchain_prodpatterns.errors import ConfigurationError, MissingExtraError
from langchain_prodpatterns.fingerprints import fingerprint_of
from langchain_prodpatterns.testing import ScriptedChatModel

HERE = __name__
MODEL = ScriptedChatModel(default="yes")
TOOLS = [print]


def rule(request: Any) -> bool:
    return True


def make_model() -> ScriptedChatModel:
    return MODEL


def make_nothing() -> None:
    return None


def broken() -> None:
    raise LookupError("secret")


def make_tools() -> list[Any]:
    return TOOLS


def test_a_judge_is_a_model_a_function_or_what_makes_one() -> None:
    assert load_judge(f"{HERE}:MODEL") is MODEL
    assert load_judge(f"{HERE}:rule") is rule
    assert load_judge(f"{HERE}:make_model") is MODEL


def test_tools_are_a_list_or_what_makes_one() -> None:
    assert load_tools(f"{HERE}:TOOLS") is TOOLS
    assert load_tools(f"{HERE}:make_tools") is TOOLS


@pytest.mark.parametrize(
    ("load", "name", "message"),
    [
        (load_judge, "no colon", "--judge must be MODULE:ATTRIBUTE, got 'no colon'"),
        (load_judge, f"{HERE}:missing", "cannot be had .AttributeError.: name a judge"),
        (load_judge, f"{HERE}:broken", "cannot be had .LookupError."),
        (load_judge, f"{HERE}:HERE", "must be a chat model, a Runnable or a function"),
        (load_judge, f"{HERE}:make_nothing", "a function, got NoneType"),
        (load_tools, f"{HERE}:HERE", "must be a list of tools that is not empty"),
        (load_tools, f"{HERE}:broken", "cannot be had .LookupError.: name a list"),
        (load_embeddings, f"{HERE}:TOOLS", "must be an Embeddings, got list"),
    ],
)
def test_what_is_none_is_refused(load: Any, name: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        load(name)
    assert "secret" not in str(caught.value)


class TextEmbedding:
    """Stands in for fastembed's."""

    def __init__(self, model: str) -> None:
        if model == "unknown":
            raise ValueError("secret")
        self.name = model


@pytest.fixture
def fastembed(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("fastembed")
    module.TextEmbedding = TextEmbedding  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fastembed", module)
    monkeypatch.setattr(embedding, "find_local_embeddings", lambda: None)


def test_fastembed_is_named_with_its_model(fastembed: None) -> None:
    for name, model in [("fastembed", embedding.MODEL), ("fastembed:small", "small")]:
        found = load_embeddings(name)
        assert isinstance(found, embedding.FastEmbeddings)
        assert fingerprint_of(found).name == f"FastEmbeddings({model})"
    with pytest.raises(
        ConfigurationError, match=r"fastembed's 'unknown' cannot be had"
    ):
        load_embeddings("fastembed:unknown")


def test_without_fastembed_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastembed", None)

    with pytest.raises(MissingExtraError, match=r"--embeddings fastembed needs the"):
        load_embeddings("fastembed")
    assert loading.FASTEMBED == "fastembed"
