import json
from typing import Any, TypedDict

import pytest
from langchain_core.exceptions import OutputParserException
from pydantic import BaseModel, ValidationError

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.testing import Reply, ScriptedChatModel

METHODS = ["function_calling", "json_schema", "json_mode"]


class Answer(BaseModel):
    """An answer."""

    count: int
    note: str = "none"


class Typed(TypedDict):
    """An answer."""

    count: int


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("reply", [{"count": 3}, Answer(count=3), '{"count": 3}'])
async def test_one_reply_fits_every_method(method: Any, reply: Any) -> None:
    model = ScriptedChatModel(default=reply)
    structured = model.with_structured_output(Answer, method=method)
    assert structured.invoke("x") == Answer(count=3)
    assert await structured.ainvoke("x") == Answer(count=3)
    assert list(structured.stream("x"))[-1] == Answer(count=3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "schema", [Typed, Typed.__annotations__ and Answer.model_json_schema()]
)
def test_other_schemas_give_a_dict(method: Any, schema: Any) -> None:
    model = ScriptedChatModel(default={"count": 3})
    assert model.with_structured_output(schema, method=method).invoke("x") == {
        "count": 3
    }


@pytest.mark.parametrize("method", METHODS)
def test_the_raw_message_can_be_kept(method: Any) -> None:
    model = ScriptedChatModel(replies=[{"count": 3}, {"count": "many"}])
    structured = model.with_structured_output(Answer, method=method, include_raw=True)
    good: Any = structured.invoke("x")
    assert good["parsed"] == Answer(count=3)
    assert good["parsing_error"] is None
    assert good["raw"].usage_metadata["input_tokens"] > 0
    bad: Any = structured.invoke("x")
    assert bad["parsed"] is None
    assert isinstance(bad["parsing_error"], ValidationError | OutputParserException)


@pytest.mark.parametrize("method", METHODS)
def test_wrong_types_fail_to_parse(method: Any) -> None:
    model = ScriptedChatModel(default=Reply.wrong_types({"count": 3}))
    with pytest.raises((ValidationError, OutputParserException)):
        model.with_structured_output(Answer, method=method).invoke("x")


@pytest.mark.parametrize("method", METHODS)
def test_malformed_json_is_no_answer(method: Any) -> None:
    model = ScriptedChatModel(default=Reply.malformed_json({"count": [3, {"a": 1}]}))
    structured = model.with_structured_output(Answer, method=method, include_raw=True)
    found: Any = structured.invoke("x")
    assert found["parsed"] is None


@pytest.mark.parametrize(
    ("method", "key", "kind"),
    [
        ("function_calling", "tools", "function"),
        ("json_schema", "response_format", "json_schema"),
        ("json_mode", "response_format", "json_object"),
    ],
)
def test_the_request_asks_as_openai_is_asked(method: Any, key: str, kind: str) -> None:
    model = ScriptedChatModel(default={"count": 3})
    model.with_structured_output(Answer, method=method, temperature=0.5).invoke("x")
    params = model.requests[0].params
    asked = params[key][0] if key == "tools" else params[key]
    assert asked["type"] == kind
    assert params["temperature"] == 0.5
    assert ("Answer" in json.dumps(asked)) is (method != "json_mode")
    assert "ls_structured_output_format" not in params


@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
def test_strict_is_passed_on(method: Any) -> None:
    model = ScriptedChatModel(default={"count": 3})
    model.with_structured_output(Answer, method=method, strict=True).invoke("x")
    assert '"strict": true' in json.dumps(dict(model.requests[0].params))


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="unknown method"):
        ScriptedChatModel(default="x").with_structured_output(
            Answer,
            method="xml",  # type: ignore[arg-type]  # that is the test
        )
