import json
from collections.abc import Callable
from functools import partial

import pytest
from langchain_core.messages import ToolMessage

from langchain_prodpatterns.guard import GuardRunnable
from langchain_prodpatterns.guard.detectors.surroundings import (
    before,
    goes_on,
    is_in_escape,
    plain,
)
from tests.unit_tests.guard.planted import VALUES, leaks

MORE = [
    ("phone", "415-555-2671"),
    ("ip", "203.0.113.5"),
    ("ip", "fe80::4ead:ef30:98a4:9ad4"),
    ("url", "nats://u:secretpw@h.example/x"),
    ("email", "nina@example.com"),
    ("email", "ffa@example.com"),
]
SPELLINGS: list[Callable[[str], str]] = [
    partial(json.dumps, ensure_ascii=False),
    json.dumps,
    lambda text: json.dumps(json.dumps(text)),
]


@pytest.mark.parametrize("spell", SPELLINGS, ids=["json", "ascii", "twice"])
@pytest.mark.parametrize(
    "before_it", ["\n", "\t", "\r\n", "\uff1a", "\u00a0", "\U0001f4b3", "a\\", "\b"]
)
@pytest.mark.parametrize(("name", "value"), [*VALUES, *MORE])
def test_behind_an_escape_values_are_found_and_json_stays_json(
    name: str, value: str, before_it: str, spell: Callable[[str], str]
) -> None:
    text = spell(f"Hi,{before_it}{value}\nbye")
    out = GuardRunnable().invoke(ToolMessage(text, tool_call_id="1")).text
    assert f"[{name.upper()}]" in out
    assert json.loads(out)
    # Behind a plain backslash nobody can tell an escape from the first letter.
    assert leaks(out, [value.replace("\n", "\\n")]) == []


@pytest.mark.parametrize("before_it", ["\n", "\xa0", "\u3000", "\U0001f4b3"])
def test_so_are_values_in_what_python_prints(before_it: str) -> None:
    text = ascii(f"Hi,{before_it}4111 1111 1111 1111{before_it}+33 1 42 68 53 00")
    out = GuardRunnable().invoke(text)
    assert out.count("[CARD]") == out.count("[PHONE]") == 1


def test_a_label_behind_an_escape_is_a_label() -> None:
    guard = GuardRunnable()
    assert guard.invoke(r"a\norder 4242424242424242") == r"a\norder 4242424242424242"
    assert guard.invoke(r"a\ntel: 4155552671") == r"a\ntel: [PHONE]"
    assert guard.invoke(r"a\nversion 1.2.3.4") == r"a\nversion 1.2.3.4"


@pytest.mark.parametrize(
    "text",
    [
        "カード番号は4111111111111111です",
        "카드 4111-1111-1111-1111입니다",
        "電話は+81 90-1234-5678です",
        "请拨打+86 138 1234 5678联系",
        "卡号4111111111111111。",
        "कार्ड 4111111111111111है",
        "номер4111111111111111и",
    ],
)
def test_letters_that_are_written_without_blanks_hide_nothing(text: str) -> None:
    assert leaks(GuardRunnable().invoke(text), ["1111", "5678"], 4) == []


@pytest.mark.parametrize(
    "gap", ["\u2011", "\u2013", "\u2009", "\u202f", "\u00a0", "-", " "]
)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("card", "4111 1111 1111 1111"),
        ("phone", "+33 1 42 68 53 00"),
        ("phone", "415 555 2671"),
        ("ssn", "123 45 6789"),
        ("iban", "FR76 3000 6000 0112 3456 7890 189"),
    ],
)
def test_gaps_of_word_processors(name: str, value: str, gap: str) -> None:
    text = f"It is {value.replace(' ', gap)}."
    assert GuardRunnable().invoke(text) == f"It is [{name.upper()}]."


@pytest.mark.parametrize("gap", ["  ", "\t", ".", " \u00a0"])
def test_gaps_of_cards(gap: str) -> None:
    text = "4111 1111 1111 1111".replace(" ", gap)
    assert GuardRunnable().invoke(f"It is {text}.") == "It is [CARD]."


@pytest.mark.parametrize(
    ("text", "start", "inside"),
    [
        (r"\njane", 1, True),
        (r"\njane", 2, False),
        (r"\uff1ajane", 1, True),
        (r"\uff1ajane", 5, True),
        (r"\uff1ajane", 6, False),
        (r"\user", 1, False),
        (r"\x0ajane", 3, True),
        (r"\U0001f4b3jane", 9, True),
        (r"\U0001f4b3jane", 10, False),
        ("jane", 0, False),
    ],
)
def test_what_begins_in_an_escape(text: str, start: int, *, inside: bool) -> None:
    assert is_in_escape(text, start, len(text)) is inside


def test_what_comes_before_is_read_plainly() -> None:
    assert before(r"x\nOrder\u00a0No:" + "1", 17) == "x\norder no:"
    assert before("ab\u202f\u2013" + "1", 4) == "ab -"
    assert plain("1\u00a02\u20133") == "1 2-3"
    assert [goes_on("a1é", index) for index in range(4)] == [True, True, False, False]
