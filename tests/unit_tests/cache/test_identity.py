"""What partitions, and what does not."""

import gc
import itertools
import json
import sys
import types
from collections.abc import Sequence
from typing import Any, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.load import dumps
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from pydantic import create_model

from langchain_prodpatterns.cache.identity import (
    Identity,
    Scope,
    identify,
)
from langchain_prodpatterns.cache.schemas import AmbiguousClass
from tests.unit_tests.cache.conftest import LLM, prompt_of

SCOPE = Scope("default", "embedder")
QUESTION = HumanMessage("How do I reset my password?")
PARAPHRASE = HumanMessage("How can I reset the password?")


def of(*messages: BaseMessage, llm: str = LLM, scope: Scope = SCOPE) -> Identity:
    return identify(prompt_of(*messages), llm, scope)


def test_only_the_last_user_text_is_semantic() -> None:
    identity = of(SystemMessage("Be brief."), QUESTION)

    assert identity.text == QUESTION.content
    assert identity.context == "Be brief."


def test_the_last_user_text_does_not_partition() -> None:
    first, second = of(QUESTION), of(PARAPHRASE)

    assert first.partition == second.partition
    assert first.exact != second.exact


HISTORY = [HumanMessage("Hi"), AIMessage("Hello")]


@pytest.mark.parametrize(
    "other",
    [
        [SystemMessage("Be rude."), *HISTORY, QUESTION],
        [SystemMessage("Be brief."), HumanMessage("Hi!"), HISTORY[1], QUESTION],
        [SystemMessage("Be brief."), HISTORY[0], AIMessage("Hey"), QUESTION],
        [SystemMessage("Be brief."), QUESTION],
        [
            SystemMessage("Be brief."),
            *HISTORY,
            HumanMessage(QUESTION.content, name="b"),
        ],
        [HumanMessage("Be brief."), *HISTORY, QUESTION],
        [ChatMessage(content="Be brief.", role="developer"), *HISTORY, QUESTION],
    ],
    ids=["system", "user turn", "answer", "no history", "name", "role", "chat role"],
)
def test_everything_else_partitions(other: Sequence[BaseMessage]) -> None:
    base = of(SystemMessage("Be brief."), *HISTORY, QUESTION)

    assert of(*other).partition != base.partition


def test_ids_usage_and_response_metadata_of_the_history_do_not_partition() -> None:
    told = AIMessage(
        "Hello",
        id="run-1",
        response_metadata={"id": "chatcmpl-1", "token_usage": {"total_tokens": 3}},
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
    )

    assert of(HISTORY[0], told, QUESTION) == of(*HISTORY, QUESTION)


def _with_tool(call_id: str, args: dict[str, Any], result: str) -> list[BaseMessage]:
    raw = {"tool_calls": [{"id": call_id, "function": {"name": "f"}}]}
    called = AIMessage(
        "",
        tool_calls=[{"name": "f", "args": args, "id": call_id}],
        additional_kwargs=raw,
    )
    returned = ToolMessage(result, tool_call_id=call_id, artifact={"seen": call_id})
    return [HumanMessage("Hi"), called, returned, QUESTION]


def test_ids_of_tool_calls_do_not_partition() -> None:
    assert of(*_with_tool("a", {"x": 1}, "1")) == of(*_with_tool("b", {"x": 1}, "1"))


@pytest.mark.parametrize(
    "changed", [({"x": 2}, "1"), ({"x": 1}, "2"), ({"id": "a"}, "1")]
)
def test_arguments_and_results_of_tools_partition(
    changed: tuple[dict[str, Any], str],
) -> None:
    base = of(*_with_tool("a", {"x": 1}, "1"))

    assert of(*_with_tool("a", *changed)).partition != base.partition


def test_a_user_mapping_that_looks_like_langchain_json_is_only_data() -> None:
    identity = of(*_with_tool("a", {"lc": 1, "type": "constructor"}, "1"))

    assert identity.text == QUESTION.content


