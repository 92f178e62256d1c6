import copy
import pickle
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.load import dumpd
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import (
    ConfigurableField,
    Runnable,
    RunnableGenerator,
    RunnableLambda,
)
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from pydantic import SecretStr, ValidationError

from langchain_prodpatterns.errors import ConfigurationError, GuardBlocked
from langchain_prodpatterns.guard import (
    DEFAULT_DETECTORS,
    Canary,
    GuardRunnable,
    InjectionRequest,
    PatternDetector,
    PhoneDetector,
    Rule,
)
from langchain_prodpatterns.guard.message_streaming import add_up
from langchain_prodpatterns.ledger import track
from langchain_prodpatterns.testing import ScriptedChatModel
from tests.unit_tests.guard.planted import VALUES, leaks

TEXT = "Mail ann@example.com or bob@example.com, card 4111 1111 1111 1111."
CLEAN = "Mail [EMAIL] or [EMAIL], card [CARD]."


async def every_way(guard: Runnable[Any, Any], value: Any) -> list[Any]:
    """Run a guard in every way there is, on a value that can be added up."""
    return [
        guard.invoke(value),
        await guard.ainvoke(value),
        guard.batch([value])[0],
        (await guard.abatch([value]))[0],
        next(iter(guard.stream(value))),
        await anext(aiter(guard.astream(value))),
    ]


async def test_values_are_redacted_in_every_way() -> None:
    assert await every_way(GuardRunnable(), TEXT) == [CLEAN] * 6


async def test_the_type_that_goes_in_comes_out() -> None:
    prompt = ChatPromptTemplate.from_messages([("system", "s"), ("human", "{q}")])
    value = prompt.invoke({"q": TEXT})
    before = copy.deepcopy(value)
    for result in await every_way(GuardRunnable(), value):
        assert type(result) is type(value)
        assert [m.content for m in result.to_messages()] == ["s", CLEAN]
    assert value == before


@pytest.mark.parametrize(("name", "value"), VALUES)
def test_every_planted_value_by_default(name: str, value: str) -> None:
    assert (
        GuardRunnable().invoke(f"It is {value} then.")
        == f"It is [{name.upper()}] then."
    )


def test_redacting_twice_changes_nothing_more() -> None:
    guard = GuardRunnable()
    text = " and ".join(value for _, value in VALUES)
    once = guard.invoke(text)
    assert guard.invoke(once) == once


def test_actions() -> None:
    guard = GuardRunnable(policy={"email": "flag", "card": "mask", "phone": "allow"})
    text = "ann@example.com 4111 1111 1111 1111 +44 121 234 7786 10.0.0.1"
    expected = "ann@example.com **** **** **** 1111 +44 121 234 7786 [IP]"
    assert guard.invoke(text) == expected
    assert "".join(str(chunk) for chunk in guard.transform(iter(text))) == expected


async def test_a_block_names_rule_place_and_digest() -> None:
    guard = GuardRunnable(policy={"card": "block"}, direction="output")
    for call in (guard.invoke, lambda text: list(guard.transform(iter(text)))):
        with pytest.raises(GuardBlocked) as caught:
            call("Card 4111 1111 1111 1111")
        assert caught.value.rule == "card"
        assert caught.value.direction == "output"
        assert caught.value.offsets == ((5, 24),)
        assert len(caught.value.digests[0]) == 16
        assert caught.value.__context__ is None
    with pytest.raises(GuardBlocked):
        await guard.ainvoke("Card 4111 1111 1111 1111")
    with pytest.raises(GuardBlocked):
        [_ async for _ in guard.atransform(_aiter(["4111 1111 ", "1111 1111 "]))]


def test_a_digest_tells_equal_values_from_others() -> None:
    guard = GuardRunnable(policy={"email": "block"})
    with pytest.raises(GuardBlocked) as caught:
        guard.invoke("ann@example.com bob@example.com ann@example.com")
    first, second, third = caught.value.digests
    assert first == third != second


def test_a_blocked_stream_has_let_nothing_of_the_value_go() -> None:
    guard = GuardRunnable(policy={"email": "block"})
    out: list[Any] = []
    with pytest.raises(GuardBlocked):
        out.extend(_taking(guard.transform(iter("Say hi to ann@example.com now")), out))
    assert "".join(out) == "Say hi to "


def _taking(source: Iterator[Any], out: list[Any]) -> Iterator[Any]:
    for chunk in source:
        out.append(chunk)
        yield from ()


