"""Stand-ins that nobody can forge, and the values behind them."""

import copy
import json
import pickle
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    SystemMessage,
)
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler

from langchain_prodpatterns import track
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.guard import (
    DEFAULT_DETECTORS,
    GuardRunnable,
    PatternDetector,
    Rule,
    Vault,
)
from langchain_prodpatterns.guard.detectors import resolve_detectors
from langchain_prodpatterns.guard.message_streaming import add_up
from langchain_prodpatterns.guard.stand_ins import StandIns
from langchain_prodpatterns.guard.vault import STAND_IN, Scope, scope_of
from langchain_prodpatterns.testing import ScriptedChatModel, ScriptedRequest

ANN, BOB = "ann@example.com", "bob@example.com"
HERE = Scope(session="here")
IN_7: RunnableConfig = {"configurable": {"session_id": "7"}}
IN_8: RunnableConfig = {"configurable": {"session_id": "8"}}


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


# --- the vault


def test_a_value_comes_back_from_its_stand_in() -> None:
    vault = Vault()
    stand_in = vault.stand_in(ANN, "email", HERE)
    assert re.fullmatch(STAND_IN, stand_in)
    assert stand_in.startswith("[EMAIL_1_")
    assert "ann" not in stand_in
    assert vault.restore(stand_in, HERE) == ANN


@pytest.mark.parametrize(
    "name", ["Person name", "2fa-code", "stra\u00dfe", "\u540d", "a" * 60]
)
def test_stand_ins_of_any_type_are_found(name: str) -> None:
    vault = Vault()
    stand_in = vault.stand_in("Zoe", name, HERE)
    assert re.fullmatch(STAND_IN, stand_in)
    assert vault.restore(stand_in, HERE) == "Zoe"


def test_a_value_has_one_stand_in_in_a_conversation() -> None:
    vault = Vault()
    first, second = (vault.stand_in(value, "email", HERE) for value in (ANN, BOB))
    assert first != second
    assert vault.stand_in(ANN, "email", HERE) == first
    assert vault.stand_in(ANN, "phone", HERE) != first
    assert vault.stand_in(ANN, "email", Scope(session="there")) != first


@pytest.mark.parametrize(
    "other",
    [
        Scope(session="there"),
        Scope(tenant="acme", session="here"),
        Scope(run="here"),
        Scope(),
    ],
)
def test_nobody_else_has_it_restored(other: Scope) -> None:
    vault = Vault()
    stand_in = vault.stand_in(ANN, "email", HERE)
    assert vault.restore(stand_in, other) is None


def test_a_conversation_without_a_name_is_one_too() -> None:
    vault, nameless = Vault(), Scope(session="")
    stand_in = vault.stand_in(ANN, "email", nameless)
    assert vault.restore(stand_in, nameless) == ANN
    assert vault.restore(stand_in, Scope(run="r")) is None


def test_without_a_conversation_it_is_restored_in_every_part_of_the_run() -> None:
    vault = Vault()
    stand_in = vault.stand_in(ANN, "email", Scope(run="a part"))
    assert vault.restore(stand_in, Scope(run="another part")) == ANN
    assert vault.restore(stand_in, Scope(tenant="acme", run="a part")) is None


def test_values_are_forgotten_some_time_after_their_last_use() -> None:
    clock = Clock()
    vault = Vault(ttl=60, clock=clock)
    there = Scope(session="there")
    kept, lost = (vault.stand_in(ANN, "email", scope) for scope in (HERE, there))
    clock.now = 50
    assert vault.restore(kept, HERE) == ANN
    clock.now = 100
    assert len(vault) == 1
    assert vault.restore(lost, there) is None
    assert vault.restore(kept, HERE) == ANN
    clock.now = 161
    assert len(vault) == 0


def test_the_oldest_conversations_make_room() -> None:
    vault = Vault(max_values=2)
    scopes = [Scope(session=str(number)) for number in range(3)]
    stand_ins = [vault.stand_in(ANN, "email", scope) for scope in scopes]
    restored = list(map(vault.restore, stand_ins, scopes))
    assert restored == [None, ANN, ANN]
    more = [vault.stand_in(str(n), "email", scopes[2]) for n in range(5)]
    assert vault.restore(more[0], scopes[2]) == "0", "the one in use is whole"


