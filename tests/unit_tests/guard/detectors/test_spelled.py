"""Addresses that are spelled out."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from langchain_prodpatterns.guard import GuardRunnable
from langchain_prodpatterns.guard.detectors.spelled import SpelledEmail

GUARD = GuardRunnable()


@pytest.mark.parametrize(
    "value",
    [
        "jane [at] example (dot) com",
        "jane.doe(at)example.com",
        "jane {at} example.com",
        "jane <at> corp <dot> example <dot> com",
        "jane[@]example dot com",
        "jane@example dot com",
        "jane@example [.] org",
        "jane at example dot com",
        "Jane dot Doe at example dot co dot uk",
        "JANE  AT  EXAMPLE  DOT  COM",
        "jane ( at ) example.museum",
        "jane\u00a0[at]\u00a0example\u200b [dot] com",
    ],
)
def test_what_is_spelled_out_is_replaced_as_a_whole(value: str) -> None:
    assert GUARD.invoke(f"Write to {value}, please") == "Write to [EMAIL], please"


@pytest.mark.parametrize(
    "text",
    [
        "we looked at the dot com bubble",
        "find us at example dot com",
        "she works at example dot com",
        "jane at our dot com",
        "jane at example dot museum",
        "jane at example.com",
        "lunch at noon. Come early",
        "icon (at) logo.png",
        "a[0] at b(.)",
        "[at] home (dot) x",
        "jane [at] example",
        "connect the dots at home. com",
    ],
)
def test_what_only_looks_so_stays(text: str) -> None:
    assert GUARD.invoke(text) == text


def test_a_plain_address_is_left_to_the_plain_detector() -> None:
    assert list(SpelledEmail().find("a [at] b, jane@example.com")) == []


def test_prose_flows_though_every_word_may_begin_an_address() -> None:
    flow = GuardRunnable().transform(iter(["We met Jane ", "a", " year ago", " at "]))
    assert list(flow) == ["We met ", "Jane a year ", "ago at "]


PIECES = st.sampled_from(
    ["jane", "doe", " at ", " dot ", "[at]", " (dot) ", "(", " ", ".", "@", "com", "example", "the", "\u200b", ", ", "%40", " [", "d", "ot", "078-05-1120"]
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=14).map("".join), st.integers(1, 9))
@example("jane at doe at example dot com dot uk", 1)
@example("jane dot doe at jane@example dot com", 2)
def test_a_stream_equals_one_look(text: str, size: int) -> None:
    chunks = [text[start : start + size] for start in range(0, len(text), size)]
    assert "".join(map(str, GUARD.transform(iter(chunks)))) == GUARD.invoke(text)
