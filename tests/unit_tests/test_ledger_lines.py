"""A ledger in a file: what comes back, what never gets there, and what is refused."""

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage

from langchain_prodpatterns import GuardRunnable, SemanticJudgeCache, track
from langchain_prodpatterns.booking import Decision
from langchain_prodpatterns.errors import ConfigurationError, GuardBlocked
from langchain_prodpatterns.ledger import Ledger
from langchain_prodpatterns.ledger_lines import Books
from langchain_prodpatterns.testing import LexicalEmbeddings, ScriptedChatModel
from langchain_prodpatterns.usage import ModelCall, Usage

SECRET = "my card is 4111 1111 1111 1111"
PRICES = {"m": (1.0, 2.0)}

texts = st.text(max_size=8)
amounts = st.floats(0, 1e9)
counts = st.integers(0, 10**9)
usages = st.builds(
    Usage, counts, counts, counts, st.none() | amounts, amounts, counts, counts, counts
)
calls = st.builds(
    ModelCall,
    run_id=st.uuids(),
    pattern=st.none() | texts,
    owner=st.none() | texts,
    model=st.none() | texts,
    usage=usages,
    saved=st.none() | usages,
    served=st.none()
    | st.fixed_dictionaries(
        {"run_id": texts, "decision": texts, "saved_usd": st.none() | amounts}
    ),
    error=st.none() | texts,
    around=st.none() | texts,
    name=texts,
    prompt=texts,
    at=amounts,
)
decisions = st.builds(
    Decision,
    pattern=texts,
    decision=texts,
    reason=texts,
    run_id=texts,
    parent=st.none() | texts,
    seconds=amounts,
    saved_calls=counts,
    saved_tokens=counts,
    saved_usd=st.none() | amounts,
    saved_seconds=amounts,
    counts=st.dictionaries(texts, counts, max_size=3),
    at=amounts,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


def used(text: str = "hello") -> Ledger:
    with track(prices=PRICES) as ledger:
        ScriptedChatModel(model="m", default="hi there").invoke(text)
    return ledger


@given(st.lists(calls, max_size=4), st.lists(decisions, max_size=4))
def test_everything_comes_back(heard: list[ModelCall], made: list[Decision]) -> None:
    books = Books(
        {one.run_id: one for one in heard},
        {one.run_id: one for one in made},
        {uuid4(): None, uuid4(): "cache"},
    )
    again = Books()

    for line in books.lines():
        assert "\n" not in line
        again.read(line)

    assert again == books


def test_a_ledger_that_is_read_says_what_it_said(path: Path) -> None:
    ledger = used()

    assert ledger.to_jsonl(path) == 1
    again = Ledger.from_jsonl(path)

    assert again.to_records() == ledger.to_records()
    assert again.summary() == ledger.summary()
    assert again.summary().known_usd > 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_requests_are_appended_and_count_once(path: Path) -> None:
    first, second = used(), used()

    first.to_jsonl(path, append=True)
    second.to_jsonl(path, append=True)
    second.to_jsonl(path, append=True)

    assert Ledger.from_jsonl(path).summary().calls == 2
    second.to_jsonl(path)
    assert Ledger.from_jsonl(path).summary().calls == 1


def test_a_line_that_broke_off_takes_no_other_with_it(path: Path) -> None:
    used().to_jsonl(path, append=True)
    with path.open("ab") as page:
        page.write(b'{"v": 1, "ki')
    used().to_jsonl(path, append=True)
    used().to_jsonl(path, append=True)

    bad: list[int] = []
    ledger = Ledger.from_jsonl(path, on_bad=lambda number, reason: bad.append(number))
    assert (ledger.summary().calls, bad) == (3, [2])
    assert len(path.read_bytes().splitlines()) == 4


def test_a_call_under_way_stays_open_until_its_end_is_written(path: Path) -> None:
    ledger, run_id = Ledger(), uuid4()
    ledger.on_chat_model_start({}, [[HumanMessage("x")]], run_id=run_id)

    ledger.to_jsonl(path, append=True)
    assert Ledger.from_jsonl(path).summary().open_calls == 1
    assert Ledger.from_jsonl(path).summary().usd is None

    ledger.observe(ModelCall(run_id, None, None, None, Usage(calls=1)))
    ledger.to_jsonl(path, append=True)
    assert Ledger.from_jsonl(path).summary().open_calls == 0


def test_nothing_that_was_said_is_in_the_file(path: Path) -> None:
    model = ScriptedChatModel(model="m", default="a private answer")
    cache = SemanticJudgeCache(LexicalEmbeddings(), lambda _: True)
    chain = cache.wrap(model)
    guard = GuardRunnable(policy={"card": "block"})
    with track() as ledger:
        for text in ("private question", "private question", "private question?"):
            chain.invoke(text)
        with pytest.raises(GuardBlocked):
            guard.invoke(SECRET)
        hit = cache.explain("private question", "m").hit_id

    ledger.to_jsonl(path)

    written = path.read_text("ascii")
    assert "private" not in written
    assert "4111" not in written
    assert "hit_id" not in written
    assert hit is None or hit not in written
    assert '"blocked card": 1' in written


def test_equal_prompts_have_one_digest_and_others_another() -> None:
    with track() as ledger:
        model = ScriptedChatModel(default="x")
        for text in ("a", "a", "b", "a\ud800"):
            model.invoke(text)
    first, second, third, fourth = (
        call.prompt for call in ledger._books().calls.values()
    )

    assert first == second
    assert len({first, third, fourth}) == 3
    assert len(first) == 16


GOOD = next(
    Books({UUID(int=1): ModelCall(UUID(int=1), None, None, None, Usage())}).lines()
)


def changed(**fields: Any) -> str:
    return json.dumps({**json.loads(GOOD), **fields})


@pytest.mark.parametrize(
    "line",
    [
        "secret",
        '"secret"',
        "[" * 100_000,
        "NaN",
        changed(v=2),
        changed(kind="secret"),
        changed(run_id="secret"),
        changed(usage={"secret": 1}),
        changed(usage={"calls": -1}),
        changed(usage={"calls": True}),
        changed(usage={"seconds": None}),
        changed(usage="secret"),
        changed(at="secret"),
        changed(at=1e300),
        changed(at=1e12),
        changed(at=-1.0),
        changed(at=10**400),
        changed(name=None),
        changed(usage={"usd": 10**400}),
        changed(served={"run_id": "r", "saved_calls": None}),
        changed(served={"run_id": "r", "saved_seconds": None}),
        changed(served={"run_id": 3}),
        changed(kind="decision"),
    ],
)
def test_what_is_no_line_is_refused_by_its_number_and_not_shown(
    path: Path, line: str
) -> None:
    path.write_text(f"{GOOD}\n\n{line}\n{GOOD}\n")

    with pytest.raises(
        ConfigurationError, match=r"line 3 of 'ledger.jsonl' cannot"
    ) as caught:
        Ledger.from_jsonl(path)
    assert "secret" not in str(caught.value)

    bad: list[int] = []
    ledger = Ledger.from_jsonl(path, on_bad=lambda number, reason: bad.append(number))
    assert bad == [3]
    assert len(ledger._books().calls) == 1
    assert "Ledger" in ledger.to_html()


def test_bytes_that_are_no_text_are_a_bad_line(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\n")

    with pytest.raises(ConfigurationError, match=r"line 1 .* no text"):
        Ledger.from_jsonl(path)


def test_what_is_said_last_of_a_run_holds() -> None:
    books, first = Books(), Decision("cache", "miss", run_id="r")
    for decision in (first, replace(first, decision="exact")):
        for line in Books(decisions={"r": decision}).lines():
            books.read(line)

    assert [one.decision for one in books.decisions.values()] == ["exact"]