def test_a_conversation_can_be_forgotten() -> None:
    vault = Vault()
    stand_in = vault.stand_in(ANN, "email", HERE)
    run = vault.stand_in(ANN, "email", Scope(run="r"))
    vault.forget(HERE)
    vault.forget(Scope(run="r"))
    vault.forget(Scope(session="never seen"))
    assert vault.restore(stand_in, HERE) is None
    assert vault.restore(run, Scope(run="r")) is None
    assert len(vault) == 0


def test_copies_share_it_and_values_do_not_leave_the_process() -> None:
    vault = Vault(ttl=5, max_values=7)
    stand_in = vault.stand_in(ANN, "email", HERE)
    assert copy.deepcopy(vault) is vault
    sent = pickle.dumps(vault)
    assert ANN.encode() not in sent
    arrived = pickle.loads(sent)  # noqa: S301 - our own
    assert (arrived.ttl, arrived.max_values, len(arrived)) == (5, 7, 0)
    assert arrived.restore(stand_in, HERE) is None
    assert repr(vault) == "Vault(ttl=5, max_values=7)"


@pytest.mark.parametrize("kwargs", [{"ttl": 0}, {"max_values": 0}])
def test_vaults_that_cannot_work(kwargs: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(kwargs))):
        Vault(**kwargs)


def test_threads_agree_on_stand_ins() -> None:
    vault, found, barrier = Vault(), [], threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        found.append([vault.stand_in(str(n), "email", HERE) for n in range(200)])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(each == found[0] for each in found)
    assert len(vault) == 200


@pytest.mark.parametrize(
    ("configurable", "scope"),
    [
        ({}, Scope(run="r")),
        ({"session_id": "s", "tenant": 7}, Scope("7", "s")),
        ({"thread_id": 3}, Scope(session="3")),
        ({"session_id": "s", "thread_id": "t"}, Scope(session="s")),
        ({"session_id": None, "thread_id": "t"}, Scope(session="t")),
        ({"session_id": "", "thread_id": "t"}, Scope(session="")),
    ],
)
def test_scopes(configurable: dict[str, Any], scope: Scope) -> None:
    assert scope_of(configurable, "r") == scope


# --- guards with a vault


def parrot(request: ScriptedRequest) -> str:
    return f"You said: {request.user_text}"


def heard(model: ScriptedChatModel) -> str:
    return str(model.requests[-1].messages)


def chain_of(model: ScriptedChatModel, vault: Vault) -> Runnable[str, str]:
    guard = GuardRunnable(policy={"email": "pseudonymize"}, vault=vault)
    return guard.wrap(model | StrOutputParser())


def test_the_model_sees_stand_ins_and_the_user_values() -> None:
    model = ScriptedChatModel(respond=parrot)
    answer = chain_of(model, Vault()).invoke(f"Mail {ANN} and {BOB}, not {ANN}")
    assert answer == f"You said: Mail {ANN} and {BOB}, not {ANN}"
    said = re.findall(STAND_IN, heard(model))
    assert ANN not in heard(model)
    assert said[0] == said[2] != said[1]


async def test_async_and_streams_restore_alike() -> None:
    model = ScriptedChatModel(respond=parrot)
    chain = chain_of(model, Vault())
    expected = f"You said: Mail {ANN}"
    assert await chain.ainvoke(f"Mail {ANN}") == expected
    assert "".join(chain.stream(f"Mail {ANN}")) == expected
    assert "".join([c async for c in chain.astream(f"Mail {ANN}")]) == expected


def test_a_conversation_keeps_its_stand_ins() -> None:
    model = ScriptedChatModel(respond=parrot)
    chain = chain_of(model, Vault())
    chain.invoke(ANN, IN_7)
    (first,) = re.findall(STAND_IN, heard(model))
    chain.invoke(f"again {ANN}", IN_7)
    assert first in heard(model)
    chain.invoke(ANN, IN_8)
    assert first not in heard(model)


def test_a_stand_in_of_another_conversation_stays_as_it_is() -> None:
    vault = Vault()
    model = ScriptedChatModel(respond=parrot)
    chain = chain_of(model, vault)
    chain.invoke(ANN, IN_7)
    (stolen,) = re.findall(STAND_IN, heard(model))
    assert chain.invoke(f"What is {stolen}?", IN_8) == f"You said: What is {stolen}?"


@pytest.mark.parametrize("forged", ["[EMAIL_1_aaaaaaaaaa]", "[EMAIL_1_]", "[EMAIL_1"])
def test_forged_stand_ins_are_only_text(forged: str) -> None:
    chain = chain_of(ScriptedChatModel(respond=parrot), Vault())
    assert chain.invoke(f"{forged} {ANN}") == f"You said: {forged} {ANN}"