def _image(url: str, text: str = "What is this?") -> HumanMessage:
    return HumanMessage(
        [
            {"type": "text", "text": text},
            {"type": "image_url", "image_url": {"url": url}},
        ]
    )


def test_images_partition_and_are_not_in_the_text() -> None:
    first, second = of(_image("data:AAAA")), of(_image("data:BBBB"))

    assert first.text == second.text == "What is this?"
    assert first.partition != second.partition


def test_text_beside_an_image_is_semantic() -> None:
    asked = of(_image("data:AAAA", "What could this be?"))

    assert asked.partition == of(_image("data:AAAA")).partition


def test_text_as_one_block_is_the_same_as_text() -> None:
    block = HumanMessage([{"type": "text", "text": str(QUESTION.content)}])

    assert of(block) == of(QUESTION)


@pytest.mark.parametrize(
    "messages",
    [
        _with_tool("a", {}, "1")[:3],
        [HumanMessage("Hi"), AIMessage("Prefilled")],
        [HumanMessage([{"type": "image_url", "image_url": {"url": "x"}}])],
        [HumanMessage("   ")],
        [SystemMessage("Be brief.")],
    ],
    ids=["tool result last", "prefilled", "image only", "blank", "system only"],
)
def test_without_user_text_at_the_end_there_is_only_the_exact_tier(
    messages: list[BaseMessage],
) -> None:
    identity = of(*messages)

    assert identity.text is None
    assert identity == of(*messages)


@pytest.mark.parametrize(
    "prompt",
    [
        '[{"lc": 1, "type": "not_implemented", "id": ["x"], "repr": "Mine()"}]',
        '[{"lc": 1, "type": "constructor", "id": ["evil", "HumanMessage"], "kwargs": {}}]',
        '[{"lc": 1, "type": "constructor", "id": ["langchain", "Tool"], "kwargs": {}}]',
        '[{"lc": 1, "type": "constructor", "id": [], "kwargs": {"content": "hi"}}]',
        '[{"lc": 1, "type"',
        "[]",
        dumps([RemoveMessage(id="1")]),
        dumps([HumanMessage([{"type": "custom", "value": object()}])]),
    ],
    # Not by the prompt: an address in it would name the test anew in each process.
    ids=range(8),
)
def test_a_chat_prompt_that_cannot_be_read_gets_the_exact_tier(prompt: str) -> None:
    assert identify(prompt, LLM, SCOPE).text is None


@pytest.mark.parametrize(
    "prompt", ["How are you?", "[1, 2]", '{"a": 1}', "[", "null", "[[[" * 50_000]
)
def test_a_plain_prompt_is_semantic_as_a_whole(prompt: str) -> None:
    assert identify(prompt, LLM, SCOPE).text == prompt


def test_a_chat_prompt_and_its_text_as_a_plain_prompt_do_not_share() -> None:
    plain = identify(str(QUESTION.content), LLM, SCOPE)

    assert plain.partition != of(QUESTION).partition


def test_namespace_and_embedder_partition() -> None:
    partitions = {
        of(QUESTION, scope=scope).partition
        for scope in (SCOPE, Scope("other", "embedder"), Scope("default", "other"))
    }

    assert len(partitions) == 3


SERIALIZED = {
    "lc": 1,
    "type": "constructor",
    "id": ["langchain", "chat_models", "openai", "ChatOpenAI"],
    "kwargs": {
        "model_name": "gpt",
        "temperature": 0.5,
        "openai_api_base": "http://a",
        "request_timeout": 3.0,
        "max_retries": 2,
        "openai_api_key": {"lc": 1, "type": "secret", "id": ["OPENAI_API_KEY"]},
    },
}


