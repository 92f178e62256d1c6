from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.guard.policy import complete_policy, mask, replacement
from langchain_prodpatterns.guard.spans import Span, resolve


def test_values_are_redacted_and_injections_blocked_by_default() -> None:
    assert complete_policy(None, ["email", "mine"], judged=True) == {
        "email": "redact",
        "mine": "redact",
        "injection": "block",
    }


def test_a_policy_changes_only_what_it_names() -> None:
    policy = complete_policy({"email": "mask"}, ["email", "card"], judged=False)
    assert policy == {"email": "mask", "card": "redact"}


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        ({"emial": "mask"}, "no type 'emial'; known: card, email"),
        ({"email": "hash"}, "no action 'hash' for 'email'; known: block, redact"),
        ({"injection": "flag"}, "'injection' needs a judge"),
    ],
)
def test_what_is_not_known_is_refused(policy: dict[str, str], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        complete_policy(policy, ["email", "card"], judged=False)


@pytest.mark.parametrize("action", ["redact", "mask", "allow"])
def test_an_injection_is_blocked_or_flagged(action: str) -> None:
    with pytest.raises(ConfigurationError, match="known: block, flag"):
        complete_policy({"injection": action}, [], judged=True)


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ("4111 1111 1111 1234", "**** **** **** 1234"),
        ("jane@x.com", "****@x.com"),
        ("secret1", "*******"),
        ("12345678", "****5678"),
        ("", ""),
    ],
)
def test_masks_keep_the_last_four_of_a_long_value(value: str, masked: str) -> None:
    assert mask(value) == masked


@given(st.text(max_size=40))
def test_a_mask_shows_at_most_four(value: str) -> None:
    masked = mask(value)
    assert len(masked) == len(value)
    assert sum(map(str.isalnum, masked)) <= 4


@pytest.mark.parametrize(
    ("action", "expected"),
    [("redact", "[CARD]"), ("block", "[CARD]"), ("flag", "x"), ("mask", "*")],
)
def test_what_stands_in_the_place_of_a_value(action: str, expected: str) -> None:
    assert replacement("x", "card", action) == expected  # type: ignore[arg-type]  # a plain str


def span(start: int, end: int, name: str = "email", action: str = "redact") -> Span:
    return Span(start, end, name, action)  # type: ignore[arg-type]  # a plain str


def test_overlapping_spans_become_one() -> None:
    assert resolve([span(0, 5), span(3, 9, "card")]) == [span(0, 9, "card")]


def test_touching_spans_stay_apart() -> None:
    assert resolve([span(0, 5), span(5, 9)]) == [span(0, 5), span(5, 9)]


def test_the_strictest_action_wins_for_all_of_it() -> None:
    assert resolve([span(0, 9, "url", "flag"), span(2, 4, "email", "block")]) == [
        span(0, 9, "email", "block")
    ]


def test_a_chain_of_overlaps_is_one() -> None:
    assert resolve([span(0, 4), span(6, 9), span(3, 7)]) == [span(0, 9)]


places = st.tuples(
    st.integers(0, 30),
    st.integers(1, 10),
    st.sampled_from(["email", "card", "ip"]),
    st.sampled_from(["block", "redact", "mask", "flag"]),
).map(lambda each: span(each[0], each[0] + each[1], each[2], each[3]))


@given(st.lists(places, max_size=12), st.randoms())
def test_what_is_resolved(spans: list[Span], random: object) -> None:
    resolved = resolve(spans)
    covered = {index for each in spans for index in range(each.start, each.end)}
    assert {i for each in resolved for i in range(each.start, each.end)} == covered
    assert all(a.end <= b.start for a, b in pairwise(resolved))
    random.shuffle(spans)  # type: ignore[attr-defined]  # a `random.Random`
    assert resolve(spans) == resolved
