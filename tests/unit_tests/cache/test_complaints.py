"""What users of other semantic caches complain about most, sync and async."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.language_models import FakeListLLM
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.testing import (
    LexicalEmbeddings,
    Reply,
    ScriptedChatModel,
    ToolCall,
)
from tests.unit_tests.cache.conftest import ScriptedJudge, prompt_of

Open = Callable[..., SemanticJudgeCache]
Ask = Callable[..., Any]

QUESTION = "How do I reset my password?"
PARAPHRASE = "How do I reset the password?"


def by_invoke(model: Any, value: Any) -> Any:
    return model.invoke(value)


def by_ainvoke(model: Any, value: Any) -> Any:
    return asyncio.run(model.ainvoke(value))


in_both = pytest.mark.parametrize("ask", [by_invoke, by_ainvoke])


def talking(cache: SemanticJudgeCache, *replies: Any) -> ScriptedChatModel:
    return ScriptedChatModel(replies=replies, cache=cache)


def texts(ask: Ask, model: Any, *prompts: Any) -> list[str]:
    return [ask(model, prompt).content for prompt in prompts]


@in_both
def test_1_unrelated_questions_under_a_long_system_prompt_do_not_meet(
    open_cache: Open, ask: Ask
) -> None:
    cache = open_cache(LexicalEmbeddings(), band=(0.5, 0.6))
    system = SystemMessage("You help the customers of a bank in a kind voice. " * 30)
    questions = ["Where is my card?", "Which loans are there?", "Who owns this bank?"]
    model = talking(cache, "a", "b", "c")

    answers = texts(ask, model, *([system, HumanMessage(q)] for q in questions))

    assert answers == ["a", "b", "c"]


@in_both
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What changed in the law of 2019?", "What changed in the law of 2020?"),
        ("May I take this pill with milk?", "May I not take this pill with milk?"),
        ("How far is it from Rome to Pisa?", "How far is it from Pisa to Rome?"),
    ],
    ids=["number", "negation", "direction"],
)
def test_2_one_changed_word_is_not_served_unjudged(
    one: str, other: str, open_cache: Open, ask: Ask
) -> None:
    judge = ScriptedJudge(answer=False)
    cache = open_cache(LexicalEmbeddings(), judge, band=(0.3, 0.31))
    model = talking(cache, "a", "b")

    assert texts(ask, model, one, other) == ["a", "b"]
    assert [request.new_question for request in judge.requests] == [other]


@in_both
def test_3_a_follow_up_does_not_meet_another_conversation(
    cache: SemanticJudgeCache, ask: Ask
) -> None:
    def follow_up(topic: str) -> list[BaseMessage]:
        said = AIMessage(f"{topic} is a city.")
        return [HumanMessage(f"What is {topic}?"), said, HumanMessage("How old is it?")]

    model = talking(cache, "old", "older")

    answers = texts(ask, model, *map(follow_up, ("Rome", "Pisa", "Rome")))

    assert answers == ["old", "older", "old"]


@in_both
def test_4_a_system_prompt_is_neither_ignored_nor_drowning(
    cache: SemanticJudgeCache, embeddings: Any, ask: Ask
) -> None:
    model = talking(cache, "Ahoy!", "Good day.")
    voices = [SystemMessage("Talk like a pirate."), SystemMessage("Talk like a duke.")]

    answers = texts(ask, model, *([voice, HumanMessage(QUESTION)] for voice in voices))

    assert answers == ["Ahoy!", "Good day."]
    assert set(embeddings.texts) == {QUESTION}


def question_in(messages: list[BaseMessage]) -> str | None:
    return str(messages[-1].content).rpartition("Question: ")[2]


@in_both
@pytest.mark.parametrize("plain", [False, True])
def test_4_a_template_does_not_swamp_the_question(
    plain: bool,
    open_cache: Open,
    embeddings: Any,
    ask: Ask,
) -> None:
    cache = open_cache(judge=lambda _: True, key=question_in)
    replies = ["of A", "of B"]
    model: Any = (
        FakeListLLM(responses=replies, cache=cache)
        if plain
        else talking(cache, *replies)
    )
    template = "Answer from the context.\nContext: {}\nQuestion: {}"

    answers = [
        ask(model, template.format(context, question))
        for context, question in (("A", QUESTION), ("A", PARAPHRASE), ("B", QUESTION))
    ]

    texts = [answer if plain else answer.content for answer in answers]
    assert texts == ["of A", "of A", "of B"]
    assert set(embeddings.texts) <= {QUESTION, PARAPHRASE, "dimension"}


@in_both
def test_5_what_one_tenant_is_told_no_other_is(
    open_cache: Open, tmp_path: Any, ask: Ask
) -> None:
    told = []
    for tenant in ("a", "b", "a"):
        cache = open_cache(
            judge=lambda _: True, path=tmp_path / "cache.db", namespace=tenant
        )
        told += texts(ask, talking(cache, f"for {tenant}", "again"), QUESTION)

    assert told == ["for a", "for b", "for a"]


@in_both
def test_6_what_does_not_matter_does_not_keep_questions_apart(
    cache: SemanticJudgeCache, ask: Ask
) -> None:
    def turn(number: str, question: str) -> list[BaseMessage]:
        metadata = {"id": f"chatcmpl-{number}", "token_usage": {"total_tokens": 3}}
        said = AIMessage("Hello.", id=f"run-{number}", response_metadata=metadata)
        return [HumanMessage("Hi", id=number), said, HumanMessage(question)]

    model = talking(cache, "So.")

    answers = texts(ask, model, turn("1", QUESTION), turn("2", PARAPHRASE))

    assert answers == ["So.", "So."]
    assert (cache.stats().judged_hits, model.calls) == (1, 1)


@pytest.mark.parametrize("similar", [True, False])
def test_7_sync_and_async_decide_alike(
    similar: bool,
    open_cache: Open,
) -> None:
    decisions = []
    for ask in (by_invoke, by_ainvoke):
        cache = open_cache(LexicalEmbeddings(), band=(0.75, 0.76))
        model = talking(cache, "a", "b")
        ask(model, QUESTION)
        prompt = prompt_of(HumanMessage(PARAPHRASE if similar else "Who are you?"))
        answer = ask(model, PARAPHRASE if similar else "Who are you?")
        explained = cache.explain(prompt, model._get_llm_string())
        decisions.append((answer.content, explained.similarity, explained.reason))

    assert decisions[0] == decisions[1]
    assert decisions[0][0] == ("a" if similar else "b")


@in_both
def test_9_a_tool_call_is_served_whole_and_a_tool_choice_counts(
    cache: SemanticJudgeCache, ask: Ask
) -> None:
    @tool
    def weather(city: str) -> str:
        """Tell the weather."""
        return city

    called = Reply(tool_calls=[ToolCall("weather", {"city": "Rome"})])
    model = talking(cache, called, "Sunny.")
    chains = [model.bind_tools([weather], tool_choice=c) for c in ("any", "none")]

    live, served = ask(chains[0], QUESTION), ask(chains[0], QUESTION)

    assert served.tool_calls == live.tool_calls
    assert ask(chains[1], QUESTION).content == "Sunny."
    assert model.calls == 2


@in_both
def test_10_one_answer_can_be_forgotten_by_what_was_served(
    cache: SemanticJudgeCache, ask: Ask
) -> None:
    model = talking(cache, "old", "kept", "new")
    texts(ask, model, QUESTION, "Who are you?")
    served = ask(model, QUESTION)
    hit_id = served.response_metadata["prodpatterns.cache"]["hit_id"]

    assert cache.invalidate(hit_id=hit_id) == 1
    assert texts(ask, model, QUESTION, "Who are you?") == ["new", "kept"]