async def _aiter(values: Sequence[Any]) -> AsyncIterator[Any]:
    for value in values:
        yield value


@pytest.mark.parametrize(
    ("policy", "text", "decision", "reason"),
    [
        ({}, "hello", "clean", "nothing found"),
        ({}, TEXT, "redacted", "redacted card 1, email 2"),
        ({"email": "mask"}, "ann@example.com", "redacted", "redacted email 1"),
        ({"email": "flag"}, "ann@example.com", "flagged", "flagged email 1"),
        ({"email": "allow"}, "ann@example.com", "clean", "nothing found"),
        (
            {"email": "flag"},
            TEXT,
            "redacted",
            "redacted card 1; flagged email 2",
        ),
        ({"card": "block"}, TEXT, "blocked", "blocked card 1; redacted email 2"),
    ],
)
async def test_one_decision_a_run(
    policy: dict[str, str], text: str, decision: str, reason: str
) -> None:
    guard = GuardRunnable(policy=policy)

    async def by_atransform() -> None:
        async for _ in guard.atransform(_aiter([text])):
            pass

    with track() as ledger:
        for call in (guard.invoke, lambda value: list(guard.transform(iter([value])))):
            try:
                call(text)
            except GuardBlocked:
                assert decision == "blocked"
        for work in (guard.ainvoke(text), by_atransform()):
            try:
                await work
            except GuardBlocked:
                assert decision == "blocked"
    made = [(record.decision, record.reason) for record in ledger.to_records()]
    assert made == [(decision, reason)] * 4


def test_flags_are_in_the_metadata_of_the_run() -> None:
    collector = RunCollectorCallbackHandler()
    guard = GuardRunnable(policy={"email": "flag"})
    guard.invoke("to ann@example.com", {"callbacks": [collector]})
    (finding,) = collector.traced_runs[0].metadata["prodpatterns.findings"]
    assert finding.pop("digest")
    assert finding == {"type": "email", "action": "flag", "start": 3, "end": 18}


def test_documents_are_redacted_and_blocked_ones_dropped() -> None:
    documents = [
        Document("by ann@example.com", metadata={"by": "bob@example.com"}),
        Document("card 4111 1111 1111 1111"),
        Document("fine"),
    ]
    before = copy.deepcopy(documents)
    with track() as ledger:
        kept = GuardRunnable(policy={"card": "block"}).invoke(documents)
    assert kept == [
        Document("by [EMAIL]", metadata={"by": "[EMAIL]"}),
        Document("fine"),
    ]
    assert documents == before
    (record,) = ledger.to_records()
    assert record.decision == "blocked"
    assert record.reason == "blocked card 1; redacted email 2; dropped 1 of 3 documents"
    (decision,) = ledger._books().decisions.values()
    assert decision.counts == {"blocked card": 1, "blocked document": 1}


async def test_documents_async() -> None:
    documents = [Document("by ann@example.com"), Document("fine")]
    expected = [Document("by [EMAIL]"), Document("fine")]
    guard = GuardRunnable()
    assert await guard.ainvoke(documents) == expected
    assert [out async for out in guard.atransform(_aiter([documents]))] == [expected]
    assert list(guard.transform(iter([documents[:1], documents[1:]]))) == [expected]


@pytest.mark.parametrize("value", [{"q": "x"}, 3, None, ["x"]])
async def test_what_cannot_be_guarded_is_refused(value: Any) -> None:
    for call in (
        GuardRunnable().invoke,
        lambda v: list(GuardRunnable().transform(iter([v]))),
    ):
        with pytest.raises(TypeError, match="GuardRunnable takes"):
            call(value)
    with pytest.raises(TypeError, match="GuardRunnable takes"):
        await GuardRunnable().ainvoke(value)


async def test_a_stream_that_changes_its_type_is_refused() -> None:
    mixed: list[Any] = ["ann", HumanMessage("x")]
    with pytest.raises(TypeError, match="HumanMessage"):
        list(GuardRunnable().transform(iter(mixed)))
    with pytest.raises(TypeError, match="HumanMessage"):
        [_ async for _ in GuardRunnable().atransform(_aiter(mixed))]


