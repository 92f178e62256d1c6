"""What a tool found is quoted by the question, and never lost."""

from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import BaseTool, StructuredTool, ToolException
from langgraph.types import Command

from langchain_prodpatterns.compression import ContextCompressor, Scorer
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.ledger import track
from langchain_prodpatterns.middleware import CompressToolOutputMiddleware
from tests.unit_tests.middleware.agents import WAYS, Turn, agent_of, calling, said

both_ways = pytest.mark.parametrize("run", WAYS)

FILLER = "The shop was founded by the river and sells lamps of many kinds. "
FACT = "Refunds are paid within fourteen days."
TEXT = (
    FILLER * 20 + FACT + " " + "Our staff is friendly on every day of the week. " * 20
)
QUESTION = "Within how many days are refunds paid?"
KEY = "prodpatterns.compression"
COMPRESSOR = ContextCompressor(token_budget=40)


def _search(gives: Any, **kwargs: Any) -> BaseTool:
    def search(text: str = "") -> Any:
        """Search the handbook."""
        if isinstance(gives, Exception):
            raise gives
        return gives

    return StructuredTool.from_function(search, **kwargs)


def _middleware(compressor: Any = COMPRESSOR, **kwargs: Any) -> Any:
    return CompressToolOutputMiddleware(compressor, **{"tools": ["search"], **kwargs})


def _result(run: Turn, tool: BaseTool, middleware: Any, value: Any = None) -> Any:
    agent, model = agent_of([calling(tool.name), "fine"], [tool], middleware)
    result = run(agent, value or said(QUESTION))
    message = result["messages"][2]
    assert isinstance(message, ToolMessage)
    assert len(model.requests) == 2
    return message


@both_ways
def test_a_text_is_quoted_with_its_offsets(run: Turn) -> None:
    with track() as ledger:
        message = _result(run, _search(TEXT), _middleware())
    assert FACT in message.text
    assert len(message.text) < len(TEXT) / 5
    [entry] = message.response_metadata[KEY]["spans"]
    assert entry["block"] == 0
    quoted = [TEXT[start:end] for start, end in entry["spans"]]
    assert "\n".join(quoted) == message.text
    assert ledger.summary().by_pattern["compression"].saved_tokens > 0


@both_ways
def test_text_blocks_share_a_budget_and_others_stay(run: Turn) -> None:
    picture = {"type": "image", "url": "https://a.example/1.png"}
    blocks = [{"type": "text", "text": FILLER * 20}, picture]
    blocks.append({"type": "text", "text": TEXT})
    message = _result(run, _search(blocks), _middleware())
    assert picture in message.content
    assert FACT in message.text
    for entry in message.response_metadata[KEY]["spans"]:
        source = blocks[entry["block"]]["text"]
        for start, end in entry["spans"]:
            assert source[start:end] in message.text


@both_ways
def test_documents_in_an_artifact_are_quoted(run: Turn) -> None:
    documents = [Document(FILLER * 20), Document(TEXT, metadata={"title": "Refunds"})]
    tool = _search((FILLER + TEXT, documents), response_format="content_and_artifact")
    message = _result(run, tool, _middleware())
    assert message.text.startswith("[1] Refunds\n")
    assert FACT in message.text
    first = message.artifact[0]
    start, end = first.metadata["prodpatterns.spans"][0]
    assert FACT in TEXT[start:end]
    assert message.response_metadata[KEY]["of"] == 2


@both_ways
def test_what_a_command_brings_is_quoted(run: Turn) -> None:
    message = ToolMessage(TEXT, tool_call_id="search-0", name="search")
    command: Command[Any] = Command(update={"messages": [message]})
    made = _result(run, _search(command), _middleware())
    assert FACT in made.text
    assert len(made.text) < len(TEXT) / 5


@both_ways
def test_what_is_quoted_already_is_left_alone(run: Turn) -> None:
    once = _result(run, _search(TEXT), _middleware())
    again: Command[Any] = Command(update={"messages": [once]})
    dropping = ContextCompressor(token_budget=40, min_score=0.9, on_empty="drop")
    middleware = _middleware(dropping, min_characters=1)
    made = _result(run, _search(again), middleware, said("Where is the river?"))
    assert made.text == once.text


class Failing(Scorer):
    """Fails, and says on what."""

    def score(self, *args: Any, **kwargs: Any) -> Any:
        msg = f"failed on {FACT}"
        raise RuntimeError(msg)


@both_ways
def test_where_it_fails_the_output_goes_on_whole(
    run: Turn, caplog: pytest.LogCaptureFixture
) -> None:
    failing = ContextCompressor(token_budget=40, scorer=Failing())
    message = _result(run, _search(TEXT), _middleware(failing))
    assert message.text == TEXT
    assert message.response_metadata[KEY] == {"failed": "RuntimeError"}
    assert "RuntimeError" in caplog.text
    assert FACT not in caplog.text


@both_ways
def test_what_answers_nothing_is_said_to(run: Turn) -> None:
    dropping = ContextCompressor(token_budget=40, min_score=0.9, on_empty="drop")
    message = _result(run, _search("zzz " * 400), _middleware(dropping))
    assert message.text == "Nothing in the result of this tool answers the question."
    assert message.response_metadata[KEY] == {"spans": []}


@both_ways
def test_what_passes_through_is_quoted_whole(run: Turn) -> None:
    passing = ContextCompressor(token_budget=40, min_score=2, on_empty="passthrough")
    message = _result(run, _search("zzz " * 400), _middleware(passing))
    assert message.text == "zzz " * 400
    spans = [{"block": 0, "spans": [[0, 1600]]}]
    assert message.response_metadata[KEY] == {"spans": spans}


@both_ways
@pytest.mark.parametrize(
    ("tool", "options", "value"),
    [
        (_search(FACT), {}, None),
        (_search(ToolException(TEXT), handle_tool_error=True), {}, None),
        (_search(TEXT), {"tools": ["other"]}, None),
        (_search(TEXT), {"min_characters": 10_000}, None),
        (_search(TEXT), {}, {"messages": [HumanMessage([])]}),
    ],
)
def test_what_is_left_alone(
    run: Turn, tool: BaseTool, options: dict[str, Any], value: Any
) -> None:
    message = _result(run, tool, _middleware(**options), value)
    assert message.text in (TEXT, FACT)
    assert KEY not in message.response_metadata


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"compressor": "none"}, "ContextCompressor"),
        ({"tools": []}, "tools is empty"),
        ({"tools": "search"}, "tools must be a list"),
        ({"min_characters": 0}, "min_characters"),
        ({"name": 7}, "name"),
    ],
)
def test_what_cannot_work_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        _middleware(**arguments)
