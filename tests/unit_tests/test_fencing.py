import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.fencing import (
    bare_reply,
    fenced,
    fenced_all,
    fresh_nonce,
)


def test_a_nonce_that_a_text_knows_is_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = iter(["known", "fresh"])
    monkeypatch.setattr("secrets.token_hex", lambda _: next(drawn))

    assert fresh_nonce("it is known here", "not here") == "fresh"


@given(st.lists(st.text()))
def test_a_nonce_occurs_in_no_text(texts: list[str]) -> None:
    nonce = fresh_nonce(*texts)

    assert len(nonce) == 32
    assert not any(nonce in text for text in texts)


def test_texts_stand_between_named_delimiters() -> None:
    assert fenced("n", "a", "x") == "<<n a>>\nx\n<<end n a>>"
    assert fenced_all("n", [("a", "x"), ("b", "")]) == (
        "<<n a>>\nx\n<<end n a>>\n\n<<n b>>\n\n<<end n b>>"
    )


def test_only_a_fence_around_the_whole_reply_is_taken_off() -> None:
    assert bare_reply('```json\n{"a": 1}\n```') == '{"a": 1}'
    assert bare_reply('```JSON\n{"a": 1}```') == '{"a": 1}'
    assert bare_reply('```{"a": 1}```') == '{"a": 1}'
    assert bare_reply("``````") == ""
    assert bare_reply('<think>{"a": 2}</think>\n\n{"a": 1}') == '{"a": 1}'
    assert bare_reply('<think>{"a": 2} and so on') == ""
    assert bare_reply(' {"a": 1}\n') == '{"a": 1}'
    prose = 'Here: ```json\n{"a": 1}\n```'
    assert bare_reply(prose) == prose