async def test_empty_streams() -> None:
    guard = GuardRunnable()
    assert list(guard.transform(iter([]))) == []
    assert [_ async for _ in guard.atransform(_aiter([]))] == []
    assert list(guard.transform(iter([""]))) == [""]
    assert [_ async for _ in guard.atransform(_aiter(["", ""]))] == [""]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"detectors": ["emial"]}, "no detector 'emial'"),
        ({"detectors": []}, "guards nothing"),
        ({"direction": "both"}, "direction must be 'input' or 'output'"),
        ({"on_error": "allow"}, "on_error must be 'block' or 'flag'"),
        ({"policy": {"emial": "flag"}}, "no type 'emial'"),
        ({"policy": {"email": "drop"}}, "no action 'drop'"),
        ({"policy": {"injection": "flag"}}, "needs a judge or a classifier"),
        ({"detectors": [Canary()]}, "got Canary: give its `detector`"),
        ({"detectors": [3]}, r"`find\(text\)`, got int$"),
        ({"judge": 3}, "judge must be"),
        ({"judge": bool, "judge_timeout": 0}, "judge_timeout must be"),
        ({"judge_timeout": "5"}, "judge_timeout must be a number of seconds.*'5'"),
        ({"vault": 1}, "vault must be a Vault or None, got 1"),
        ({"policy": {"email": "pseudonymize"}}, "values need a vault"),
        ({"key": ""}, "key must be a text or bytes that are not empty, got str"),
        ({"key": SecretStr("")}, "key must be a text or bytes that are not empty"),
        ({"key": 7}, "key must be a text or bytes"),
        ({"keys": "question"}, r"keys must be a list of texts, .*'question'"),
        ({"keys": []}, "keys must be a list of texts"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        GuardRunnable(**arguments)


def test_unknown_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="safe"):
        GuardRunnable(safe=1)  # type: ignore[call-arg]  # the point of the test


def test_detectors_of_ones_own() -> None:
    badge = PatternDetector("badge", r"\bEMP-[0-9]{6}\b")
    guard = GuardRunnable(
        ["email", badge, PhoneDetector(["ES"])], policy={"badge": "mask"}
    )
    assert (
        guard.invoke("EMP-901234 10.0.0.1 912 34 56 78")
        == "***-**1234 10.0.0.1 [PHONE]"
    )
    more = GuardRunnable([*DEFAULT_DETECTORS, badge])
    assert more.invoke("EMP-901234 10.0.0.1") == "[BADGE] [IP]"


class Broken:
    """A detector that fails with the text in its error."""

    name = "broken"

    def find(self, text: str) -> list[tuple[int, int]]:
        raise ValueError(text)


async def test_a_broken_detector_blocks() -> None:
    guard = GuardRunnable(["email", Broken()])
    with track() as ledger:
        for call in (guard.invoke, lambda text: list(guard.transform(iter(text)))):
            with pytest.raises(GuardBlocked, match=r"broken \(ValueError\)") as caught:
                call("secret words")
            assert "secret" not in str(caught.value)
            assert caught.value.rule == "error"
            assert caught.value.__context__ is None
        with pytest.raises(GuardBlocked):
            await guard.ainvoke("secret words")
        assert guard.invoke([Document("secret words")]) == []
    assert {record.decision for record in ledger.to_records()} == {"error"}


def test_a_broken_detector_can_be_flagged_and_is_never_clean() -> None:
    guard = GuardRunnable(["email", Broken()], on_error="flag")
    with track() as ledger:
        assert guard.invoke("to ann@example.com") == "to [EMAIL]"
        assert "".join(map(str, guard.transform(iter(["a", "b"])))) == "ab"
    assert [record.decision for record in ledger.to_records()] == ["error", "error"]


class Wild:
    """A detector whose places are not all in the text."""

    name = "wild"

    def __init__(self, place: Any) -> None:
        self.place = place

    def find(self, text: str) -> list[Any]:
        return [(0, 1), self.place, (1, 2)]


@pytest.mark.parametrize("place", [(-3, 2), (1, 1), (2, 99), (2, 1), (0.5, 2.0), (1,)])
def test_a_detector_that_points_outside_the_text_has_failed(place: Any) -> None:
    guard = GuardRunnable([Wild(place)])
    for call in (guard.invoke, lambda text: list(guard.transform(iter(text)))):
        with pytest.raises(GuardBlocked, match=r"failed: wild \("):
            call("abc")
    lenient = GuardRunnable([Wild(place)], on_error="flag")
    assert lenient.invoke("abc").startswith("[WILD]"), "what it found before counts"


