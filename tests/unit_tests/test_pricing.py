"""What a call costs: the user's table, then the optional library, else unknown."""

import sys
from collections.abc import Iterator
from decimal import Decimal
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns import pricing
from langchain_prodpatterns.budget import Budget
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.ledger import Ledger, track
from langchain_prodpatterns.observing import UsageProbe
from langchain_prodpatterns.pricing import price_of
from langchain_prodpatterns.testing import ScriptedChatModel

TABLE = {"small": (1.0, 4.0), "small-pro": (10.0, 40.0), "free": (0.0, 0.0)}
MILLION = 1_000_000


@pytest.fixture(autouse=True)
def _without_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(pricing, "find_spec", lambda name: None)
    pricing._has_genai_prices.cache_clear()
    yield
    pricing._has_genai_prices.cache_clear()


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """A stand-in for genai-prices that knows one model; the calls it gets."""
    asked: list[tuple[str, int, int]] = []

    def calc_price(usage: Any, model_ref: str) -> Any:
        asked.append((model_ref, usage.input_tokens, usage.output_tokens))
        if model_ref != "known":
            raise LookupError(model_ref)
        return SimpleNamespace(total_price=0.25)

    module: Any = ModuleType("genai_prices")
    module.Usage = SimpleNamespace
    module.calc_price = calc_price
    monkeypatch.setitem(sys.modules, "genai_prices", module)
    monkeypatch.setattr(pricing, "find_spec", lambda name: object())
    pricing._has_genai_prices.cache_clear()
    return asked


def test_the_table_is_in_usd_per_million_tokens() -> None:
    assert price_of("small", MILLION, 0, TABLE) == 1.0
    assert price_of("small", 0, MILLION, TABLE) == 4.0
    assert price_of("small", 1_500, 250, TABLE) == pytest.approx(0.0025)


@pytest.mark.parametrize(
    "model", ["small-2024-07-18", "small-20240718", "small@20240718", "small-0125"]
)
def test_a_name_covers_its_dated_versions(model: str) -> None:
    assert price_of(model, MILLION, 0, TABLE) == 1.0


@pytest.mark.parametrize(
    "model",
    [
        "small-tts",
        "small-",
        "small2024",
        "smaller",
        "Small",
        "my-small-2024",
        "small-32k",
        "small-1106-preview",
        "small-405b",
        "small-5-turbo-20241022",
        "small-2024-07-18-x",
    ],
)
def test_a_name_covers_no_other_model(model: str) -> None:
    assert price_of(model, MILLION, 0, TABLE) is None


def test_the_longest_name_covers_a_dated_version() -> None:
    assert price_of("small-pro-2024-07-18", MILLION, 0, TABLE) == 10.0


def test_a_row_of_its_own_wins_over_the_undated_one() -> None:
    table = {**TABLE, "small-2024-07-18": (7.0, 7.0)}

    assert price_of("small-2024-07-18", MILLION, 0, table) == 7.0
    assert price_of("small-2024-12-01", MILLION, 0, table) == 1.0


def test_prices_may_be_decimals() -> None:
    table: Any = {"small": (Decimal("0.5"), Decimal(4))}
    price = price_of("small", MILLION, 0, table)
    assert (price, type(price)) == (0.5, float)


@pytest.mark.parametrize(
    "row", [{1, 2}, (True, 1.0), (float("inf"), 1.0), (float("nan"), 1.0), "12", [1]]
)
def test_a_row_is_two_finite_numbers(row: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"prices\['small'\] must be"):
        Budget(prices={"small": row})


def test_the_library_knows_what_a_cached_prompt_takes_off(
    monkeypatch: pytest.MonkeyPatch, library: list[tuple[str, int, int]]
) -> None:
    def calc_price(usage: Any, model_ref: str) -> Any:
        price = 10 * usage.cache_write_tokens + usage.cache_read_tokens
        return SimpleNamespace(total_price=price)

    monkeypatch.setattr(sys.modules["genai_prices"], "calc_price", calc_price)
    assert price_of("known", 10, 5, cache_read_tokens=4, cache_write_tokens=3) == 34.0


@pytest.mark.parametrize("model", [None, ""])
def test_a_call_without_a_model_has_no_known_price(model: str | None) -> None:
    assert price_of(model, 10, 10, {"": (1.0, 1.0)}) is None


def test_unknown_is_none_and_free_is_zero() -> None:
    assert price_of("other", 10, 10, TABLE) is None
    assert price_of("other", 10, 10) is None
    assert price_of("other", 0, 0) is None
    assert price_of("free", 10, 10, TABLE) == 0.0


def test_the_library_prices_what_the_table_does_not(
    library: list[tuple[str, int, int]],
) -> None:
    assert price_of("known", 10, 20, TABLE) == 0.25
    assert library == [("known", 10, 20)]


def test_the_table_wins_over_the_library(library: list[tuple[str, int, int]]) -> None:
    assert price_of("known", MILLION, 0, {"known": (3.0, 3.0)}) == 3.0
    assert library == []


def test_what_the_library_does_not_know_is_unknown(
    library: list[tuple[str, int, int]],
) -> None:
    assert price_of("other", 10, 10, TABLE) is None
    assert library == [("other", 10, 10)]


def test_the_real_library_prices_a_known_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("genai_prices", reason="the extra 'prices' is not installed")
    monkeypatch.setattr(pricing, "find_spec", lambda name: object())
    pricing._has_genai_prices.cache_clear()

    price = price_of("gpt-4o-mini", 1_000, 1_000)

    assert price is not None
    assert 0 < price < 0.01
    assert price_of("no-such-model-at-all", 1_000, 1_000) is None


tokens = st.integers(0, 10**9)
rates = st.floats(0, 1_000)


@given(tokens, tokens, tokens, tokens, rates, rates)
def test_prices_add_up(a: int, b: int, c: int, d: int, into: float, out: float) -> None:
    table = {"m": (into, out)}
    first, second = price_of("m", a, b, table), price_of("m", c, d, table)
    both = price_of("m", a + c, b + d, table)

    assert first is not None
    assert second is not None
    assert both == pytest.approx(first + second)


@pytest.mark.parametrize(
    "row", [(1.0,), (1.0, -1.0), "ab", None, ("a", "b"), (1.0, 2.0, 3.0)]
)
def test_a_row_that_prices_nothing_is_refused_at_once(row: Any) -> None:
    for build in (Ledger, UsageProbe, Budget):
        with pytest.raises(ConfigurationError, match=r"prices\['m'\] must be"):
            build(prices={"m": row})


def test_a_probe_takes_the_prices_of_the_block_around() -> None:
    prices = {"scripted": (1.0, 1.0)}
    model = ScriptedChatModel(replies=["a"])

    with track(prices=prices), track() as inner:
        probe = UsageProbe()
        model.invoke("x", {"callbacks": [probe]})

    assert probe.usage.usd == inner.summary().usd
    assert probe.usage.usd is not None
    assert UsageProbe().prices is None


@pytest.mark.parametrize("prices", [[("m", 1.0, 2.0)], "m", 3])
def test_prices_that_are_no_table_are_refused(prices: Any) -> None:
    for build in (Ledger, UsageProbe, Budget):
        with pytest.raises(ConfigurationError, match="prices must map model names"):
            build(prices=prices)
