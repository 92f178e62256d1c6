"""The view of a text in which looks do not matter."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from langchain_prodpatterns.guard import GuardRunnable
from langchain_prodpatterns.guard.detectors import resolve_detectors
from langchain_prodpatterns.guard.normalizing import plain_text, view_of
from langchain_prodpatterns.guard.scanning import Record, Scanner
from langchain_prodpatterns.guard.streaming import TextStream

TEXTS = st.text(max_size=60) | st.text(
    alphabet="ann@x.com 4١۲\u200b\u00ad\ufeff\U000e0061\uff21\u0430\ufb01-\u2011\u3000",
    max_size=60,
)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("\uff41\uff4e\uff4e\uff20\uff58\uff0e\uff43\uff4f\uff4d", "ann@x.com"),
        ("\u0661\u0662\u06f3\u0967", "1231"),
        ("an\u200bn@x\u00ad.com\ufeff", "ann@x.com"),
        ("".join(chr(0xE0000 + ord(c)) for c in "ann@x.com"), "ann@x.com"),
        ("\u0430nn@\u0445.\u0441\u043em", "ann@x.com"),
        ("4111\ufe631111\u20011111\u30001111", "4111-1111 1111 1111"),
        ("5 \u2013 6\u00a0a.m.\u2026 \u2019", "5 \u2013 6\u00a0a.m.\u2026 \u2019"),
        ("\u2460\ufb01", "1fi"),
        ("caf\u00e9 \u65e5\u672c", "caf\u00e9 \u65e5\u672c"),
        ("plain", "plain"),
    ],
)
def test_what_a_text_means(text: str, plain: str) -> None:
    assert plain_text(text) == plain


@given(TEXTS, st.integers(0, 60))
def test_the_view_of_a_part_is_that_part_of_the_view(text: str, cut: int) -> None:
    assert plain_text(text[:cut]) + plain_text(text[cut:]) == plain_text(text)


@given(TEXTS)
def test_there_is_a_way_back(text: str) -> None:
    view = view_of(text)
    if view is None:
        assert plain_text(text) == text
        return
    assert len(view.origins) == len(view.text)
    assert view.origins == sorted(view.origins)
    for at, origin in enumerate(view.origins):
        assert view.text[at] in plain_text(text[origin])
        assert view.place(at, at + 1) == (origin, origin + 1)


@pytest.mark.parametrize(
    ("hidden", "shown"),
    [
        ("to \uff41nn@example.c\u00adom now", "to [EMAIL] now"),
        ("card \u0664111 1111 1111 1111.", "card [CARD]."),
        ("ssn 078\u200b-05-1120", "ssn [SSN]"),
    ],
)
def test_a_hidden_value_is_replaced_as_a_whole(hidden: str, shown: str) -> None:
    guard = GuardRunnable()
    assert guard.invoke(hidden) == shown
    assert "".join(map(str, guard.transform(iter(hidden)))) == shown


PIECES = st.sampled_from(
    [
        "ann@example.com", "an\u200bn@exam\u00adple.com", "4111 1111 1111 1111",
        "\uff14111 1111 \u0661111 1111", "sk_live_51H8xYzAbCd\u200bEfGhIjKlMnOp",
        "\u200b" * 70, "\u00ad", " ", ", ", "to ", "\u0430", "\ufb01", "@", ".",
        "078-05-\u0661120", "+44 121 234 7786", "\U000e0061\U000e006e@example.com",
        "YW5uQGV4YW1wbGUuY29t", "%61%6e%6e%40example.com", "\u65e5\u672c",
    ]
)  # fmt: skip


@given(st.lists(PIECES, max_size=12), st.lists(st.integers(1, 7), max_size=80))
@example(["\u200b" * 70, "ann@example.com"], [1] * 80)
@example(["\u200ba", " to" * 40, "ann@\u200bexample.com " * 2], [9] * 20)
@example(["an\u200bn@exam\u00adple.com", "\u0430"], [30, 1, 1])
def test_a_stream_equals_one_look(pieces: list[str], sizes: list[int]) -> None:
    text = "".join(pieces)
    detectors = resolve_detectors(None)
    scanner = Scanner(detectors, {each.name: "redact" for each in detectors})
    stream = TextStream(scanner, Record())
    out, rest = [], text
    for size in sizes:
        out.append(stream.feed(rest[:size]))
        rest = rest[size:]
    out += [stream.feed(rest), stream.finish()]
    assert "".join(out) == GuardRunnable().invoke(text)
    assert stream.held == 0