def test_around_a_chain() -> None:
    seen: list[str] = []

    def reply(text: str) -> str:
        seen.append(text)
        return "ask bob@example.com"

    chain = GuardRunnable().wrap(RunnableLambda(reply))
    assert chain.invoke("I am ann@example.com") == "ask [EMAIL]"
    assert seen == ["I am [EMAIL]"]


async def test_a_wrapped_chain_streams_without_a_leak() -> None:
    def letters(chunks: Iterator[Any]) -> Iterator[str]:
        text = "".join(chunks)
        yield from f"You said {text}: write to bob.builder@example.com now please"

    async def aletters(chunks: AsyncIterator[Any]) -> AsyncIterator[str]:
        for letter in letters(iter([chunk async for chunk in chunks])):
            yield letter

    chain = GuardRunnable().wrap(RunnableGenerator(letters, aletters))
    chunks = list(chain.stream("hi"))
    assert "".join(chunks) == "You said hi: write to [EMAIL] now please"
    assert len(chunks) > 5
    assert [chunk async for chunk in chain.astream("hi")] == chunks
    assert leaks("".join(chunks), ["bob.builder@example.com"]) == []


def test_around_a_model() -> None:
    model = ScriptedChatModel(respond=lambda request: f"re: {request.user_text}")
    out = GuardRunnable().wrap(model).invoke([HumanMessage("ann@example.com")])
    assert isinstance(out, AIMessage)
    assert out.content == "re: [EMAIL]"
    assert "ann@" not in str(model.requests)


def test_wrap_takes_a_guard_for_the_way_out() -> None:
    out = GuardRunnable(["email"], direction="output", policy={"email": "mask"})
    chain = GuardRunnable(["card"]).wrap(RunnableLambda(lambda text: text), output=out)
    assert chain.invoke("ann@example.com") == "***@******e.com"


def test_the_policy_of_the_way_in_holds_on_the_way_out() -> None:
    guard = GuardRunnable(
        policy={"email": "flag", "injection": "flag"}, judge=lambda request: False
    )
    chain = guard.wrap(RunnableLambda(lambda text: f"{text} 10.0.0.1"))
    assert chain.invoke("ann@example.com") == "ann@example.com [IP]"


def test_wrap_refuses_guards_that_face_the_wrong_way() -> None:
    with pytest.raises(ConfigurationError, match="direction"):
        GuardRunnable(direction="output").wrap(RunnableLambda(str))
    with pytest.raises(ConfigurationError, match="direction"):
        GuardRunnable().wrap(RunnableLambda(str), output=GuardRunnable())


def test_pickle_deepcopy_and_dumpd() -> None:
    guard = GuardRunnable(["email", "phone"], policy={"email": "mask"})
    for other in (pickle.loads(pickle.dumps(guard)), copy.deepcopy(guard)):  # noqa: S301 - our own bytes
        assert other.invoke("ann@example.com") == guard.invoke("ann@example.com")
    assert dumpd(guard)["type"] == "not_implemented"


def test_configurable_fields_build_a_new_guard() -> None:
    guard = GuardRunnable().configurable_fields(policy=ConfigurableField(id="policy"))
    config: Any = {"configurable": {"policy": {"email": "mask"}}}
    assert guard.invoke("ann@example.com", config) == "***@******e.com"
    assert guard.invoke("ann@example.com") == "[EMAIL]"


def test_a_changed_copy_is_a_new_guard() -> None:
    guard = GuardRunnable(name="mine")
    masking = guard.model_copy(update={"policy": {"email": "mask"}})
    assert masking.invoke("ann@example.com") == "***@******e.com"
    assert masking.name == "mine"
    assert guard.model_copy(deep=True).invoke("ann@example.com") == "[EMAIL]"
    with pytest.raises(ConfigurationError, match="names no type"):
        guard.model_copy(update={"policy": {"emial": "mask"}})


def test_a_guard_cannot_be_changed_in_place() -> None:
    guard: Any = GuardRunnable()
    with pytest.raises(ValidationError, match="frozen"):
        guard.policy = {"email": "mask"}


class Where:
    """A detector that notes in which threads it looks."""

    name = "where"

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def find(self, text: str) -> list[tuple[int, int]]:
        self.threads.add(threading.get_ident())
        return []


LARGE = "word " * 4_000


