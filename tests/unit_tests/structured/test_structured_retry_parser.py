"""Ask, read, judge the fit; ask again, or climb."""

import copy
import json
import logging
import pickle
import threading
from dataclasses import asdict
from typing import Any

import pytest
from langchain_core.exceptions import (
    ModelAuthenticationError,
    ModelInvalidRequestError,
    ModelRateLimitError,
)
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    SystemMessage,
)
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler

from langchain_prodpatterns import Budget, Rung, StructuredRetryParser, track
from langchain_prodpatterns.errors import (
    BudgetExceeded,
    BudgetSpent,
    ConfigurationError,
    ModelRefused,
    OutputTruncated,
    StructuredOutputError,
)
from langchain_prodpatterns.structured import (
    LearnedStart,
    StructuredResult,
    climb,
    walk,
)
from langchain_prodpatterns.structured.walk import BRIEF
from langchain_prodpatterns.testing import Fault, Reply, ScriptedChatModel
from tests.unit_tests.structured.doubles import (
    INVALID,
    TICKET,
    TICKET_SCHEMA,
    VALID,
    Ticket,
    kinds,
    messages_of,
    parser_on,
    prompt_of,
    result_of,
    scripted,
)

MISSING = '{"title": "broken"}'


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits before retries, none of which takes any time."""
    waited: list[float] = []

    async def asleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(walk, "sleep", waited.append)
    monkeypatch.setattr(walk, "asleep", asleep)
    monkeypatch.setattr(climb, "pause", lambda retries, asked: asked or retries / 2)
    return waited


def temperatures(model: ScriptedChatModel) -> list[float | None]:
    return [request.params.get("temperature") for request in model.requests]


# --- asking -------------------------------------------------------------------------


async def test_a_valid_answer_is_the_value() -> None:
    parser = StructuredRetryParser(Ticket, [scripted(VALID, VALID)])

    assert parser.invoke("my door") == TICKET
    assert await parser.ainvoke("my door") == TICKET


@pytest.mark.parametrize(
    "value",
    [
        "my door",
        [HumanMessage("my door")],
        [("human", "my door")],
        HumanMessage("my door"),
        ChatPromptTemplate.from_messages([("human", "{x}")]).invoke({"x": "my door"}),
    ],
)
def test_a_prompt_in_any_form(value: Any) -> None:
    model = scripted(VALID)

    assert StructuredRetryParser(Ticket, [model]).invoke(value) == TICKET
    system, human = messages_of(model, 0)
    assert "type Ticket = {" in system["content"]
    assert human["content"] == "my door"


def test_a_system_message_keeps_its_words() -> None:
    model = scripted(VALID)
    messages = [SystemMessage("Be kind {x}."), HumanMessage("my door")]
    before = copy.deepcopy(messages)

    StructuredRetryParser(Ticket, [model], persona="You sort.").invoke(messages)

    assert messages == before
    content = messages_of(model, 0)[0]["content"]
    assert content.startswith("Be kind {x}.\n\nYou sort.\n\nAnswer only")


def test_after_a_prompt_template() -> None:
    prompt = ChatPromptTemplate.from_messages([("system", "s"), ("human", "{text}")])
    chain = prompt | StructuredRetryParser(Ticket, [scripted(VALID)])

    assert chain.invoke({"text": "my door"}) == TICKET


def test_examples_and_schema_style_reach_the_model() -> None:
    model = scripted(VALID)

    StructuredRetryParser(
        Ticket, [model], examples=[TICKET], schema_style="json_schema"
    ).invoke("x")

    assert '"count":2}' in prompt_of(model, 0)
    assert '"required":["title","priority"]' in prompt_of(model, 0)


def test_a_schema_gives_a_dict() -> None:
    parser = StructuredRetryParser(TICKET_SCHEMA, [scripted(INVALID, VALID)])

    assert parser.invoke("x") == {"title": "broken", "priority": "high", "count": 2}


def test_bound_arguments_reach_the_model() -> None:
    model = scripted(VALID)

    StructuredRetryParser(Ticket, [model]).bind(stop=["END"]).invoke("x")

    assert model.requests[0].params["stop"] == ["END"]


# --- asking again -------------------------------------------------------------------


async def test_a_wrong_answer_is_asked_for_again_with_what_is_wrong() -> None:
    for way in ("invoke", "ainvoke"):
        model = scripted(INVALID, VALID)
        parser = parser_on(model, reminder="Mind the priorities.", repair="regenerate")
        called = getattr(parser, way)("my door")

        result = await called if way == "ainvoke" else called

        assert (result.value, kinds(result)) == (TICKET, ["schema", "ok"])
        assert "my door" in prompt_of(model, 1)
        assert INVALID in prompt_of(model, 1)
        assert '(got "urgent-secret")' in prompt_of(model, 1)
        assert prompt_of(model, 1).endswith("Mind the priorities.")


def test_the_reask_holds_the_last_failure_only() -> None:
    model = scripted("first try", MISSING, VALID)

    result_of(parser_on(model, repair="regenerate"))

    assert "first try" in prompt_of(model, 1)
    assert "first try" not in prompt_of(model, 2)
    assert "title: Field required" not in prompt_of(model, 2)
    assert "priority: Field required" in prompt_of(model, 2)


@pytest.mark.parametrize("repair", ["patch", "regenerate"])
def test_the_reask_does_not_grow(repair: Any) -> None:
    model = scripted(*[MISSING] * 8)

    with pytest.raises(StructuredOutputError):
        parser_on(model, attempts=8, repair=repair).invoke("my door")

    sizes = [len(prompt_of(model, number)) for number in range(1, 8)]
    assert len(set(sizes[1:])) == 1
    assert sizes[0] <= sizes[1]


def test_validators_are_heard() -> None:
    def few(ticket: Ticket) -> None:
        if ticket.count > 1:
            raise ValueError(f"{ticket.count} doors are too many")

    def short(ticket: Ticket) -> str | None:
        return None if len(ticket.title) < 9 else "the title is too long"

    model = scripted(VALID, VALID.replace("2", "1"))
    result = result_of(parser_on(model, validators=[few, short]))

    assert (result.value.count, kinds(result)) == (1, ["schema", "ok"])
    assert "2 doors are too many" in prompt_of(model, 1)
    assert "the title is too long" not in prompt_of(model, 1)


def test_what_a_validator_says_is_not_in_the_message() -> None:
    def never(ticket: Ticket) -> str:
        return f"{ticket.title} again"

    with pytest.raises(StructuredOutputError) as caught:
        parser_on(scripted(VALID), attempts=1, validators=[never]).invoke("x")

    assert "refused by the validator 'never'" in str(caught.value)
    assert "broken" not in str(caught.value)


async def test_a_validator_that_fails_is_asked_about_again_and_kept() -> None:
    def careless(ticket: Ticket) -> str | None:
        return {1: None}[ticket.count]

    for way in ("invoke", "ainvoke"):
        parser = parser_on(
            scripted(VALID, VALID.replace("2", "1")), validators=[careless]
        )
        called = getattr(parser, way)("x")
        result = await called if way == "ainvoke" else called
        assert kinds(result) == ["schema", "ok"]

    with pytest.raises(StructuredOutputError) as caught:
        parser_on(scripted(VALID), attempts=1, validators=[careless]).invoke("x")

    assert "refused by the validator 'careless' (KeyError)" in str(caught.value)
    assert isinstance(caught.value.__cause__, BudgetSpent)
    assert isinstance(caught.value.__cause__.__cause__, KeyError)


def test_a_failing_validator_of_a_completion_is_the_cause() -> None:
    def careless(ticket: Ticket) -> str | None:
        return str(ticket.count / 0)

    with pytest.raises(StructuredOutputError) as caught:
        StructuredRetryParser(Ticket, validators=[careless]).invoke(VALID)

    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_validator_that_answers_otherwise_is_a_mistake() -> None:
    with pytest.raises(
        TypeError, match="must return None or say what is wrong, got bool"
    ):
        parser_on(scripted(VALID), validators=[lambda ticket: ticket.count > 0]).invoke(
            "x"
        )


# --- patches ------------------------------------------------------------------------

PATCH = '[{"op": "replace", "path": "/priority", "value": "high"}]'


async def test_only_the_fields_that_failed_are_asked_for() -> None:
    for way in ("invoke", "ainvoke"):
        model = scripted(INVALID, PATCH)
        parser = parser_on(model, persona="You sort.", reminder="Mind it.")
        called = getattr(parser, way)([("system", "Be kind."), ("human", "my door")])

        result = await called if way == "ainvoke" else called

        assert result.value == Ticket(title="broken", priority="high")
        assert kinds(result) == ["schema", "ok"]
        assert result.attempts[1].text == PATCH
        system, human, answer, complaint = messages_of(model, 1)
        assert system["content"] == "Be kind.\n\nYou sort."
        assert human["content"] == "my door"
        assert answer["content"] == '{"title":"broken","priority":"urgent-secret"}'
        assert '- replace "/priority": Input should be' in complaint["content"]
        assert complaint["content"].endswith("Mind it.")


def test_a_field_that_is_missing_is_asked_for_with_its_type() -> None:
    patch = PATCH.replace("replace", "add")
    model = scripted(MISSING.replace("broken", "broken door " * 20), patch)

    assert result_of(parser_on(model)).value.priority == "high"
    asked = messages_of(model, 1)[-1]["content"]
    assert '- add "/priority": Field required\ntype Value = "low" | "high"' in asked


def test_a_patch_costs_less_than_the_whole() -> None:
    schema = {
        "type": "object",
        "properties": {
            f"field_{number}": {"type": "integer", "description": "A number " * 9}
            for number in range(30)
        },
        "required": [f"field_{number}" for number in range(30)],
    }
    good = {f"field_{number}": number for number in range(30)}
    broken = json.dumps({**good, "field_7": "seven or so"})
    patch = '[{"op": "replace", "path": "/field_7", "value": 7}]'
    tokens = []
    for repair, reply in (("patch", patch), ("regenerate", json.dumps(good))):
        model = scripted(broken, reply)
        result = StructuredRetryParser(
            schema,
            [model],
            repair=repair,  # type: ignore[arg-type]  # both of its words
            include_attempts=True,
        ).invoke("my door")
        assert result.value == good
        tokens.append(result.attempts[1].usage)
    assert tokens[0].input_tokens < tokens[1].input_tokens / 2
    assert tokens[0].output_tokens < tokens[1].output_tokens / 4


@pytest.mark.parametrize("reply", ["no JSON", PATCH.replace("high", "top-secret")])
def test_after_one_patch_that_fails_the_whole_is_asked_for(reply: str) -> None:
    model = scripted(INVALID, reply, INVALID, VALID)

    result = result_of(parser_on(model))

    assert result.value == TICKET
    assert ["JSON Patch" in prompt_of(model, at) for at in range(4)] == [
        False,
        True,
        False,
        False,
    ]
    assert "type Ticket = {" in prompt_of(model, 2)
    told = "top-secret" if "top-secret" in reply else "urgent-secret"
    assert f'(got "{told}")' in prompt_of(model, 2)


def test_what_validators_refuse_is_asked_for_as_a_whole() -> None:
    model = scripted(VALID, VALID)

    with pytest.raises(StructuredOutputError):
        parser_on(model, attempts=2, validators=[lambda _: "no"]).invoke("x")

    assert "JSON Patch" not in prompt_of(model, 1)


def test_validators_judge_what_a_patch_gives() -> None:
    def low(ticket: Ticket) -> str | None:
        return None if ticket.priority == "low" else "it is not that urgent"

    model = scripted(INVALID, PATCH, VALID.replace("high", "low"))
    result = result_of(parser_on(model, validators=[low]))

    assert kinds(result) == ["schema", "schema", "ok"]
    assert "it is not that urgent" in prompt_of(model, 2)


def test_a_stronger_model_mends_what_a_cheaper_one_wrote() -> None:
    cheap, strong = scripted(INVALID), scripted(PATCH)

    result = result_of(parser_on(Rung(cheap, attempts=1), strong))

    assert (result.rung, result.value.priority) == (1, "high")


def test_a_patch_is_asked_for_again_after_an_error_that_passes(
    waits: list[float],
) -> None:
    model = scripted(INVALID, Fault.rate_limit(), PATCH)

    assert kinds(result_of(parser_on(model))) == ["schema", "provider", "ok"]
    assert waits == [0.5]


def test_no_patch_without_the_request() -> None:
    model = scripted(INVALID, VALID)

    result_of(parser_on(model), AIMessage(MISSING))

    assert all("JSON Patch" not in prompt_of(model, at) for at in range(2))


# --- the ladder ---------------------------------------------------------------------


def test_temperature_then_climb() -> None:
    cheap, strong = scripted(*[INVALID] * 3), scripted(VALID)
    ladder = [cheap, Rung(cheap, temperatures=(0.3, 0.7)), strong]

    result = result_of(parser_on(*ladder))

    assert temperatures(cheap) == [None, 0.3, 0.7]
    assert temperatures(strong) == [None]
    assert [attempt.rung for attempt in result.attempts] == [0, 1, 1, 2]
    assert [attempt.temperature for attempt in result.attempts] == [
        None,
        0.3,
        0.7,
        None,
    ]
    assert (result.rung, result.value) == (2, TICKET)


def test_the_default_budget_reaches_the_strong_model() -> None:
    cheap, strong = scripted(*[INVALID] * 3), scripted(VALID)
    ladder = [cheap, Rung(cheap, temperatures=(0.3, 0.7)), strong]

    assert StructuredRetryParser(Ticket, ladder).invoke("my door") == TICKET
    assert temperatures(cheap) == [None, 0.3]
    assert strong.calls == 1


@pytest.mark.parametrize("budget", [Budget(attempts=3), Budget(calls=3)])
def test_a_rate_limit_leaves_an_attempt_for_the_strong_model(
    budget: Budget, waits: list[float]
) -> None:
    cheap, strong = scripted(*[Fault.rate_limit()] * 3), scripted(VALID)

    result = result_of(parser_on(cheap, strong, budget=budget))

    assert (kinds(result), result.rung) == (["provider", "provider", "ok"], 1)
    assert waits == [0.5]


def test_with_fewer_attempts_than_rungs_each_attempt_climbs() -> None:
    models = [scripted(INVALID) for _ in range(3)]

    with pytest.raises(StructuredOutputError) as caught:
        parser_on(*models, attempts=2).invoke("x")

    assert [attempt.rung for attempt in caught.value.attempts] == [0, 1]
    assert isinstance(caught.value.__cause__, BudgetSpent)


def test_the_last_rung_is_asked_until_the_attempts_are_spent() -> None:
    model = scripted(*[INVALID] * 9)

    with pytest.raises(StructuredOutputError) as caught:
        StructuredRetryParser(Ticket, [model]).invoke("x")

    assert (model.calls, kinds(caught.value)) == (3, ["schema"] * 3)
    assert type(caught.value) is StructuredOutputError
    assert caught.value.llm_output == INVALID
    assert "urgent-secret" not in str(caught.value)


def test_without_any_limit_the_ladder_ends() -> None:
    model = scripted(*[INVALID] * 9)

    with pytest.raises(StructuredOutputError):
        parser_on(Rung(model, temperatures=(0, 1)), budget=Budget()).invoke("x")

    assert model.calls == 2


def test_a_refusal_climbs_at_once() -> None:
    cheap, strong = scripted(Reply.refused()), scripted(VALID)

    result = result_of(parser_on(Rung(cheap, temperatures=(0, 0.5)), strong))

    assert kinds(result) == ["refused", "ok"]
    assert len(messages_of(strong, 0)) == 2  # nothing to complain about


def test_where_all_refuse_the_error_says_so() -> None:
    with pytest.raises(ModelRefused) as caught:
        parser_on(scripted(Reply.refused()), scripted(Reply.refused())).invoke("x")

    assert len(caught.value.attempts) == 2


def test_a_cut_off_answer_doubles_the_limit_once_then_climbs() -> None:
    cut = Reply.truncated(VALID[:-9])
    cheap, strong = scripted(cut, cut, max_tokens=50), scripted(VALID)

    result = result_of(parser_on(cheap, strong))

    limits = [request.params.get("max_tokens") for request in cheap.requests]
    assert limits == [50, 100]
    assert kinds(result) == ["truncated", "truncated", "ok"]
    assert "cut off at the limit" in prompt_of(cheap, 1)


def test_where_no_limit_is_known_a_cut_off_answer_is_the_end_of_the_rung() -> None:
    cheap, strong = scripted(Reply.truncated(VALID[:-9]), VALID), scripted(VALID)

    assert kinds(result_of(parser_on(cheap, strong))) == ["truncated", "ok"]
    assert cheap.calls == 1


def test_on_the_last_rung_a_shorter_answer_is_asked_for_once() -> None:
    cut = Reply.truncated(VALID[:-9])
    model = scripted(cut, VALID)

    assert kinds(result_of(parser_on(model))) == ["truncated", "ok"]
    assert "as short as possible" in prompt_of(model, 1)

    model = scripted(cut, cut, VALID)
    with pytest.raises(OutputTruncated) as caught:
        parser_on(model).invoke("x")
    assert (model.calls, len(caught.value.attempts)) == (2, 2)


def test_an_answer_that_breaks_off_by_itself_is_asked_for_again() -> None:
    assert kinds(result_of(parser_on(scripted(VALID[:-9], VALID)))) == [
        "truncated",
        "ok",
    ]


# --- providers ----------------------------------------------------------------------


async def test_an_error_that_may_pass_is_retried_after_a_wait(
    waits: list[float],
) -> None:
    for way in ("invoke", "ainvoke"):
        waits.clear()
        model = scripted(Fault.rate_limit(), Fault.server_error(), VALID)
        called = getattr(parser_on(model), way)("x")

        result = await called if way == "ainvoke" else called

        assert kinds(result) == ["provider", "provider", "ok"]
        assert waits == [0.5, 1.0]
        assert result.attempts[0].errors[0].safe == "ModelRateLimitError"


def test_it_climbs_when_retries_do_not_help(waits: list[float]) -> None:
    cheap, strong = scripted(*[Fault.rate_limit()] * 3), scripted(VALID)

    assert result_of(parser_on(cheap, strong)).rung == 1
    assert len(waits) == 2


def test_no_wait_is_longer_than_the_budget(waits: list[float]) -> None:
    model = scripted(Fault.rate_limit(), VALID)

    parser_on(model, budget=Budget(attempts=9, seconds=0.3)).invoke("x")

    assert len(waits) == 1
    assert waits[0] <= 0.3


@pytest.mark.parametrize("budget", [Budget(attempts=1), Budget(calls=1)])
def test_nobody_waits_for_an_attempt_that_the_budget_refuses(
    budget: Budget, waits: list[float]
) -> None:
    with pytest.raises(StructuredOutputError):
        parser_on(scripted(Fault.rate_limit()), budget=budget).invoke("x")

    assert waits == []


def test_another_error_climbs_at_once(waits: list[float]) -> None:
    cheap, strong = scripted(Fault.http(401)), scripted(VALID)

    result = result_of(parser_on(cheap, strong))

    assert (kinds(result), waits) == (["provider", "ok"], [])


def test_the_last_error_is_the_cause() -> None:
    with pytest.raises(StructuredOutputError) as caught:
        parser_on(scripted(Fault.http(401, "key sk-secret"))).invoke("x")

    assert isinstance(caught.value.__cause__, ModelAuthenticationError)
    assert "sk-secret" not in str(caught.value)


def test_what_was_wrong_is_remembered_over_an_error(waits: list[float]) -> None:
    model = scripted(INVALID, Fault.rate_limit(), VALID)

    result_of(parser_on(model))

    assert "urgent-secret" in prompt_of(model, 2)


@pytest.mark.parametrize(
    "message", ["Unsupported value: 'temperature'", "no `Temperature` here"]
)
def test_a_rejected_temperature_is_dropped_and_not_counted(message: str) -> None:
    model = scripted(Fault.http(400, message), INVALID, VALID, VALID)
    parser = parser_on(Rung(model, temperatures=(0.2, 0.9)), attempts=2)

    result = result_of(parser)

    assert kinds(result) == ["schema", "ok"]
    assert temperatures(model) == [0.2, None, None]
    assert [attempt.temperature for attempt in result.attempts] == [None, None]
    result_of(parser)
    assert temperatures(model)[3] is None  # it is known from then on


def test_rungs_of_the_same_model_share_what_it_rejects() -> None:
    model = scripted(Fault.http(400, "no 'temperature'"), INVALID, VALID)
    ladder = [Rung(model, temperatures=(0.2,)), Rung(model, temperatures=(0.9,))]

    assert result_of(parser_on(*ladder)).rung == 1
    assert temperatures(model) == [0.2, None, None]


def test_an_error_of_the_provider_stays_in_the_chain(waits: list[float]) -> None:
    with pytest.raises(StructuredOutputError) as caught:
        parser_on(scripted(Fault.rate_limit()), attempts=1).invoke("x")

    assert isinstance(caught.value.__cause__, BudgetSpent)
    assert isinstance(caught.value.__cause__.__cause__, ModelRateLimitError)


@pytest.mark.parametrize("message", ["no", "a prompt about temperature"])
def test_another_bad_request_counts(message: str) -> None:
    model = scripted(Fault.http(400, message))

    with pytest.raises(StructuredOutputError) as caught:
        parser_on(Rung(model, temperatures=(0.2,))).invoke("x")

    assert isinstance(caught.value.__cause__, ModelInvalidRequestError)
    assert kinds(caught.value) == ["provider"]


def test_a_profile_without_temperature_is_respected() -> None:
    model = scripted(VALID, profile={"temperature": False})

    result = result_of(parser_on(Rung(model, temperatures=(0.2,))))

    assert temperatures(model) == [None]
    assert result.attempts[0].temperature is None


# --- the budget ---------------------------------------------------------------------


def test_to_run_out_of_attempts_is_no_spent_budget() -> None:
    with pytest.raises(StructuredOutputError) as caught:
        parser_on(scripted(INVALID), budget=Budget(attempts=1)).invoke("x")

    assert type(caught.value) is StructuredOutputError
    assert isinstance(caught.value.__cause__, BudgetSpent)


@pytest.mark.parametrize("budget", [Budget(prices={}), Budget()])
def test_prices_are_no_limit(budget: Budget) -> None:
    model = scripted(*[INVALID] * 3)

    with pytest.raises(StructuredOutputError):
        parser_on(model, budget=budget).invoke("x")

    assert model.calls == 1


@pytest.mark.parametrize("budget", [Budget(calls=1), Budget(tokens=10)])
def test_a_spent_budget_is_its_own_error(budget: Budget) -> None:
    model = scripted(INVALID, VALID)

    with pytest.raises(BudgetExceeded) as caught:
        parser_on(model, budget=budget).invoke("x")

    assert model.calls == 1
    assert isinstance(caught.value.__cause__, BudgetSpent)
    assert kinds(caught.value) == ["schema"]


async def test_the_result_accounts_for_every_call() -> None:
    for way in ("invoke", "ainvoke"):
        model = scripted(INVALID, VALID, model="small")
        called = getattr(parser_on(model), way)("x")
        result = await called if way == "ainvoke" else called

        assert isinstance(result, StructuredResult)
        assert result.usage.calls == 2
        assert result.usage.input_tokens == model.input_tokens
        assert result.usage.output_tokens == model.output_tokens
        assert sum(attempt.usage.total_tokens for attempt in result.attempts) == (
            result.usage.total_tokens
        )
        assert {attempt.model for attempt in result.attempts} == {"small"}


async def test_a_number_beyond_json_costs_one_attempt_and_not_the_batch() -> None:
    schema = {"properties": {"price": {"type": "number", "multipleOf": 0.01}}}
    model = scripted('{"price": 1e999}', '{"price": NaN}', '{"price": 19.99}')

    assert StructuredRetryParser(schema, [model]).invoke("x") == {"price": 19.99}


# --- the learned start --------------------------------------------------------------


async def test_a_ladder_learns_where_to_begin() -> None:
    prices = {"small": (1.0, 1.0), "large": (2.0, 2.0)}
    for way in ("invoke", "ainvoke"):
        cheap = ScriptedChatModel(default=INVALID, model="small")
        strong = ScriptedChatModel(default=VALID, model="large")
        parser = parser_on(
            Rung(cheap, attempts=1),
            strong,
            start="learned",
            budget=Budget(attempts=2, prices=prices),
        )

        rungs = []
        for _ in range(9):
            called = getattr(parser, way)("x")
            result = await called if way == "ainvoke" else called
            rungs.append([attempt.rung for attempt in result.attempts])

        assert rungs == [[0, 1]] * 5 + [[1]] * 4
        assert [record.asked for record in parser.learned] == [5, 9]
        assert [record.answered for record in parser.learned] == [0, 9]
        assert parser.learned[1].usd > 0
        assert copy.deepcopy(parser).learned == parser.learned


def test_by_default_nothing_is_learned() -> None:
    parser = parser_on(scripted(VALID))
    result_of(parser)

    assert parser.learned == ()


def test_parsers_can_share_what_is_learned() -> None:
    shared = LearnedStart()
    model = ScriptedChatModel(default=VALID, model="small")
    parsers = [parser_on(model, start=shared) for _ in range(2)]

    result_of(parsers[0])

    assert parsers[1].learned == parsers[0].learned != ()


def test_nothing_is_learned_of_completions() -> None:
    parser = parser_on(scripted(VALID), start="learned")

    result_of(parser, AIMessage(INVALID))

    assert parser.learned == ()


# --- redaction ----------------------------------------------------------------------


def masked(text: str) -> str:
    return text.replace("urgent-secret", "[masked]")


def test_what_is_logged_is_redacted_and_what_is_asked_is_not() -> None:
    model = scripted(INVALID, INVALID)
    parser = parser_on(model, attempts=2, redact=masked, repair="regenerate")

    with pytest.raises(StructuredOutputError) as caught:
        parser.invoke("x")

    story = [caught.value.llm_output, *map(asdict, caught.value.attempts)]
    assert "[masked]" in str(story)
    assert "urgent-secret" not in str(story)
    assert "urgent-secret" in prompt_of(model, 1)


def test_the_attempts_of_a_result_are_redacted() -> None:
    result = result_of(parser_on(scripted(INVALID, VALID), redact=masked))

    assert "urgent-secret" not in str(asdict(result.attempts[0]))
    assert result.value == TICKET


def test_a_logged_error_quotes_no_provider(caplog: pytest.LogCaptureFixture) -> None:
    for budget in (Budget(attempts=1), Budget(attempts=9)):
        model = scripted(Fault.http(401, "prompt: urgent-secret"))
        try:
            parser_on(model, budget=budget, redact=masked).invoke("x")
        except StructuredOutputError:
            logging.getLogger("test").exception("failed")

    assert "ModelAuthenticationError" in caplog.text
    assert "urgent-secret" not in caplog.text


# --- completions --------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [VALID, AIMessage(VALID), AIMessageChunk(content=VALID)]
)
async def test_without_a_ladder_it_parses(value: Any) -> None:
    parser = StructuredRetryParser(Ticket)

    assert parser.invoke(value) == TICKET
    assert await parser.ainvoke(value) == TICKET


@pytest.mark.parametrize("value", [["a"], 7, None])
def test_without_a_ladder_there_is_nobody_to_ask(value: Any) -> None:
    with pytest.raises(TypeError, match="ladder"):
        StructuredRetryParser(Ticket).invoke(value)


def test_without_a_ladder_an_argument_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="stop"):
        StructuredRetryParser(Ticket).bind(stop=["x"]).invoke(VALID)


def test_a_valid_completion_needs_no_call() -> None:
    model = scripted(VALID)
    result = result_of(parser_on(model), AIMessage(VALID))

    assert (result.value, result.rung, result.usage.calls) == (TICKET, None, 0)
    assert model.requests == ()


def test_a_wrong_completion_is_brought_into_form() -> None:
    first, model = scripted(f"Well, {INVALID}"), scripted(MISSING, VALID)
    chain = ChatPromptTemplate.from_template("{x}") | first | parser_on(model)

    result = chain.invoke({"x": "my door"})

    assert (kinds(result), result.rung) == (["schema", "schema", "ok"], 0)
    assert "a request that you cannot see" in prompt_of(model, 0)
    assert INVALID in prompt_of(model, 0)
    assert "my door" not in prompt_of(model, 0)
    assert MISSING in prompt_of(model, 1)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (AIMessage("", additional_kwargs={"refusal": "no"}), ModelRefused),
        (AIMessage(VALID[:-9]), OutputTruncated),
        (
            AIMessage("x", response_metadata={"finish_reason": "length"}),
            OutputTruncated,
        ),
        (AIMessage(""), StructuredOutputError),
    ],
)
def test_a_completion_that_holds_too_little_is_the_end(
    message: AIMessage, expected: type[Exception]
) -> None:
    model = scripted(VALID)

    with pytest.raises(expected):
        parser_on(model).invoke(message)

    assert model.requests == ()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (7, "takes a prompt value"),
        (None, "takes a prompt value"),
        ({"text": "x"}, r"takes no dict: .* prompt \| StructuredRetryParser"),
    ],
)
def test_other_inputs_are_refused(value: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        parser_on(scripted(VALID)).invoke(value)


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("words", [1, BRIEF])
async def test_a_long_answer_is_judged_beside_the_event_loop(
    words: int, *, given: bool
) -> None:
    threads: list[int] = []

    def note(_: Ticket) -> None:
        threads.append(threading.get_ident())

    answer = VALID.replace("broken", "broken" * words)
    parser = parser_on(scripted(answer), validators=[note])
    result = await parser.ainvoke(AIMessage(answer) if given else "x")
    assert result.value.title == "broken" * words
    assert (threads == [threading.get_ident()]) == (words == 1)


# --- construction, runs and decisions -----------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        {"mode": "json"},
        {"repair": "json"},
        {"start": "last"},
        {"budget": 3},
        {"schema_style": "yaml"},
        {"persona": 7},
        {"reminder": ["x"]},
        {"examples": [{"title": "no priority"}]},
        {"examples": "text"},
        {"validators": [3]},
        {"validators": "text"},
        {"validators": [lambda ticket, request: (ticket, request)]},
        {"ladder": ["gpt"]},
        {"redact": "***"},
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        StructuredRetryParser(Ticket, **arguments)


def test_an_example_that_is_none_is_told_what_is_wrong() -> None:
    with pytest.raises(ConfigurationError, match="priority: Field required"):
        StructuredRetryParser(Ticket, examples=[{"title": "no priority"}])


def test_an_async_validator_is_refused() -> None:
    async def check(value: Any) -> None: ...

    class Check:
        async def __call__(self, value: Any) -> None: ...

    for validator in (check, Check()):
        with pytest.raises(ConfigurationError, match="async"):
            StructuredRetryParser(Ticket, validators=[validator])  # type: ignore[list-item]  # the mistake


@pytest.mark.parametrize(
    ("replies", "decision", "facts"),
    [
        ([VALID], "valid first", (0, 1)),
        ([INVALID, VALID], "valid after retry", (0, 2)),
        ([INVALID, INVALID], "failed", (0, 2)),
    ],
)
async def test_the_decision(
    replies: list[str], decision: str, facts: tuple[int, int]
) -> None:
    for way in ("invoke", "ainvoke"):
        collector = RunCollectorCallbackHandler()
        parser = parser_on(scripted(*replies), attempts=2)
        with track() as ledger:
            try:
                called = getattr(parser, way)("x", {"callbacks": [collector]})
                _ = await called if way == "ainvoke" else called
            except StructuredOutputError:
                assert decision == "failed"

        (record,) = ledger.to_records()
        assert (record.pattern, record.decision, record.calls) == (
            "structured",
            decision,
            len(replies),
        )
        (run,) = collector.traced_runs
        found = run.metadata
        assert (found["prodpatterns.rung"], found["prodpatterns.attempts"]) == facts


def test_each_attempt_is_a_child_run() -> None:
    collector = RunCollectorCallbackHandler()

    parser_on(scripted(INVALID, VALID)).invoke("x", {"callbacks": [collector]})

    (run,) = collector.traced_runs
    assert [child.name for child in run.child_runs] == [
        "structured:attempt:1",
        "structured:attempt:2",
    ]


def test_schemas() -> None:
    plain = StructuredRetryParser(Ticket, [scripted(VALID)])

    assert set(plain.get_output_jsonschema()["properties"]) == {
        "title",
        "priority",
        "count",
    }
    schema = StructuredRetryParser(
        TICKET_SCHEMA, [scripted(VALID)]
    ).get_output_jsonschema()
    assert set(schema["properties"]) == {"title", "priority", "count"}
    assert "attempts" in str(parser_on(scripted(VALID)).get_output_jsonschema())
    assert plain.get_input_jsonschema()["anyOf"]


def test_streaming_gives_the_value_once() -> None:
    assert list(StructuredRetryParser(Ticket, [scripted(VALID)]).stream("x")) == [
        TICKET
    ]


def test_it_pickles_and_copies_also_when_used() -> None:
    parser = StructuredRetryParser(Ticket, [ScriptedChatModel(default=VALID)])
    parser.invoke("x")

    for clone in (copy.deepcopy(parser), pickle.loads(pickle.dumps(parser))):  # noqa: S301 - our own bytes
        assert clone.invoke("x") == TICKET


def test_a_result_pickles() -> None:
    result = result_of(parser_on(scripted(INVALID, VALID)))

    assert pickle.loads(pickle.dumps(result)) == result  # noqa: S301 - our own bytes


def test_retries_of_the_model_itself_are_its_own() -> None:
    model = scripted(Fault.rate_limit(), VALID)
    patient = model.with_retry(
        retry_if_exception_type=(ModelRateLimitError,), wait_exponential_jitter=False
    )

    assert kinds(result_of(parser_on(Rung(patient, temperatures=(0.1,))))) == ["ok"]
    assert temperatures(model) == [0.1, 0.1]


def test_the_prompt_is_shown_without_a_call() -> None:
    model = scripted(VALID)
    parser = StructuredRetryParser(
        Ticket, [model], persona="You sort.", examples=[TICKET], reminder="Be brief."
    )

    (prompt,) = parser.get_prompts()
    shown = prompt.invoke({"messages": [("human", "my door")]}).to_messages()
    explained = parser.explain("my door")

    assert explained.messages == tuple(shown)
    assert explained.ways == ("prompt",)
    text = explained.messages[0].text
    assert text == parser.get_format_instructions()
    assert text.startswith("You sort.")
    assert text.endswith("Be brief.")
    assert '{"title":"broken","priority":"high","count":2}' in text
    assert model.calls == 0
    assert parser.invoke("my door") == TICKET
    assert prompt_of(model, 0) == f"{text}\nmy door"


def test_where_nothing_is_asked_there_is_no_prompt() -> None:
    parser = StructuredRetryParser(Ticket)

    assert parser.get_prompts() == []
    assert parser.explain(VALID).messages == ()
    asking = StructuredRetryParser(Ticket, [scripted(VALID)])
    assert asking.explain(AIMessage(VALID)).messages == ()


def test_in_the_system_message_of_the_developer() -> None:
    parser = StructuredRetryParser(Ticket, [scripted(VALID)])

    first, second = parser.explain([("system", "Be kind."), ("human", "x")]).messages
    assert first.text.startswith("Be kind.\n\nAnswer only in JSON:")
    assert second.text == "x"
