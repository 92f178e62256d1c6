"""An observer sees each call once, whichever way it is made."""

from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from langchain_core.language_models import BaseLanguageModel, BaseLLM
from langchain_core.language_models.fake import FakeListLLM
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    Generation,
    GenerationChunk,
    LLMResult,
)
from langchain_core.runnables import RunnableConfig

from langchain_prodpatterns.observing import CallObserver, UsageProbe
from langchain_prodpatterns.testing import Fault, Reply, ScriptedChatModel
from langchain_prodpatterns.usage import (
    AROUND_KEY,
    CACHE_KEY,
    NO_USAGE,
    PATTERN_KEY,
    RUN_KEY,
    ModelCall,
    Usage,
)

PRICES = {"scripted": (1.0, 2.0)}


class Notebook(CallObserver):
    """Keeps every call."""

    def __init__(self, prices: dict[str, tuple[float, float]] | None = None) -> None:
        super().__init__(prices=prices)
        self.calls: list[ModelCall] = []

    def observe(self, call: ModelCall) -> None:
        self.calls.append(call)

    @property
    def only(self) -> ModelCall:
        (call,) = self.calls
        return call


def heard(
    handler: CallObserver, metadata: dict[str, Any] | None = None
) -> RunnableConfig:
    return RunnableConfig(callbacks=[handler], metadata=metadata or {})


def finish(notebook: Notebook, response: LLMResult) -> ModelCall:
    """Play one call to an observer by hand."""
    run_id = uuid4()
    notebook.on_chat_model_start({}, [[HumanMessage("?")]], run_id=run_id)
    notebook.on_llm_end(response, run_id=run_id)
    return notebook.calls[-1]


def fail(notebook: Notebook, response: LLMResult | None) -> ModelCall:
    run_id = uuid4()
    notebook.on_chat_model_start({}, [[HumanMessage("?")]], run_id=run_id)
    notebook.on_llm_error(ValueError("cut"), run_id=run_id, response=response)
    return notebook.calls[-1]


def answer(message: AIMessage) -> LLMResult:
    return LLMResult(generations=[[ChatGeneration(message=message)]])


def test_a_call_is_seen_with_tokens_model_money_and_time() -> None:
    notebook = Notebook(PRICES)
    reply = Reply("two words", input_tokens=10, output_tokens=5)
    ScriptedChatModel(replies=[reply]).invoke("?", heard(notebook))

    call = notebook.only
    assert (call.model, call.error, call.saved) == ("scripted", None, None)
    assert call.usage == Usage(
        calls=1, input_tokens=10, output_tokens=5, usd=2e-5, seconds=call.usage.seconds
    )
    assert call.usage.seconds > 0


async def test_a_call_is_seen_in_async_on_the_loop_itself() -> None:
    notebook = Notebook()
    await ScriptedChatModel(replies=["x"]).ainvoke("?", heard(notebook))
    assert notebook.only.usage.calls == 1


def test_every_choice_of_n_carries_the_usage_of_the_one_call() -> None:
    notebook = Notebook()
    model = ScriptedChatModel(default="a b c", n=3)
    model.generate([[HumanMessage("?")]], callbacks=[notebook])
    call = notebook.only
    assert call.usage.calls == 1
    assert call.usage.output_tokens == model.output_tokens
    assert call.usage.input_tokens == model.input_tokens


def test_ownership_is_read_from_the_metadata() -> None:
    notebook = Notebook()
    metadata = {PATTERN_KEY: "cache", RUN_KEY: "r1", AROUND_KEY: "r2"}
    ScriptedChatModel(replies=["x"]).invoke("?", heard(notebook, metadata=metadata))
    call = notebook.only
    assert (call.pattern, call.owner, call.around) == ("cache", "r1", "r2")


def test_without_a_price_the_money_is_unknown() -> None:
    notebook = Notebook()
    ScriptedChatModel(replies=["x"], model_name="nobody-sells-this").invoke(
        "?", heard(notebook)
    )
    assert notebook.only.usage.usd is None


def test_a_call_without_usage_is_unmetered_and_of_unknown_price() -> None:
    notebook = Notebook(PRICES)
    message = AIMessage("x", response_metadata={"model_name": "scripted"})
    used = finish(notebook, answer(message)).usage
    assert (used.calls, used.total_tokens, used.unmetered_calls) == (1, 0, 1)
    assert used.usd is None


def test_a_reported_zero_is_a_measurement() -> None:
    usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    notebook = Notebook()
    message = AIMessage("", usage_metadata=usage)
    assert finish(notebook, answer(message)).usage.unmetered_calls == 0


def test_cores_mark_of_a_cache_hit_turns_use_into_saving() -> None:
    usage: Any = {
        "input_tokens": 7,
        "output_tokens": 3,
        "total_tokens": 10,
        "total_cost": 0,
    }
    message = AIMessage(
        "x", usage_metadata=usage, response_metadata={"model_name": "scripted"}
    )
    call = finish(Notebook(PRICES), answer(message))
    assert (call.usage.calls, call.usage.total_tokens, call.usage.usd) == (0, 0, 0.0)
    assert call.saved is not None
    assert (call.saved.calls, call.saved.total_tokens) == (1, 10)
    assert call.saved.usd == pytest.approx(13e-6)


