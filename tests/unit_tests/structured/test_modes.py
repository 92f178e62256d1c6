"""Each model is asked in the best way that it supports, and read in one."""

import json
from typing import Annotated, Any, Literal

import pytest
from langchain_core.language_models import FakeListLLM
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call
from langchain_core.runnables import ConfigurableField
from pydantic import BaseModel, ConfigDict, Field

from langchain_prodpatterns import Rung, StructuredRetryParser
from langchain_prodpatterns.errors import ConfigurationError, StructuredOutputError
from langchain_prodpatterns.structured.modes import (
    Form,
    bound_rungs,
    choose_way,
    make_form,
    unwrapped,
)
from langchain_prodpatterns.structured.targets import make_target
from langchain_prodpatterns.testing import Fault, Reply
from tests.unit_tests.structured.doubles import (
    INVALID,
    TICKET,
    TICKET_SCHEMA,
    VALID,
    Color,
    Node,
    Ticket,
    kinds,
    parser_on,
    prompt_of,
    result_of,
    scripted,
)

NATIVE = {"structured_output": True, "tool_calling": True}
TOOL = {"structured_output": False, "tool_calling": True}


class Address(BaseModel):
    street: str
    number: int | None


class Person(BaseModel):
    """Somebody."""

    name: str
    homes: list[Address]


def form_of(model: Any) -> Form:
    form = make_form(make_target(model))
    assert form is not None
    return form


def params_of(model: Any, number: int = 0) -> dict[str, Any]:
    return dict(model.requests[number].params)


@pytest.mark.parametrize(
    ("profile", "way"),
    [
        (NATIVE, "native"),
        ({"structured_output": True}, "native"),
        (TOOL, "tool"),
        ({"tool_calling": False}, "prompt"),
        ({}, "prompt"),
        (None, "prompt"),
    ],
)
def test_auto_goes_by_the_profile(profile: Any, way: str) -> None:
    model = scripted(*[VALID] * 6, profile=profile)
    form = form_of(Ticket)

    assert choose_way("auto", model, form) == way
    for around in (
        model.bind(stop=["x"]),
        model.with_retry(),
        model.with_config(tags=["a"]),
        model.with_fallbacks([scripted(VALID, profile=NATIVE)]),
    ):
        assert choose_way("auto", around, form) == way


def test_the_fallbacks_must_support_it_too() -> None:
    native = scripted(VALID, profile=NATIVE)
    tools = scripted(VALID, profile=TOOL)
    form = form_of(Ticket)

    assert choose_way("auto", native.with_fallbacks([tools]), form) == "tool"
    assert (
        choose_way("auto", native.with_fallbacks([scripted(VALID)]), form) == "prompt"
    )
    plain = FakeListChatModel(responses=["x"], profile=TOOL)
    assert choose_way("auto", plain, form) == "prompt"
    text: Any = FakeListLLM(responses=["x"])
    assert choose_way("auto", native.with_fallbacks([text]), form) == "prompt"


@pytest.mark.parametrize(
    "make",
    [
        lambda model: model.bind_tools([Ticket]),
        lambda model: model.bind(response_format={"type": "json_object"}),
        lambda model: model.bind_tools([Ticket]).with_retry(),
        lambda model: model.bind_tools([Ticket]).with_fallbacks([model]),
        lambda model: model.bind_tools([Ticket]).with_config(tags=["a"]),
    ],
)
def test_what_a_developer_has_bound_stays(make: Any) -> None:
    model = make(scripted(VALID, profile=NATIVE))

    assert choose_way("auto", model, form_of(Ticket)) == "prompt"
    with pytest.raises(ConfigurationError, match="are bound to the model already"):
        StructuredRetryParser(Ticket, [model], mode="tool")


@pytest.mark.parametrize("model", [Color, list[Ticket], int, Ticket | Node])
def test_what_is_no_object_is_asked_in_words(model: Any) -> None:
    form = make_form(make_target(model))

    assert choose_way("auto", scripted(VALID, profile=NATIVE), form) == "prompt"


@pytest.mark.parametrize(
    ("mode", "model"),
    [
        ("tool", FakeListChatModel(responses=["x"])),
        ("tool", FakeListLLM(responses=["x"])),
        ("native", FakeListLLM(responses=["x"])),
        ("tool", scripted(VALID).with_fallbacks([FakeListChatModel(responses=["x"])])),
    ],
)
def test_a_mode_that_a_model_cannot_take_is_refused(mode: Any, model: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"mode='{mode}' needs a chat model"):
        StructuredRetryParser(Ticket, [model], mode=mode)


def test_a_schema_that_cannot_be_wrapped_is_refused() -> None:
    schema = {"type": "array", "items": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}}

    with pytest.raises(ConfigurationError, match="use mode='prompt'"):
        StructuredRetryParser(schema, [scripted(VALID)], mode="tool")
    parser = StructuredRetryParser(schema, [scripted("[[null]]", profile=NATIVE)])
    assert parser.invoke("x") == [[None]]


