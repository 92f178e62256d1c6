import re
from collections import Counter
from collections.abc import Callable
from datetime import date
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.exceptions import ModelInvalidRequestError
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from pydantic import BaseModel

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.testing import (
    Fault,
    Reply,
    Rule,
    ScriptedRequest,
    ScriptError,
    echo,
)
from langchain_prodpatterns.testing.replies import Answer
from langchain_prodpatterns.testing.scripting import Script, Scripted, text_of


def ask(text: str = "hello", *, system: str = "", **known: Any) -> ScriptedRequest:
    messages = [{"role": "user", "content": text}]
    if system:
        messages.insert(0, {"role": "system", "content": system})
    fields: dict[str, Any] = {"model": "small", "params": {}} | known
    return ScriptedRequest(messages=tuple(messages), **fields)


def counting() -> Callable[[int], int]:
    uses: Counter[int] = Counter()

    def use(rule: int) -> int:
        uses[rule] += 1
        return uses[rule] - 1

    return use


def play(script: Script, *requests: ScriptedRequest) -> list[Answer]:
    use = counting()
    return [script.answer(request, use)[0] for request in requests]


class Answering(BaseModel):
    count: int
    text: str
    flag: bool
    items: list[int]
    note: str | None = None


# Rules


@pytest.mark.parametrize(
    ("rule", "request_", "fits"),
    [
        (Rule(reply="x"), ask(), True),
        (Rule("ell", "x"), ask("hello"), True),
        (Rule("ELL", "x"), ask("hello"), False),
        (Rule(re.compile("ELL", re.IGNORECASE), "x"), ask("hello"), True),
        (Rule(re.compile("^ell"), "x"), ask("hello"), False),
        (Rule("secret", "x"), ask("hello", system="a secret"), False),
        (Rule("secret", "x", within="prompt"), ask("hi", system="a secret"), True),
        (Rule(reply="x", model="small"), ask(), True),
        (Rule(reply="x", model="smal"), ask(), False),
        (Rule(reply="x", model=re.compile("sm.*")), ask(), True),
        (Rule(reply="x", model=re.compile("sm")), ask(), False),
        (Rule(reply="x", call=2), ask(number=2), True),
        (Rule(reply="x", call=2), ask(number=3), False),
        (Rule(reply="x", call={1, 3}), ask(number=3), True),
        (Rule(reply="x", call=range(5)), ask(number=5), False),
        (Rule(reply="x", where=lambda r: r.stream), ask(stream=True), True),
        (Rule(reply="x", where=lambda r: r.stream), ask(), False),
        (Rule("hello", "x", model="large"), ask("hello"), False),
    ],
)
def test_a_rule_fits_when_all_its_conditions_hold(
    rule: Rule, request_: ScriptedRequest, fits: bool
) -> None:
    assert rule.fits(request_) is fits


def test_the_first_rule_that_fits_answers() -> None:
    script = Script.build([Rule("a", "first"), Rule("ab", "second")])
    assert play(script, ask("ab")) == [Reply("first")]


def test_a_single_reply_answers_for_ever() -> None:
    assert play(Script.build([Rule(reply="x")]), *[ask()] * 3) == [Reply("x")] * 3


def test_first_calls_fail_then_succeed() -> None:
    fault = Fault.rate_limit(retry_after=0)
    script = Script.build([Rule("q", replies=[fault, fault, "ok"])])
    assert play(script, *[ask("q")] * 3) == [fault, fault, Reply("ok")]


def test_each_rule_counts_its_own_uses() -> None:
    script = Script.build([Rule("a", replies=["a1", "a2"]), Rule("b", replies=["b1"])])
    answers = play(script, ask("a"), ask("b"), ask("a"))
    assert answers == [Reply("a1"), Reply("b1"), Reply("a2")]