def test_a_hit_of_the_semantic_cache_brings_its_story() -> None:
    story = {"decision": "hit", "run_id": "l1"}
    message = AIMessage("x", response_metadata={CACHE_KEY: story})
    assert finish(Notebook(), answer(message)).served == story


def test_a_plain_language_model_reports_in_llm_output() -> None:
    notebook = Notebook({"davinci": (1.0, 1.0)})
    output = {
        "token_usage": {"prompt_tokens": 4, "completion_tokens": 6},
        "model_name": "davinci",
    }
    run_id = uuid4()
    notebook.on_llm_start({}, ["?"], run_id=run_id)
    notebook.on_llm_end(
        LLMResult(generations=[[Generation(text="x")]], llm_output=output),
        run_id=run_id,
    )
    call = notebook.only
    assert (call.usage.input_tokens, call.usage.output_tokens) == (4, 6)
    assert call.model == "davinci"
    assert call.usage.usd == pytest.approx(1e-5)


def test_an_older_chat_model_reports_in_its_metadata() -> None:
    usage = {"prompt_tokens": 4, "completion_tokens": 6}
    message = AIMessage("x", response_metadata={"token_usage": usage})
    used = finish(Notebook(), answer(message)).usage
    assert (used.input_tokens, used.output_tokens, used.unmetered_calls) == (4, 6, 0)
    result = LLMResult(
        generations=[[ChatGeneration(message=AIMessage("x"))]],
        llm_output={"token_usage": usage},
    )
    used = finish(Notebook(), result).usage
    assert (used.input_tokens, used.output_tokens, used.unmetered_calls) == (4, 6, 0)


def test_what_a_provider_had_cached_is_a_part_of_the_prompt() -> None:
    usage: Any = {
        "input_tokens": 100,
        "output_tokens": 1,
        "total_tokens": 101,
        "input_token_details": {"cache_read": 80, "cache_creation": 15},
    }
    used = finish(Notebook(PRICES), answer(AIMessage("x", usage_metadata=usage))).usage
    assert (used.cache_read_tokens, used.cache_write_tokens) == (80, 15)
    assert used.total_tokens == 101


class Batching(BaseLLM):
    """A plain language model that sends many prompts in one request."""

    @property
    def _llm_type(self) -> str:
        return "batching"

    def _generate(self, prompts: list[str], *args: Any, **kwargs: Any) -> LLMResult:
        total = {"prompt_tokens": 6, "completion_tokens": 3}
        return LLMResult(
            generations=[[Generation(text="x")] for _ in prompts],
            llm_output={"token_usage": total, "model_name": "scripted"},
        )


def test_a_request_with_many_prompts_is_one_call() -> None:
    probe = UsageProbe(prices=PRICES)
    Batching().batch(["a", "b", "c"], heard(probe))
    assert (probe.usage.calls, probe.usage.total_tokens) == (1, 9)
    assert probe.usage.unmetered_calls == 0
    assert probe.usage.usd == pytest.approx(12e-6)


def test_a_plain_language_model_without_usage_is_unmetered() -> None:
    notebook = Notebook()
    FakeListLLM(responses=["x"]).invoke("?", heard(notebook))
    assert notebook.only.usage.unmetered_calls == 1


def test_the_answers_name_wins_over_the_one_asked_for() -> None:
    notebook = Notebook()
    run_id = uuid4()
    notebook.on_chat_model_start(
        {}, [[]], run_id=run_id, invocation_params={"model": "gpt-x"}
    )
    message = AIMessage("x", response_metadata={"model_name": "gpt-x-2026"})
    notebook.on_llm_end(answer(message), run_id=run_id)
    assert notebook.only.model == "gpt-x-2026"


@pytest.mark.parametrize(
    ("metadata", "kwargs"),
    [
        ({}, {"invocation_params": {"model": "asked"}}),
        ({}, {"invocation_params": {"model_name": "asked"}}),
        ({"ls_model_name": "asked"}, {}),
    ],
)
def test_the_name_asked_for_is_the_fallback(
    metadata: dict[str, Any], kwargs: dict[str, Any]
) -> None:
    notebook = Notebook()
    run_id = uuid4()
    notebook.on_chat_model_start({}, [[]], run_id=run_id, metadata=metadata, **kwargs)
    notebook.on_llm_end(answer(AIMessage("x")), run_id=run_id)
    assert notebook.only.model == "asked"


def test_a_failed_call_is_none_and_names_its_error() -> None:
    notebook = Notebook()
    with pytest.raises(Exception, match="rate limit"):
        ScriptedChatModel(replies=[Fault.rate_limit()]).invoke("?", heard(notebook))
    call = notebook.only
    assert (call.usage.calls, call.usage.usd) == (0, 0.0)
    assert call.error == "ModelRateLimitError"