@pytest.mark.parametrize("mode", ["auto", "prompt", "tool", "native"])
@pytest.mark.parametrize("model", [Ticket, TICKET_SCHEMA])
async def test_each_mode_gives_the_same(mode: Any, model: Any) -> None:
    chat = scripted(VALID, VALID, profile=NATIVE)
    parser = StructuredRetryParser(model, [chat], mode=mode)
    expected = TICKET if model is Ticket else json.loads(VALID)

    assert parser.invoke("my door") == expected
    assert await parser.ainvoke("my door") == expected
    names = {"response_format", "tools"} & set(params_of(chat))
    wanted = {"auto": "response_format", "native": "response_format", "tool": "tools"}
    assert names == ({wanted[mode]} if mode in wanted else set())


@pytest.mark.parametrize("mode", ["prompt", "tool", "native"])
@pytest.mark.parametrize(
    ("model", "value"),
    [
        (Color, "red"),
        (list[Node], [{"name": "a", "children": [{"name": "b", "children": []}]}]),
        (int, 7),
        (Literal["a", "b"], "b"),
        (Ticket | Node, {"name": "n", "children": []}),
        ({"type": "array", "items": {"type": "integer"}}, [1, 2]),
    ],
)
def test_what_is_no_object_is_wrapped_in_one(mode: Any, model: Any, value: Any) -> None:
    text = json.dumps(value) if mode == "prompt" else json.dumps({"answer": value})
    chat = scripted(text)

    answer = StructuredRetryParser(model, [chat], mode=mode).invoke("x")

    assert make_target(model).render(answer) == json.dumps(value, separators=(",", ":"))


def test_an_answer_without_the_object_around_it_is_read_too() -> None:
    form = form_of(list[int])

    for text in ("[1]", '{"other": 1}', "[" * 50_000, '{"answer": 1, "b": 2}'):
        message = AIMessage(text)
        assert unwrapped(message, form) is message
    assert unwrapped("text", form) == "text"
    assert unwrapped(AIMessage('{"answer": 1}'), form_of(Ticket)).text != "1"
    assert unwrapped(AIMessage('{"answer": "é"}'), form).text == '"é"'
    called = AIMessage("", tool_calls=[tool_call(name="A", args={"answer": 1}, id="1")])
    assert unwrapped(called, form).text == "1"
    assert unwrapped(called, form).tool_calls == []
    chunk = AIMessageChunk(content='{"answer": 1}')
    assert unwrapped(chunk, form).text == "1"


def test_the_object_around_it_has_a_key_that_the_schema_has_not() -> None:
    class Answered(BaseModel):
        answer: int

    assert form_of(list[Answered]).key == "answer_"


@pytest.mark.parametrize("mode", ["tool", "native"])
def test_a_failure_in_any_mode_is_asked_for_again(mode: Any) -> None:
    model = scripted(INVALID, Reply("no JSON", verbatim=True), VALID)

    result = result_of(parser_on(model, mode=mode, repair="regenerate"))

    assert kinds(result) == ["schema", "syntax", "ok"]
    assert "priority" in prompt_of(model, 1)
    assert "holds no JSON" in prompt_of(model, 2)
    assert all(params_of(model, at) == params_of(model) for at in (1, 2))


@pytest.mark.parametrize("mode", ["tool", "native"])
def test_a_patch_is_asked_for_in_words(mode: Any) -> None:
    patch = '[{"op": "replace", "path": "/priority", "value": "high"}]'
    model = scripted(INVALID, Reply(patch, verbatim=True))

    assert kinds(result_of(parser_on(model, mode=mode))) == ["schema", "ok"]
    assert params_of(model) != {}
    assert params_of(model, 1) == {}


@pytest.mark.parametrize("mode", ["tool", "native"])
async def test_a_model_that_rejects_the_form_is_asked_in_words(mode: Any) -> None:
    name = {"tool": "tools", "native": "response_format"}[mode]
    message = f"'{name}' is not supported with this model"
    for way in ("invoke", "ainvoke"):
        model = scripted(Fault.http(400, message), INVALID, VALID, VALID)
        parser = parser_on(model, attempts=2, mode=mode, repair="regenerate")
        called = getattr(parser, way)("x")
        result = await called if way == "ainvoke" else called

        assert kinds(result) == ["schema", "ok"]
        assert [name in params_of(model, at) for at in range(3)] == [True, False, False]
        assert result_of(parser).usage.calls == 1  # it is known from then on