def test_replies_that_have_run_out_are_an_error_not_a_repeat() -> None:
    script = Script.build([Rule("q", replies=["one"]), Rule(reply="never")])
    use = counting()
    script.answer(ask("q"), use)
    with pytest.raises(ScriptError, match=r"1 scripted replies .* have run out.*'q'"):
        script.answer(ask("q"), use)


@given(st.integers(1, 4), st.integers(1, 20))
def test_a_cycle_goes_round(length: int, asked: int) -> None:
    replies = [str(i) for i in range(length)]
    answers = play(Script.build(replies=replies, cycle=True), *[ask()] * asked)
    assert answers == [Reply(str(i % length)) for i in range(asked)]


@pytest.mark.parametrize(
    ("given_", "answer"),
    [
        ("text", Reply("text")),
        ({"a": 1}, Reply({"a": 1})),
        ([1], Reply([1])),
        (Reply("r"), Reply("r")),
        (Fault.timeout(), Fault.timeout()),
        (lambda _: "made", Reply("made")),
        (lambda r: Reply(r.model), Reply("small")),
        (lambda _: {"a": 1}, Reply({"a": 1})),
        (echo, Reply("hello")),
        (AIMessage("hi"), Reply("hi")),
        (AIMessageChunk(content="hi"), Reply("hi")),
        (lambda _: AIMessage("made"), Reply("made")),
    ],
)
def test_an_answer_can_be_given_in_any_form(given_: Scripted, answer: Answer) -> None:
    assert play(Script.build([Rule(reply=given_)]), ask()) == [answer]


@pytest.mark.parametrize("given_", [HumanMessage("hi"), {"when": date(2026, 1, 2)}])
def test_what_is_no_answer_is_refused(given_: Any) -> None:
    with pytest.raises(ConfigurationError):
        play(Script.build(default=given_), ask())


async def _late(request: ScriptedRequest) -> str:
    return "late"


late: Any = _late


class Later:
    async def __call__(self, request: Any) -> str:
        return "late"


class Pending:
    def __await__(self) -> Any:
        yield


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (Rule(reply=late), "_late"),
        (Rule(replies=[late]), "_late"),
        (Rule(reply=lambda r: late(request=r)), "<lambda>"),
        (Rule(reply=cast("Any", Later())), "Later"),
        (Rule(reply=cast("Any", lambda r: Pending())), "<lambda>"),
        (Rule(reply="x", where=late), "_late"),
    ],
)
def test_an_async_function_is_refused_by_its_name(rule: Rule, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"'{name}' is async"):
        play(Script.build([rule]), ask())


def test_a_function_can_leave_a_request_to_the_next_rule() -> None:
    rules = [Rule(reply=lambda r: "even" if r.number % 2 == 0 else None)]
    script = Script.build(rules, default="odd")
    answers = play(script, ask(number=1), ask(number=2))
    assert answers == [Reply("odd"), Reply("even")]


def test_rules_come_before_respond_before_the_default() -> None:
    script = Script.build(
        [Rule("rule", "by rule")],
        respond=lambda r: "by function" if "function" in r.user_text else None,
        default="by default",
    )
    answers = play(script, ask("rule"), ask("function"), ask("other"))
    assert answers == [Reply("by rule"), Reply("by function"), Reply("by default")]


def test_the_answer_comes_with_the_rule_that_gave_it() -> None:
    script = Script.build([Rule("x", "y", name="named")])
    assert script.answer(ask("x"), counting())[1].label == "named"


def test_without_a_rule_the_error_names_the_prompt_and_the_rules() -> None:
    script = Script.build(
        [
            Rule("refund", "x"),
            Rule(re.compile("x|y"), "x", within="prompt"),
            Rule(reply="x", model="large", call=3),
            Rule("z", "x", name="my rule"),
            Rule(reply="x", where=bool_of_nothing),
        ]
    )
    with pytest.raises(ScriptError) as caught:
        script.answer(ask("What time is it?", number=7), counting())
    text = str(caught.value)
    assert "request 7 to model 'small': 'What time is it?'" in text
    assert "'user text has 'refund''" in text
    assert "prompt text has /x|y/" in text
    assert "model is 'large', call is 3" in text
    assert "'my rule'" in text
    assert "where bool_of_nothing" in text


