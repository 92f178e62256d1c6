from typing import Any

import numpy as np
import pytest

from langchain_prodpatterns.arguments import (
    check_count,
    check_range,
    check_seconds,
    is_number,
    refuse_unknown,
)
from langchain_prodpatterns.errors import ConfigurationError


def test_known_names_pass() -> None:
    refuse_unknown("Thing", {})
    refuse_unknown("Thing", {"name": 1, "index": None}, "name", "index")


def test_the_first_unknown_name_is_named_and_no_value_is() -> None:
    kwargs = {"name": 1, "zeta": "secret", "alpha": "secret"}

    with pytest.raises(ConfigurationError) as caught:
        refuse_unknown("Thing", kwargs, "name")

    assert str(caught.value) == "Thing has no argument 'alpha'"


NO_NUMBERS: list[Any] = [
    *(True, "1", None, float("nan"), float("inf"), 10**400, [], 1j)
]


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_what_is_no_number(value: Any) -> None:
    assert not is_number(value)


@pytest.mark.parametrize("value", [0, -1, 0.5, np.float32(0.5), np.int64(3)])
def test_what_is_a_number(value: Any) -> None:
    assert is_number(value)


@pytest.mark.parametrize("value", [1, 5, np.int64(3), None])
def test_a_count(value: Any) -> None:
    check_count("top", value)


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "3", float("nan")])
def test_what_is_no_count(value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_count("top", value)
    message = f"top must be a whole number, at least 1, or None, got {value!r}"
    assert str(caught.value) == message


def test_a_count_that_must_be_given() -> None:
    check_count("top", 1, optional=False)
    with pytest.raises(ConfigurationError, match="at least 1, got None"):
        check_count("top", None, optional=False)


@pytest.mark.parametrize("value", [1, 0.01, None])
def test_seconds(value: Any) -> None:
    check_seconds("ttl", value)


@pytest.mark.parametrize("value", [0, -1, *(v for v in NO_NUMBERS if v is not None)])
def test_what_is_no_time(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="ttl must be a number of seconds"):
        check_seconds("ttl", value)


def test_a_range_includes_its_ends() -> None:
    check_range("margin", 0, 0, 1)
    check_range("margin", 1.0, 0, 1)


@pytest.mark.parametrize("value", [-0.1, 1.1, *NO_NUMBERS])
def test_what_is_out_of_range(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="margin must be a number from 0 to 1"):
        check_range("margin", value, 0, 1)