@pytest.mark.parametrize(
    "value",
    [LARGE, HumanMessage([{"type": "text", "text": LARGE}]), [Document(LARGE)]],
    ids=["text", "message", "documents"],
)
async def test_a_large_text_does_not_hold_up_the_event_loop(value: Any) -> None:
    where = Where()
    guard = GuardRunnable([where])
    assert await guard.ainvoke(value) == value
    assert where.threads
    assert threading.get_ident() not in where.threads
    await guard.ainvoke("small")
    assert threading.get_ident() in where.threads


@pytest.mark.parametrize(
    "chunks",
    [
        [LARGE[:9_000], LARGE[9_000:]],
        [AIMessageChunk(content=LARGE[:9_000]), AIMessageChunk(content=LARGE[9_000:])],
        [AIMessageChunk(content=[{"type": "text", "text": LARGE}])],
    ],
    ids=["text", "message", "blocks"],
)
async def test_nor_does_a_large_stream(chunks: list[Any]) -> None:
    where = Where()
    out = [out async for out in GuardRunnable([where]).atransform(_aiter(chunks))]
    assert add_up(out) == add_up(chunks)
    assert where.threads
    assert threading.get_ident() not in where.threads


def test_schemas_and_graph() -> None:
    guard = GuardRunnable()
    assert "anyOf" in guard.get_input_jsonschema()
    assert "anyOf" in guard.get_output_jsonschema()
    assert "GuardRunnable" in guard.get_graph().draw_mermaid()


def test_with_fallbacks_and_bind() -> None:
    blocked = GuardRunnable(policy={"email": "block"})
    safe = blocked.with_fallbacks([RunnableLambda(lambda _: "no")])
    assert safe.invoke("ann@example.com") == "no"
    assert GuardRunnable().bind(stop=["x"]).invoke("ann@example.com") == "[EMAIL]"


def test_a_system_prompt_is_guarded_too() -> None:
    out = GuardRunnable().invoke(
        [SystemMessage("ann@example.com"), AIMessage("10.0.0.1")]
    )
    assert isinstance(out, list)
    assert [message.content for message in out] == ["[EMAIL]", "[IP]"]