def bool_of_nothing(_: ScriptedRequest) -> bool:
    return False


def test_a_long_prompt_is_shortened_in_the_error() -> None:
    with pytest.raises(ScriptError) as caught:
        Script.build().answer(ask("x" * 10_000), counting())
    assert len(str(caught.value)) < 400
    assert str(caught.value).endswith("Rules: none")


def test_a_script_error_is_not_retryable() -> None:
    assert issubclass(ScriptError, ModelInvalidRequestError)
    assert not ScriptError("x").is_retryable


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"replies": ["a"], "respond": echo}, "leaves nothing"),
        ({"replies": ["a"], "default": "b"}, "leaves nothing"),
        ({"cycle": True}, "there are none"),
        ({"cycle": True, "default": "b"}, "there are none"),
        ({"replies": []}, "empty"),
    ],
)
def test_contradicting_arguments_are_refused(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Script.build(**arguments)


@pytest.mark.parametrize("arguments", [{}, {"reply": "a", "replies": ["b"]}])
def test_a_rule_needs_one_kind_of_reply(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="either"):
        Rule("x", **arguments)


# Requests


def test_the_user_text_is_that_of_the_last_user_message() -> None:
    request = ScriptedRequest(
        "m",
        (
            {"role": "user", "content": "first"},
            {"role": "user", "content": [{"type": "text", "text": "last"}]},
            {"role": "assistant", "content": "answer"},
        ),
        {},
    )
    assert request.user_text == "last"
    assert request.prompt_text == "first\nlast\nanswer"


def test_without_a_user_message_the_user_text_is_empty() -> None:
    assert (
        ScriptedRequest("m", ({"role": "system", "content": "s"},), {}).user_text == ""
    )


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("plain", "plain"),
        (None, ""),
        ([], ""),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "a\nb"),
        ([{"type": "image_url", "image_url": {"url": "u"}}], ""),
        ([{"type": "text"}, "loose"], ""),
    ],
)
def test_the_text_of_a_message_leaves_other_parts_out(content: Any, text: str) -> None:
    assert text_of(content) == text


TOOLS = [
    {"type": "function", "function": {"name": "one"}},
    {"type": "function", "function": {"name": "two"}},
]


@pytest.mark.parametrize(
    ("choice", "forced"),
    [
        (None, ()),
        ("auto", ()),
        ("none", ()),
        ("required", ("one", "two")),
        ({"type": "function", "function": {"name": "two"}}, ("two",)),
    ],
)
def test_a_request_knows_which_tools_it_forces(
    choice: Any, forced: tuple[str, ...]
) -> None:
    request = ask(params={"tools": TOOLS, "tool_choice": choice})
    assert request.tool_names == ("one", "two")
    assert request.forced_tools == forced


@pytest.mark.parametrize(
    ("params", "kind"),
    [
        ({}, "text"),
        ({"response_format": {"type": "json_object"}}, "json_object"),
        ({"response_format": Answering}, "text"),
    ],
)
def test_a_request_knows_its_response_format(params: dict[str, Any], kind: str) -> None:
    assert ask(params=params).response_format == kind


@pytest.mark.parametrize("replies", ["one text", {"one": "object"}])
def test_replies_that_are_one_answer_are_refused(replies: Any) -> None:
    with pytest.raises(ConfigurationError, match="must be a list of answers"):
        Script.build(replies=replies)


@pytest.mark.parametrize("rules", [Rule("a", "b"), ["a"], "a"])
def test_rules_that_are_no_list_of_rules_are_refused(rules: Any) -> None:
    with pytest.raises(ConfigurationError, match="must be a list of Rule"):
        Script.build(rules)