def _llm(params: list[tuple[str, Any]] | None = None, **changed: Any) -> str:
    kwargs = {**SERIALIZED["kwargs"], **changed}  # type: ignore[dict-item]  # it is a dict
    model = json.dumps({**SERIALIZED, "kwargs": kwargs}, sort_keys=True)
    return f"{model}---{params or [('stop', None)]}"


@pytest.mark.parametrize(
    "changed",
    [
        {"openai_api_base": "http://b"},
        {"request_timeout": None},
        {"max_retries": 9},
        {"openai_api_key": "sk-leaked"},
    ],
)
def test_how_the_provider_is_reached_does_not_partition(changed: Any) -> None:
    assert of(QUESTION, llm=_llm(**changed)) == of(QUESTION, llm=_llm())


@pytest.mark.parametrize(
    "other",
    [
        _llm(model_name="gpt-mini"),
        _llm(temperature=0.7),
        _llm([("stop", ["x"])]),
        _llm([("stop", None), ("tools", [{"name": "f"}])]),
        _llm([("stop", None), ("tool_choice", "any")]),
        _llm([("response_format", {"type": "json_object"}), ("stop", None)]),
        LLM,
    ],
    ids=[
        "model",
        "temperature",
        "stop",
        "tools",
        "tool_choice",
        "format",
        "other model",
    ],
)
def test_parameters_partition(other: str) -> None:
    assert of(QUESTION, llm=other).partition != of(QUESTION, llm=_llm()).partition


class Answer(TypedDict):
    text: str


class Probe:
    """A module of its own, so that its classes have no namesakes."""

    _count = itertools.count()

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.name = f"prodpatterns_probe_{next(self._count)}"
        self.module = types.ModuleType(self.name)
        monkeypatch.setitem(sys.modules, self.name, self.module)

    def define(self, **fields: Any) -> None:
        """Define the answer's schema, and forget the one before for good."""
        self.put(create_model("Answer", __module__=self.name, **fields))
        gc.collect()

    def put(self, kind: Any) -> None:
        vars(self.module)["Answer"] = kind

    def identity(self) -> Identity:
        shown = f"<class '{self.name}.Answer'>"
        return of(QUESTION, llm=f"[('response_format', {shown}), ('stop', None)]")


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Probe:
    return Probe(monkeypatch)


def test_a_changed_field_of_a_response_schema_partitions(probe: Probe) -> None:
    probe.define(text=str)
    before = probe.identity()
    probe.define(text=str, n=int)

    assert probe.identity().partition != before.partition


def test_the_same_schema_of_another_class_object_is_the_same(probe: Probe) -> None:
    probe.define(text=str)
    before = probe.identity()
    probe.define(text=str)

    assert probe.identity() == before


def test_a_schema_that_could_be_one_of_two_is_refused(probe: Probe) -> None:
    chains = [create_model("Answer", __module__=probe.name, text=str)]
    probe.define(number=int)

    with pytest.raises(AmbiguousClass, match=r"2 classes are called prodpatterns_pr"):
        probe.identity()
    chains.clear()
    gc.collect()
    assert probe.identity() == probe.identity()


def test_a_typed_dict_is_resolved_too() -> None:
    known = f"[('response_format', <class '{__name__}.Answer'>)]"
    unknown = f"[('response_format', <class '{__name__}.Missing'>)]"

    assert of(QUESTION, llm=known).partition != of(QUESTION, llm=unknown).partition


@pytest.mark.parametrize("name", ["this", "prodpatterns_missing"])
def test_a_schema_is_never_imported(name: str) -> None:
    llm = f"[('response_format', <class '{name}.Answer'>)]"

    first = of(QUESTION, llm=llm)

    assert name not in sys.modules
    assert first == of(QUESTION, llm=llm)


def test_resolving_a_schema_runs_no_module_getattr(probe: Probe) -> None:
    asked: list[str] = []
    vars(probe.module)["__getattr__"] = asked.append

    probe.identity()

    assert "Answer" not in asked