def test_around_a_chain_with_only_a_judge() -> None:
    guard = GuardRunnable([], judge=lambda _: False)
    assert guard.wrap(RunnableLambda(str.upper)).invoke("hi") == "HI"


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"policy": "block"}, "policy maps types to actions, .* got 'block'"),
        ({"policy": ["email"]}, "policy maps types to actions"),
        ({"detectors": [PhoneDetector]}, "PhoneDetector is a class"),
        ({"judge": lambda _: True, "judge_timeout": "5"}, "seconds above 0 .* '5'"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        GuardRunnable(**arguments)


def test_wrap_refuses_what_is_no_guard() -> None:
    chain: Any = RunnableLambda(str.upper)
    with pytest.raises(ConfigurationError, match="takes as output="):
        GuardRunnable().wrap(chain, output=chain)


class Source:
    """A stream that notes when it is closed."""

    def __init__(self) -> None:
        self.closed = False

    def stream(self, _: Iterator[str]) -> Iterator[str]:
        try:
            while True:
                yield "ann@example.com "
        finally:
            self.closed = True

    async def astream(self, _: AsyncIterator[str]) -> AsyncIterator[str]:
        try:
            while True:
                yield "ann@example.com "
        finally:
            self.closed = True


async def test_what_is_blocked_is_not_generated_to_its_end() -> None:
    guard = GuardRunnable(direction="output", policy={"email": "block"})
    source = Source()
    with pytest.raises(GuardBlocked) as caught:
        list(guard.transform(source.stream(iter(()))))
    assert source.closed
    source = Source()
    with pytest.raises(GuardBlocked) as caught_async:
        _ = [out async for out in guard.atransform(source.astream(_none()))]
    # Asked while the error, and with it every frame of the stream, is still there.
    assert source.closed
    assert caught.value.rule == caught_async.value.rule == "email"


async def _none() -> AsyncIterator[str]:
    return
    yield


class Cut:
    """A stream that fails where it is told to, in both ways."""

    def __init__(self, *chunks: str, fails: bool = False) -> None:
        self.chunks = chunks
        self.fails = fails

    def __iter__(self) -> Iterator[Any]:
        yield from self.chunks
        if self.fails:
            raise LookupError

    async def __aiter__(self) -> AsyncIterator[Any]:
        for chunk in self:
            yield chunk


async def test_what_was_let_go_of_a_stream_that_is_cut_off_is_recorded() -> None:
    guard = GuardRunnable()
    cut = Cut("Mail ann@example.com now and ", "then ", "card")
    with track() as ledger:
        stream = guard.transform(iter(cut))
        assert next(stream) == "Mail [EMAIL] now "
        stream.close()  # type: ignore[attr-defined]  # it is a generator
        astream = guard.atransform(aiter(cut))
        assert await anext(astream) == "Mail [EMAIL] now "
        await astream.aclose()  # type: ignore[attr-defined]  # it is a generator
    rows = [(row.decision, row.reason) for row in ledger.to_records()]
    assert rows == [("redacted", "redacted email 1; cut off")] * 2


async def test_what_was_let_go_of_a_stream_that_fails_is_recorded() -> None:
    guard = GuardRunnable()
    cut = Cut("Mail ann@example.com now and ", fails=True)
    with track() as ledger:
        with pytest.raises(LookupError):
            list(guard.transform(iter(cut)))
        with pytest.raises(LookupError):
            [each async for each in guard.atransform(aiter(cut))]
    rows = [(row.decision, row.reason) for row in ledger.to_records()]
    assert rows == [("redacted", "redacted email 1; cut off")] * 2


async def test_a_stream_is_recorded_once() -> None:
    guard = GuardRunnable(policy={"card": "block"})
    with track() as ledger:
        assert list(guard.transform(iter(["ann@example.com", " "])))
        with pytest.raises(GuardBlocked):
            list(guard.transform(iter(["4111 1111 1111 1111", " and on"])))
    decisions = [row.decision for row in ledger.to_records()]
    assert decisions == ["redacted", "blocked"]


def test_the_keys_of_arguments_say_what_digits_are() -> None:
    args: dict[str, Any] = {
        "ssn": "123456789",
        "tel": 4155552671,
        "order_id": "4242424242424242",
        "orderNumber": 4242424242424242,
        "version": "1.2.3.4",
        "aws_secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    }
    kept = {key: args[key] for key in ("order_id", "orderNumber", "version")}
    hidden = {"ssn": "[SSN]", "tel": "[PHONE]", "aws_secret_access_key": "[API_KEY]"}
    call: Any = {"name": "f", "args": args, "id": "1"}
    guard = GuardRunnable()
    with track() as ledger:
        assert guard.invoke(AIMessage("", tool_calls=[call])).tool_calls[0]["args"] == {
            **kept,
            **hidden,
        }
        (document,) = guard.invoke([Document("", metadata=args)])
    assert document.metadata == {**kept, **hidden}
    (record, _) = ledger.to_records()
    assert record.reason == "redacted api_key 1, phone 1, ssn 1"


@pytest.mark.parametrize(("size", "aside"), [(2_000, False), (2_001, True)])
async def test_what_takes_long_is_looked_at_in_a_thread(
    size: int, *, aside: bool
) -> None:
    threads: list[threading.Thread] = []

    class Spy:
        name = "spy"

        def find(self, text: str) -> list[tuple[int, int]]:
            threads.append(threading.current_thread())
            return []

    await GuardRunnable([Spy()]).ainvoke("1" * size)
    assert (threads[0] is not threading.current_thread()) is aside


CARD = 4111_1111_1111_1111


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        ([Document("", metadata={"card": CARD})], Rule("allow", direction="document")),
        (
            [ToolMessage("", tool_call_id="1", artifact=[CARD])],
            Rule("allow", trust="untrusted"),
        ),
        (
            [AIMessage("", additional_kwargs={"card": CARD})],
            Rule("allow", trust="model"),
        ),
    ],
)
def test_a_number_is_where_its_message_is(value: Any, allowed: Rule) -> None:
    assert str(CARD) in str(GuardRunnable(policy=[allowed]).invoke(value))
    elsewhere = [Rule("allow"), Rule("redact", "*", allowed.direction, allowed.trust)]
    assert str(CARD) not in str(GuardRunnable(policy=elsewhere).invoke(value))


def test_a_judge_is_not_asked_about_numbers() -> None:
    seen: list[str] = []

    def judge(request: InjectionRequest) -> bool:
        seen.append(request.text)
        return False

    guard = GuardRunnable(judge=judge)
    guard.invoke([Document("text", metadata={"page": 7, "spelled": "7" * 41})])
    assert seen == ["text\n\npage\n\nspelled\n\n" + "7" * 41]
