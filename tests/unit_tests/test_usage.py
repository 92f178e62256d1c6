"""Usage adds up, and is priced by any table."""

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.usage import NO_USAGE, ModelCall, Usage, priced

PRICES = {"scripted": (1.0, 2.0)}

usages = st.builds(
    Usage,
    calls=st.integers(0, 9),
    input_tokens=st.integers(0, 999),
    output_tokens=st.integers(0, 999),
    usd=st.none() | st.integers(0, 99).map(float),
    seconds=st.integers(0, 9).map(float),
    unmetered_calls=st.integers(0, 3),
)


@given(usages, usages, usages)
def test_usage_adds_up_in_any_order(a: Usage, b: Usage, c: Usage) -> None:
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert a + NO_USAGE == a
    assert (a + b).total_tokens == a.total_tokens + b.total_tokens


@given(usages)
def test_a_sum_with_an_unknown_part_is_unknown(a: Usage) -> None:
    assert (a + Usage(usd=None)).usd is None


def test_other_prices_change_only_the_money() -> None:
    used = Usage(calls=1, input_tokens=1_000_000, usd=None)
    call = ModelCall(uuid4(), "cache", "r", "scripted", used, saved=used)
    other = priced(call, PRICES)
    assert (other.usage.usd, other.run_id) == (1.0, call.run_id)
    assert other.saved is not None
    assert other.saved.usd == 1.0


@pytest.mark.parametrize("used", [Usage(), Usage(calls=1, usd=None, unmetered_calls=1)])
def test_what_has_no_tokens_gets_no_price(used: Usage) -> None:
    call = ModelCall(uuid4(), None, None, "scripted", used)
    assert priced(call, PRICES).usage == used
