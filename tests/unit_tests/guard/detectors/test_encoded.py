"""Values in base64, hexadecimal digits and percent escapes."""

import base64
import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.guard import GuardRunnable
from tests.unit_tests.guard.planted import VALUES

GUARD = GuardRunnable()
SHORT = [(name, value) for name, value in VALUES if len(value) < 150]


def percent(value: str) -> str:
    return "".join(f"%{byte:02X}" for byte in value.encode())


@pytest.mark.parametrize(("name", "value"), SHORT)
def test_values_are_found_in_every_code(name: str, value: str) -> None:
    coded = [
        base64.b64encode(value.encode()).decode(),
        base64.urlsafe_b64encode(value.encode()).decode().rstrip("="),
        value.encode().hex(),
        percent(value),
        base64.b64encode(base64.b64encode(value.encode())).decode(),
    ]
    for each in coded:
        text = f"my {name} is {each} then"
        assert value not in GUARD.invoke(text)
        assert each not in GUARD.invoke(text), name


def test_a_half_escaped_value_is_found_with_its_right_place() -> None:
    assert GUARD.invoke("/?to=ann%40example.com&x=1") == "/?to=[ENCODED]&x=1"


@pytest.mark.parametrize(
    "text",
    [
        "internationalization and telecommunications",
        "aGVsbG8gd29ybGQsIGhvdyBhcmUgeW91",
        "68656c6c6f20776f726c64",
        "50%25 of 100%25, %20 and so on",
        "d41d8cd98f00b204e9800998ecf8427e",
        "550e8400-e29b-41d4-a716-446655440000",
    ],
)
def test_other_codes_and_long_words_stay(text: str) -> None:
    assert GUARD.invoke(text) == text


@given(st.integers(0, 10_000))
def test_random_tokens_are_no_values_by_chance(seed: int) -> None:
    rng = random.Random(seed)
    alphabet = string.ascii_letters + string.digits + "+/"
    token = "".join(rng.choice(alphabet) for _ in range(rng.randint(12, 90)))
    found = GuardRunnable(["encoded"]).invoke(f"id {token} ok")
    assert found == f"id {token} ok"


def test_of_many_codes_only_those_with_values_go() -> None:
    rows = ["hello you there", "4111 1111 1111 1111", "nothing at all", "a@b.example"]
    coded = [base64.b64encode(row.encode()).decode().rstrip("=") for row in rows]
    assert GUARD.invoke(" ".join(coded)) == f"{coded[0]} [ENCODED] {coded[2]} [ENCODED]"


@given(st.lists(st.sampled_from(SHORT), min_size=2, max_size=5), st.booleans())
def test_codes_do_not_know_each_other(
    values: list[tuple[str, str]], twice: bool
) -> None:
    coded = [value.encode().hex() for _, value in values]
    if twice:
        coded = [base64.b64encode(each.encode()).decode() for each in coded]
    lines = [
        f"the {name}: {each}\n" for (name, _), each in zip(values, coded, strict=True)
    ]
    alone = "".join(str(GUARD.invoke(line)) for line in lines)
    assert GUARD.invoke("".join(lines)) == alone


def test_digits_in_front_are_no_part_of_what_is_decoded() -> None:
    coded = base64.b64encode(b"1111 1111 is ok").decode()
    assert GUARD.invoke(f"4111 1111 {coded}") == f"4111 1111 {coded}"


def test_words_inside_tell_what_is_encoded_again() -> None:
    inner = base64.b64encode(b"078051120").decode()
    outer = base64.b64encode(f"the ssn is {inner}".encode()).decode()
    assert GUARD.invoke(outer) == "[ENCODED]"
    other = base64.b64encode(f"the sum is {inner}".encode()).decode()
    assert GUARD.invoke(other) == other