def test_what_is_restored_is_not_looked_at_again() -> None:
    vault = Vault()
    scope = Scope(session="7")
    other = vault.stand_in(BOB, "email", scope)
    # A value that looks like a stand-in, such as a user may have for a name.
    tricky = vault.stand_in(other, "email", scope)
    out = GuardRunnable(direction="output", vault=vault)
    assert out.invoke(f"to {tricky}", IN_7) == f"to {other}"


def test_tool_calls_are_restored_too() -> None:
    vault = Vault()
    stand_in = vault.stand_in('ann"x@example.com', "email", Scope(session="7"))
    out = GuardRunnable(direction="output", vault=vault)
    call = {"name": "send", "args": {"to": [stand_in]}, "id": "1", "type": "tool_call"}
    message = AIMessage("", tool_calls=[call])
    assert out.invoke(message, IN_7).tool_calls[0]["args"] == {
        "to": ['ann"x@example.com']
    }
    raw = json.dumps({"to": stand_in})
    half = len(raw) // 2
    chunks = [
        AIMessageChunk(
            content="",
            tool_call_chunks=[
                {
                    "name": name,
                    "args": args,
                    "id": "1",
                    "index": 0,
                    "type": "tool_call_chunk",
                }
            ],
        )
        for name, args in (("send", raw[:half]), (None, raw[half:]))
    ]
    whole = add_up(list(out.transform(iter(chunks), IN_7)))
    assert whole.tool_calls[0]["args"] == {"to": 'ann"x@example.com'}


def test_a_model_that_says_something_private_of_its_own_is_redacted() -> None:
    model = ScriptedChatModel(respond=lambda r: f"{r.user_text} and eve@example.com")
    assert chain_of(model, Vault()).invoke(ANN) == f"{ANN} and [EMAIL]"


def test_documents_and_questions_share_stand_ins() -> None:
    vault = Vault()
    guard = GuardRunnable(policy={"email": "pseudonymize"}, vault=vault)
    (document,) = guard.invoke([Document(f"by {ANN}")], IN_7)
    question = guard.invoke(f"who is {ANN}?", IN_7)
    assert document.page_content.removeprefix("by ") in question


def test_the_parts_of_one_run_share_a_vault_without_a_conversation() -> None:
    vault = Vault()
    policy = {"email": "pseudonymize"}
    inward = {"q": GuardRunnable(policy=policy, vault=vault)}
    model = ScriptedChatModel(respond=parrot)
    prompt = ChatPromptTemplate([("human", "{q}")])
    out = GuardRunnable(direction="output", vault=vault)
    chain: Runnable[str, Any] = inward | prompt | model | out
    assert chain.invoke(ANN).content == f"You said: {ANN}"


def test_nothing_private_is_recorded_about_it() -> None:
    with track() as ledger:
        chain_of(ScriptedChatModel(respond=parrot), Vault()).invoke(ANN)
    inward, outward = (r for r in ledger.to_records() if r.pattern == "guard")
    assert (inward.decision, inward.reason) == ("redacted", "pseudonymized email 1")
    assert (outward.decision, outward.reason) == ("clean", "nothing found")


def test_no_detector_takes_a_stand_in_for_a_value() -> None:
    vault = Vault()
    text = "\n".join(
        f"token={vault.stand_in(str(n), name, HERE)}, password: "
        f"{vault.stand_in(f'{n}x', name, HERE)}"
        for name in DEFAULT_DETECTORS
        for n in range(50)
    )
    for detector in resolve_detectors(None):
        assert list(detector.find(text)) == []


@given(
    pieces=st.lists(
        st.sampled_from(["a", "b", "c", "Hi ", "[EMAIL_1_", "]", "[", "_", " X_1_"]),
        max_size=12,
    ),
    cuts=st.lists(st.integers(1, 9), max_size=40),
)
def test_a_stream_restores_what_one_look_restores(
    pieces: list[str], cuts: list[int]
) -> None:
    vault = Vault()
    scope = Scope(session="7")
    known = {name: vault.stand_in(f"<{name}>", "email", scope) for name in "abc"}
    text = "".join(known.get(piece, piece) for piece in pieces)
    out = GuardRunnable(direction="output", vault=vault)
    streamed = "".join(map(str, out.transform(_cut(text, cuts), IN_7)))
    assert streamed == out.invoke(text, IN_7)
    assert streamed == "".join(f"<{p}>" if p in known else p for p in pieces)