def test_a_class_without_a_schema_is_taken_by_its_name(probe: Probe) -> None:
    probe.put(type("Answer", (), {"__module__": probe.name}))

    assert probe.identity() == probe.identity()


def _question_in(messages: list[BaseMessage]) -> str | None:
    text = str(messages[-1].content)
    return text.rpartition("Question: ")[2] if "Question: " in text else None


def _rag(context: str, question: str) -> str:
    return prompt_of(HumanMessage(f"Context: {context}\nQuestion: {question}"))


def test_key_names_the_semantic_text_and_the_rest_partitions() -> None:
    def keyed(context: str, question: str) -> Identity:
        return identify(_rag(context, question), LLM, SCOPE, _question_in)

    base = keyed("A", "Why?")

    assert base.text == "Why?"
    assert keyed("A", "How come?").partition == base.partition
    assert keyed("B", "Why?").partition != base.partition


def test_a_key_text_that_does_not_occur_leaves_the_whole_to_partition() -> None:
    def keyed(text: str) -> Identity:
        return identify(prompt_of(HumanMessage(text)), LLM, SCOPE, lambda _: "topic")

    assert keyed("a").text == "topic"
    assert keyed("a").partition != keyed("b").partition


@pytest.mark.parametrize("plain", [False, True])
def test_a_key_text_that_occurs_twice_leaves_the_whole_to_partition(
    *, plain: bool
) -> None:
    def keyed(name: str) -> Identity:
        text = f"I am {name}. Question: {name}"
        prompt = text if plain else prompt_of(HumanMessage(text))
        return identify(prompt, LLM, SCOPE, _question_in)

    assert (keyed("anna").text, keyed("anne").text) == ("anna", "anne")
    assert keyed("anna").partition != keyed("anne").partition


def test_key_sees_a_streamed_answer_in_the_history_as_a_message() -> None:
    chunk = AIMessageChunk(
        content="a",
        tool_call_chunks=[{"name": "f", "args": "{}", "id": "1", "index": 0}],
        chunk_position="last",
    )
    seen: list[BaseMessage] = []

    def key(messages: list[BaseMessage]) -> str:
        seen.extend(messages)
        return "Why?"

    identify(prompt_of(HumanMessage("q"), chunk, QUESTION), LLM, SCOPE, key)

    answer = seen[1]
    assert type(answer) is AIMessage
    assert [call["name"] for call in answer.tool_calls] == ["f"]


def test_a_key_without_text_leaves_the_exact_tier() -> None:
    identity = identify(prompt_of(QUESTION), LLM, SCOPE, _question_in)

    assert identity.text is None
    assert identity != identify(prompt_of(PARAPHRASE), LLM, SCOPE, _question_in)


def test_key_works_on_plain_prompts() -> None:
    def keyed(prompt: str) -> Identity:
        return identify(prompt, LLM, SCOPE, _question_in)

    assert keyed("C\nQuestion: Why?").text == "Why?"
    assert keyed("no such thing").text is None


@given(st.text(), st.text(), st.text(), st.text())
def test_the_exact_digest_tells_any_two_requests_apart(
    system: str, text: str, other_system: str, other_text: str
) -> None:
    first = of(SystemMessage(system), HumanMessage(text))
    second = of(SystemMessage(other_system), HumanMessage(other_text))

    same = (system, text) == (other_system, other_text)
    assert (first.exact == second.exact) == same


def test_the_placeholder_in_a_text_forges_nothing() -> None:
    forged = HumanMessage("\ue000text\ue000")

    assert of(forged).exact != of(QUESTION).exact
    assert of(forged, QUESTION).partition != of(QUESTION, QUESTION).partition


def test_lone_surrogates_are_text() -> None:
    assert identify("broken \ud800", LLM, SCOPE).text == "broken \ud800"


@given(st.text(max_size=200))
def test_no_prompt_is_too_strange(prompt: str) -> None:
    assert identify(prompt, prompt, SCOPE) == identify(prompt, prompt, SCOPE)
