"""Functions that cannot be called as they will be are refused."""

import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from langchain_core.runnables import (
    RunnableConfig,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
)

from langchain_prodpatterns.callables import (
    check_takes_one,
    either_way,
    functions_in,
    name_of,
)
from langchain_prodpatterns.errors import ConfigurationError


def one(value: Any) -> Any:
    return value


def two(value: Any, other: Any) -> Any:
    return value, other


async def atwo(value: Any, other: Any) -> Any:
    return value, other


def secretive(value: Any, other: Any, key: str = "sk-1") -> Any:
    return value, other, key


class Two:
    def __call__(self, value: Any, other: Any) -> Any:
        return value, other


untyped: Any = two
"""A type checker finds such a mistake in a pipe, where there is one."""

FITTING: list[Any] = [
    one,
    partial(two, other=1),
    lambda *values: values,
    lambda value, other=1: (value, other),
    lambda value, config: (value, config),
    lambda value, run_manager, config: (value, run_manager, config),
    len,
    int,
    RunnableLambda(one),
    RunnableLambda(two).bind(other=1),
    RunnableLambda(two).bind(other=1) | one,
    RunnablePassthrough(),
    "what is no function is refused elsewhere",
    None,
]
MISFITS: list[Any] = [
    two,
    atwo,
    Two(),
    partial(two),
    lambda: None,
    lambda config: config,
    RunnableLambda(two),
    RunnableLambda(atwo),
    RunnableLambda(two).with_config(tags=["a"]),
    RunnableLambda(one) | untyped,
    RunnableLambda(two) | one,
    RunnablePassthrough() | {"a": one, "b": two},
    RunnableParallel(a=RunnableLambda(one) | untyped),
]


@pytest.mark.parametrize("given", FITTING)
def test_what_takes_one_argument_passes(given: Any) -> None:
    check_takes_one("a judge", given, "the request")


@pytest.mark.parametrize("given", MISFITS)
def test_what_takes_more_or_nothing_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="a judge is called with one argument"):
        check_takes_one("a judge", given, "the request")


def test_the_message_names_the_function_and_no_value() -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_takes_one("a judge", partial(secretive, key="sk-2"), "the request")
    assert str(caught.value) == (
        "a judge is called with one argument, the request: "
        "secretive(value, other, key) cannot be called so"
    )


def test_langchains_own_parameters_are_filled_in_as_langchain_does() -> None:
    def check(value: str, config: RunnableConfig) -> bool:
        return bool(value) and "tags" in config

    check_takes_one("a judge", check, "the request")
    assert RunnableLambda(check).invoke("x") is True


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (one, "one"),
        (partial(partial(two, other=1), 2), "two"),
        (Two(), "Two"),
        (partial(Two(), 1), "Two"),
    ],
)
def test_a_function_has_a_name_also_with_arguments_bound(
    function: Any, name: str
) -> None:
    assert name_of(function) == name


def test_a_function_in_a_sequence_is_found_once() -> None:
    steps: list[Callable[..., Any]] = [one, two]
    chain = RunnableLambda(steps[0]) | steps[1]
    assert list(functions_in(chain)) == steps


async def plus_one(value: int) -> int:
    return value + 1


async def tagged(value: int, config: RunnableConfig) -> tuple[int, list[str]]:
    return value, config["tags"]


async def test_an_async_function_also_works_in_sync_calls() -> None:
    plain = pickle.loads(pickle.dumps(either_way(plus_one)))  # noqa: S301 - our own bytes
    assert plain.invoke(1) == await plain.ainvoke(1) == 2
    assert plain.get_name() == "plus_one"
    named = either_way(tagged, "named")
    config: RunnableConfig = {"tags": ["a"]}
    assert named.invoke(1, config) == await named.ainvoke(1, config) == (1, ["a"])
    assert named.get_name() == "named"
    assert either_way(one).invoke(3) == 3
