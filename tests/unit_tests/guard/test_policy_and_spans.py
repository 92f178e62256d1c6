from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.guard.policy import (
    Place,
    Policy,
    Rule,
    mask,
    replacement,
)
from langchain_prodpatterns.guard.spans import Span, resolve

INPUT = Place("input", "user")
TYPES = ["email", "card"]


def actions(policy: Any, place: Place = INPUT, *, judged: bool = False) -> Any:
    return Policy(policy, TYPES, judged=judged).actions(place)


def test_values_are_redacted_and_injections_blocked_by_default() -> None:
    assert actions(None, judged=True) == {
        "email": "redact",
        "card": "redact",
        "injection": "block",
    }


def test_a_policy_changes_only_what_it_names() -> None:
    assert actions({"email": "mask"}) == {"email": "mask", "card": "redact"}


def test_the_last_rule_that_applies_counts() -> None:
    rules = [
        Rule("mask"),
        Rule("block", types=("card", "injection")),
        Rule("flag", types="email", tenant="acme"),
        Rule("hash", direction="tool"),
        Rule("allow", types="email", trust="staff"),
    ]
    places = {
        INPUT: ("mask", "block"),
        Place("input", "user", "acme"): ("flag", "block"),
        Place("tool", "untrusted", "acme"): ("hash", "hash"),
        Place("tool", "staff"): ("allow", "hash"),
        Place("output", "model", "other"): ("mask", "block"),
    }
    policy = Policy(rules, TYPES, judged=True)
    for place, (email, card) in places.items():
        assert policy.actions(place) == {
            "email": email,
            "card": card,
            "injection": "block",
        }
        assert policy.actions(policy.told_apart(place)) == policy.actions(place)


def test_every_type_is_every_type_of_values() -> None:
    assert actions([Rule("allow")], judged=True)["injection"] == "block"


@given(
    st.lists(
        st.builds(
            Rule,
            st.sampled_from(["block", "redact", "mask", "allow"]),
            st.sampled_from(["*", "email", ("card", "email")]),
            st.sampled_from([None, "input", "output", "document", "tool"]),
            st.sampled_from([None, "user", "staff"]),
            st.sampled_from([None, "acme"]),
        ),
        max_size=6,
    ),
    st.builds(
        Place,
        st.sampled_from(["input", "output", "document", "tool"]),
        st.text(max_size=5) | st.just("staff"),
        st.none() | st.text(max_size=5) | st.just("acme"),
    ),
)
def test_places_that_are_not_told_apart_are_alike(
    rules: list[Rule], place: Place
) -> None:
    policy = Policy(rules, TYPES, judged=False)
    assert policy.actions(policy.told_apart(place)) == policy.actions(place)


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        ({"emial": "mask"}, "no type 'emial'; known: card, email"),
        ({"email": "drop"}, "no action 'drop' for 'email'; known: block, redact, hash"),
        ({"injection": "flag"}, "'injection' needs a judge"),
        ([Rule("mask", types="emial")], "no type 'emial'"),
        ([Rule("mask", types=())], r"types are a name .* not empty, got \(\)"),
        ([Rule("mask", types=5)], "types are a name .* got 5"),  # type: ignore[arg-type]  # the point
        ([Rule("mask", types=["email", 5])], r"got \['email', 5\]"),  # type: ignore[list-item]  # the point
        ([Rule("drop")], "no action 'drop'"),  # type: ignore[arg-type]  # the point
        ([Rule("mask", direction="in")], "no direction 'in'; known: input, output"),  # type: ignore[arg-type]  # the point
        ([Rule("mask", trust="")], "a rule's trust is a text"),
        ([Rule("mask", tenant=7)], "a rule's tenant is a text"),  # type: ignore[arg-type]  # the point
        (["mask"], "list of Rules, got one that holds 'mask'"),
        ("mask", "policy maps types to actions"),
        (7, "policy maps types to actions"),
    ],
)
def test_what_is_not_known_is_refused(policy: Any, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        actions(policy)


@pytest.mark.parametrize("action", ["redact", "mask", "hash", "pseudonymize"])
def test_an_injection_is_blocked_flagged_or_allowed(action: str) -> None:
    with pytest.raises(ConfigurationError, match="known: block, flag, allow"):
        actions({"injection": action}, judged=True)


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ("4111 1111 1111 1234", "**** **** **** 1234"),
        ("jane@x.com", "****@x.com"),
        ("secret1", "*******"),
        ("12345678", "****5678"),
        ("", ""),
        ("\u24d0\u24dd\u24dd@\u24e7.\u24d2\u24de\u24dc", "***@*.***"),
        ("".join(chr(0xE0000 + ord(c)) for c in "ann@x"), "***\U000e0040*"),
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
    assert replacement("x", "card", action) == expected


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