def _cut(text: str, sizes: list[int]) -> Iterator[str]:
    yield ""
    for size in sizes:
        yield text[:size]
        text = text[size:]
    yield text


# --- hashes, tenants, keys


def test_hashes_tell_equal_values_and_depend_on_the_key() -> None:
    def hashed(key: Any, text: str = f"{ANN} {BOB} {ANN}") -> str:
        return GuardRunnable(policy={"email": "hash"}, key=key).invoke(text)

    first, second, third = hashed("k").split()
    assert first == third != second
    assert re.fullmatch(r"\[EMAIL:[0-9a-f]{16}\]", first)
    assert hashed("k") == hashed("k")
    assert len({hashed("k"), hashed("other"), hashed(b"k"), hashed(None)}) == 4
    assert hashed(None) == hashed(None)
    assert "hush" not in repr(GuardRunnable(key="hush"))


def test_the_key_is_that_of_the_digests_too() -> None:
    guard = GuardRunnable(policy={"email": "flag"}, key="k")
    other = GuardRunnable(policy={"email": "hash"}, key="k")
    collector = RunCollectorCallbackHandler()
    guard.invoke(ANN, {"callbacks": [collector]})
    (finding,) = collector.traced_runs[0].metadata["prodpatterns.findings"]
    assert other.invoke(ANN) == f"[EMAIL:{finding['digest']}]"


def test_rules_know_the_tenant_the_user_and_what_a_text_is() -> None:
    guard = GuardRunnable(
        policy=[
            Rule("mask"),
            Rule("allow", types="email", tenant="support"),
            Rule("redact", types="email", direction="document"),
            Rule("allow", trust="system"),
            Rule("flag", types="card", trust="staff"),
        ]
    )
    text = f"{ANN} 4111 1111 1111 1111"
    support: RunnableConfig = {"configurable": {"tenant": "support"}}
    staff: RunnableConfig = {"configurable": {"trust": "staff"}}
    assert guard.invoke(text) == "***@******e.com **** **** **** 1111"
    assert guard.invoke(text, support).startswith(ANN)
    assert guard.invoke(text, staff).endswith("4111 1111 1111 1111")
    assert guard.invoke([Document(text)], support)[0].page_content.startswith("[EMAIL]")
    system, human = guard.invoke([SystemMessage(text), HumanMessage(text)])
    assert system.content == text
    assert human.content != text


def test_dicts_are_guarded_under_their_keys() -> None:
    guard = GuardRunnable(policy={"card": "block"}, keys=("question", "docs"))
    value = {
        "question": ANN,
        "docs": [Document(ANN), Document("card 4111 1111 1111 1111")],
        "other": BOB,
    }
    assert guard.invoke(value) == {
        "question": "[EMAIL]",
        "docs": [Document("[EMAIL]")],
        "other": BOB,
    }
    assert value["question"] == ANN


async def test_documents_dropped_from_a_dict_are_recorded() -> None:
    guard = GuardRunnable(policy={"card": "block"}, keys=["docs"])
    value = {"docs": [Document("card 4111 1111 1111 1111"), Document("fine")]}
    with track() as ledger:
        guard.invoke(value)
        await guard.ainvoke(value)
    for record in ledger.to_records():
        assert record.decision == "blocked"
        assert "dropped 1 of 2 documents" in record.reason


def test_a_detector_cannot_take_the_name_of_stand_ins() -> None:
    own = PatternDetector("pseudonym", "EMP-[0-9]{6}")
    with pytest.raises(ConfigurationError, match="'pseudonym' belongs to the vault"):
        GuardRunnable([own], direction="output", vault=Vault())


def test_the_key_does_not_show() -> None:
    assert "secret" not in repr(StandIns(b"secret"))


async def test_dicts_async_and_in_a_chain() -> None:
    guard = GuardRunnable(keys=["q"])
    assert await guard.ainvoke({"q": ANN}) == {"q": "[EMAIL]"}
    asking: Runnable[str, Any] = RunnableLambda(lambda text: {"q": text})
    chain = asking | guard
    assert list(chain.stream(ANN)) == [{"q": "[EMAIL]"}]
    with pytest.raises(KeyError, match="the dict has no q"):
        guard.invoke({"p": ANN})
