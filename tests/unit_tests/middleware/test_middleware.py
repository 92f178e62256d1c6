"""The public names, and what they cost."""

import subprocess
import sys

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool

from langchain_prodpatterns import SemanticJudgeCache, middleware
from langchain_prodpatterns.compression import ContextCompressor
from langchain_prodpatterns.testing import LexicalEmbeddings, ScriptedChatModel


def test_every_name_is_there() -> None:
    assert sorted(middleware.__all__) == middleware.__all__ == dir(middleware)
    for name in middleware.__all__:
        assert getattr(middleware, name).__name__ == name


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="Nothing"):
        _ = middleware.Nothing


def test_the_package_alone_does_not_import_langchain() -> None:
    script = (
        "import sys, langchain_prodpatterns.middleware\n"
        "assert 'langchain' not in sys.modules\n"
        "assert 'langgraph' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)  # noqa: S603


@tool
def search(text: str) -> str:
    """Search the handbook."""
    return text


def test_all_of_them_stand_in_one_list_without_a_word_about_types() -> None:
    # That type checkers take the list is what is tested: mypy reads the tests, too.
    embeddings = LexicalEmbeddings()
    agent = create_agent(
        ScriptedChatModel(default="Fine."),
        [search],
        middleware=[
            middleware.GuardMiddleware(),
            middleware.SemanticCacheMiddleware(SemanticJudgeCache(embeddings, bool)),
            middleware.ToolRouterMiddleware([search], embeddings),
            middleware.CompressToolOutputMiddleware(
                ContextCompressor(embeddings), tools=["search"]
            ),
            middleware.RefineMiddleware(critics=[lambda _: True]),
            middleware.StructuredRetryMiddleware(),
        ],
    )
    said = agent.invoke({"messages": [HumanMessage("How are you?")]})
    assert said["messages"][-1].content == "Fine."