def test_a_rejected_temperature_and_a_rejected_form_are_both_dropped() -> None:
    model = scripted(
        Fault.http(400, "'response_format' is not supported"),
        Fault.http(400, "'temperature' is not supported"),
        VALID,
    )
    rung = Rung(model, temperatures=(0.3,))

    assert kinds(result_of(parser_on(rung, attempts=1, mode="native"))) == ["ok"]
    assert params_of(model, 2) == {}


def test_in_words_a_bad_request_is_an_attempt() -> None:
    model = scripted(Fault.http(400, "no 'response_format'"))

    with pytest.raises(StructuredOutputError) as caught:
        parser_on(model, mode="prompt").invoke("x")

    assert kinds(caught.value) == ["provider"]


def test_a_model_that_answers_with_a_text_all_the_same() -> None:
    text = f"Sure! {VALID}"
    model = scripted(Reply(text, verbatim=True), profile=NATIVE)

    assert StructuredRetryParser(Ticket, [model], mode="tool").invoke("x") == TICKET


def test_a_tool_call_that_is_cut_off_is_truncated() -> None:
    model = scripted(Reply.truncated(VALID[:-5]), profile=TOOL, streaming=True)

    assert kinds(result_of(parser_on(model, scripted(VALID)))) == ["truncated", "ok"]


def test_what_is_around_a_model_is_kept() -> None:
    first, second = scripted(VALID), scripted(VALID)
    model = first.bind(stop=["END"]).with_retry().with_fallbacks([second])
    form = form_of(Ticket)

    for way in ("native", "tool"):
        (rung,) = bound_rungs([Rung(model, (0.5,))], [way], form)
        assert rung.temperatures == (0.5,)
        first.reset()
        rung.model.invoke("x")
        assert params_of(first)["stop"] == ["END"]
        assert {"tools", "response_format"} & set(params_of(first))
        around: Any = rung.model
        (other,) = around.fallbacks
        assert {"tools", "response_format"} & set(other.kwargs)


def test_one_model_on_two_rungs_stays_one() -> None:
    model = scripted(VALID)
    form = form_of(Ticket)

    one, two = bound_rungs([Rung(model), Rung(model)], ["tool", "tool"], form)
    assert one.model is two.model
    plain, bound = bound_rungs([Rung(model), Rung(model)], ["prompt", "tool"], form)
    assert plain.model is model
    assert bound.model is not model


def test_a_configurable_model() -> None:
    field = ConfigurableField(id="temperature")
    model = scripted(VALID, VALID, profile=NATIVE)
    configurable = model.configurable_fields(temperature=field)

    assert choose_way("auto", configurable, form_of(Ticket)) == "prompt"
    for mode in ("tool", "native"):
        parser = StructuredRetryParser(Ticket, [configurable], mode=mode)
        assert parser.invoke("x", {"configurable": {"temperature": 0.3}}) == TICKET
    assert params_of(model)["temperature"] == 0.3
    assert "tools" in params_of(model)


def test_a_tool_is_forced_where_that_is_possible() -> None:
    for can, forced in ((None, True), (True, True), (False, False)):
        profile = TOOL if can is None else {**TOOL, "tool_choice": can}
        model = scripted(Reply(VALID, verbatim=True), profile=profile)
        assert StructuredRetryParser(Ticket, [model]).invoke("x") == TICKET
        assert ("tool_choice" in params_of(model)) is forced


def test_the_form_is_strict_where_that_changes_nothing() -> None:
    named = form_of(Person).response_format["json_schema"]

    assert (named["name"], named["strict"]) == ("Person", True)
    schema = named["schema"]
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Address"]["additionalProperties"] is False
    assert "title" not in schema
    # The form itself is not changed by that.
    assert "additionalProperties" not in form_of(Person).tool["function"]["parameters"]


@pytest.mark.parametrize(
    "model",
    [
        Ticket,
        Node,
        {"type": "object", "properties": {}},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {
            "type": "object",
            "properties": {"a": {"not": {}}},
            "required": ["a"],
        },
    ],
)
def test_the_form_is_not_strict_where_that_would_change_it(model: Any) -> None:
    form = form_of(model)

    assert "strict" not in form.response_format["json_schema"]
    assert form.response_format["json_schema"]["schema"] == form.described


def test_a_described_reference_is_not_strict() -> None:
    class Home(BaseModel):
        at: Annotated[Address, Field(description="where")]

    assert "strict" not in form_of(Home).response_format["json_schema"]


def test_the_form_of_a_recursive_model_is_an_object() -> None:
    described = form_of(Node).described

    assert described["type"] == "object"
    assert "Node" in described["$defs"]


def test_names_that_providers_refuse() -> None:
    class Größe(BaseModel):  # noqa: PLC2401 - the point of the test
        model_config = ConfigDict(title="Größe")
        a: int

    assert form_of(Größe).name == "Answer"
    assert form_of(Ticket).tool["function"]["description"] == "A support ticket."
    assert form_of(Address).tool["function"]["description"] == "Gives the answer."