def test_a_stream_that_breaks_after_its_usage_was_paid_for() -> None:
    usage: Any = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    chunk = AIMessageChunk(content="x", usage_metadata=usage)
    call = fail(Notebook(), answer(chunk))
    assert (call.usage.calls, call.usage.total_tokens) == (1, 10)
    assert call.error == "ValueError"


@pytest.mark.parametrize(
    "partial",
    [
        ChatGenerationChunk(message=AIMessageChunk(content="x")),
        GenerationChunk(text="x"),
    ],
)
def test_what_a_broken_off_answer_cost_nobody_knows(partial: Generation) -> None:
    call = fail(Notebook(PRICES), LLMResult(generations=[[partial]]))
    used = call.usage
    assert (used.calls, used.unmetered_calls, used.usd) == (0, 1, None)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 7, "completion_tokens": 3},
        {"input_tokens": 7, "output_tokens": 3},
    ],
)
def test_an_answer_the_client_cannot_parse_was_paid_for(usage: dict[str, int]) -> None:
    body = {"model": "scripted", "usage": usage}
    metadata = {"body": body, "status_code": 200}
    call = fail(Notebook(PRICES), answer(AIMessage("", response_metadata=metadata)))
    assert (call.usage.calls, call.usage.input_tokens) == (1, 7)
    assert call.usage.usd == pytest.approx(13e-6)
    assert call.model == "scripted"


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"body": "<html>", "status_code": 200},
        {"body": {"error": {}}, "status_code": 200},
        {"body": {"usage": None}, "status_code": 200},
        {"body": {"usage": {"prompt_tokens": 7}}, "status_code": 500},
    ],
)
def test_a_refused_request_was_not_paid_for(metadata: dict[str, Any]) -> None:
    call = fail(Notebook(), answer(AIMessage("", response_metadata=metadata)))
    assert call.usage.calls == 0


def test_a_failure_before_any_response_was_not_paid_for() -> None:
    assert fail(Notebook(), None).usage.calls == 0


def test_an_end_that_nobody_saw_begin_is_ignored() -> None:
    notebook = Notebook()
    notebook.on_llm_end(answer(AIMessage("x")), run_id=uuid4())
    notebook.on_llm_error(ValueError("x"), run_id=uuid4())
    assert notebook.calls == []


def test_a_run_that_is_heard_twice_counts_once() -> None:
    notebook, run_id = Notebook(), UUID(int=1)
    for _ in range(2):
        notebook.on_chat_model_start({}, [[]], run_id=run_id)
    for _ in range(2):
        notebook.on_llm_end(answer(AIMessage("x")), run_id=run_id)
    assert len(notebook.calls) == 1


def test_a_base_observer_is_abstract() -> None:
    call = ModelCall(uuid4(), None, None, None, NO_USAGE)
    with pytest.raises(NotImplementedError):
        CallObserver().observe(call)


def test_a_probe_sums_and_names_the_models_in_order() -> None:
    probe = UsageProbe(prices=PRICES)
    names = ("scripted", "other", "scripted")
    models = [ScriptedChatModel(default="x", model_name=name) for name in names]
    for model in models:
        model.invoke("?", heard(probe))
    assert probe.models == names
    assert probe.usage.calls == 3
    assert probe.usage.input_tokens == sum(model.input_tokens for model in models)
    assert probe.usage.usd is None


def test_a_probe_with_an_owner_counts_only_its_calls() -> None:
    probe = UsageProbe(owner="mine")
    model: BaseLanguageModel[AIMessage] = ScriptedChatModel(default="x")
    for owner in ("mine", "another", None):
        model.invoke("?", heard(probe, metadata={RUN_KEY: owner}))
    assert probe.usage.calls == 1


def test_a_probe_names_no_model_that_failed() -> None:
    probe = UsageProbe()
    with pytest.raises(Exception, match="scripted"):
        ScriptedChatModel(replies=[Fault.timeout()]).invoke("?", heard(probe))
    assert probe.models == ()


def test_an_error_with_a_strange_response_does_not_hide_the_call() -> None:
    """Core reads `error.response` of any error; so must an observer."""

    class OddError(Exception):
        response = SimpleNamespace(json=lambda: ["no", "mapping"], status_code=200)

    def explode(request: Any) -> str:
        raise OddError

    notebook = Notebook()
    with pytest.raises(OddError):
        ScriptedChatModel(respond=explode).invoke("?", heard(notebook))
    assert (notebook.only.error, notebook.only.usage.calls) == ("OddError", 0)


def test_calls_whose_end_is_never_reported_do_not_pile_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("langchain_prodpatterns.observing._MAX_OPEN", 3)
    probe = UsageProbe()

    for _ in range(10):
        probe.on_llm_start(None, ["x"], run_id=uuid4())

    assert len(probe._open) == 3
