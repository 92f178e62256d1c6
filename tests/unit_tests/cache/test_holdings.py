"""What the functions of a chain hold tells it from others."""

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.runnables import (
    Runnable,
    RunnableBranch,
    RunnableConfig,
    RunnableGenerator,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
)
from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.chains import runnable_fingerprint
from langchain_prodpatterns.cache.holdings import Tokens
from langchain_prodpatterns.testing import ScriptedChatModel


class Holder:
    """No part of LangChain."""


class Custom(Runnable[Any, Any]):
    """A Runnable that shows nothing of itself."""

    def invoke(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        return input


def _greet(question: str, style: Any = "plain") -> str:
    return f"{style}: {question}"


def _closing(held: Any) -> Callable[[Any], Any]:
    def answer(question: str) -> str:
        return f"{held}: {question}"

    return answer


def _async_closing(held: Any) -> Callable[[Any], Any]:
    async def answer(question: str) -> str:
        return f"{held}: {question}"

    return answer


def _talking(held: Any) -> Callable[[Any], Any]:
    def answer(questions: Iterator[str]) -> Iterator[str]:
        yield from (f"{held}: {question}" for question in questions)

    return answer


def _by_default(held: Any) -> Callable[[Any], Any]:
    def answer(question: str, style: Any = held) -> str:
        return f"{style}: {question}"

    return answer


def _by_keyword(held: Any) -> Callable[[Any], Any]:
    def answer(question: str, *, style: Any = held) -> str:
        return f"{style}: {question}"

    return answer


@dataclass
class Greeter:
    """What has a method, and is plain."""

    style: Any

    def greet(self, question: str) -> str:
        return f"{self.style}: {question}"


HOLDERS: list[Callable[[Any], Runnable[Any, Any]]] = [
    lambda held: RunnableLambda(_closing(held)),
    lambda held: RunnableLambda(_async_closing(held)),
    lambda held: RunnableLambda(str, afunc=_async_closing(held)),
    lambda held: RunnableLambda(_by_default(held)),
    lambda held: RunnableLambda(_by_keyword(held)),
    lambda held: RunnableLambda(partial(_greet, style=held)),
    lambda held: RunnableLambda(partial(_greet, held)),
    lambda held: RunnableLambda(partial(partial(_closing(held)))),
    lambda held: RunnableLambda(lambda question: f"{held}: {question}"),
    lambda held: RunnableLambda(Greeter(held).greet),
    lambda held: RunnableLambda(_closing(_closing(held))),
    lambda held: RunnableGenerator(_talking(held)),
    lambda held: RunnableParallel(a=_closing(held), b=_closing("b")) | str,
    lambda held: RunnableBranch((_closing(held), str), RunnableLambda(len)),
    lambda held: RunnablePassthrough.assign(a=_closing(held)).with_retry(),
    lambda held: RunnableLambda(str).with_fallbacks([RunnableLambda(_closing(held))]),
]
PLAIN: list[tuple[Any, Any]] = [
    ("formal", "casual"),
    (1, 1.5),
    (1, True),
    (None, ""),
    (b"a", b"b"),
    ({"a": [1]}, {"a": [2]}),
    ({"a": 1}, {"b": 1}),
    ({"a", "b"}, {"a", "c"}),
    ((1, 2), (2, 1)),
    (Document("a"), Document("b")),
    (int, str),
    (len, str.upper),
    (itemgetter("a"), itemgetter("b")),
    (", ".join, "; ".join),
    (sys, gc),
]


@pytest.mark.parametrize("holder", HOLDERS)
def test_what_a_function_holds_tells_it_from_others(
    holder: Callable[[Any], Runnable[Any, Any]],
) -> None:
    formal, again, casual = map(holder, ("formal", "formal", "casual"))

    assert runnable_fingerprint(formal) == runnable_fingerprint(again)
    assert runnable_fingerprint(formal) != runnable_fingerprint(casual)
    # Plain values count beside a scope, too.
    assert runnable_fingerprint(formal, told_apart=True) != runnable_fingerprint(
        casual, told_apart=True
    )


@pytest.mark.parametrize(("one", "other"), PLAIN)
def test_any_plain_value_counts(one: Any, other: Any) -> None:
    prints = [runnable_fingerprint(HOLDERS[0](held)) for held in (one, one, other)]

    assert prints[0] == prints[1] != prints[2]


def test_the_order_of_a_mapping_or_a_set_does_not_count() -> None:
    forward, backward = (
        {"a": 1, "b": {*names}, "c": 2} for names in (("x", "y", "z"), ("z", "y", "x"))
    )

    assert runnable_fingerprint(HOLDERS[0](forward)) == runnable_fingerprint(
        HOLDERS[0](dict(reversed(backward.items())))
    )


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_equal_functions_of_plain_values_share(held: Any) -> None:
    one, other = (runnable_fingerprint(HOLDERS[0](held)) for _ in range(2))

    assert one == other


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_function_that_holds_an_object_is_like_no_other(
    holder: Callable[[Any], Runnable[Any, Any]],
) -> None:
    held, another = Holder(), Holder()
    one, again, other = map(holder, ([held], [held], [another]))

    assert runnable_fingerprint(one) == runnable_fingerprint(again)
    assert runnable_fingerprint(one) != runnable_fingerprint(other)
    assert runnable_fingerprint(one, told_apart=True) == runnable_fingerprint(
        other, told_apart=True
    )


def test_a_function_stands_for_an_object_whose_end_cannot_be_noticed() -> None:
    one, other = (HOLDERS[0](object()) for _ in range(2))

    assert runnable_fingerprint(one) == runnable_fingerprint(one)
    assert runnable_fingerprint(one) != runnable_fingerprint(other)


class Callee:
    """An object that is called, and is no plain value."""

    def __call__(self, question: str) -> str:
        return question


def test_an_object_that_is_called_is_like_no_other() -> None:
    one, other = RunnableLambda(Callee()), RunnableLambda(Callee())

    assert runnable_fingerprint(one) == runnable_fingerprint(one)
    assert runnable_fingerprint(one) != runnable_fingerprint(other)


def test_a_runnable_that_a_function_holds_counts_as_it_is() -> None:
    def chain(temperature: float, style: str) -> Runnable[Any, Any]:
        model = ScriptedChatModel(replies=["a"], temperature=temperature)
        return HOLDERS[0](model | _closing(style))

    warm, again, cold, casual = (
        runnable_fingerprint(chain(temperature, style))
        for temperature, style in ((1, "x"), (1, "x"), (0, "x"), (1, "y"))
    )

    assert warm == again
    assert len({warm, cold, casual}) == 3
    assert runnable_fingerprint(HOLDERS[0](Custom())) != runnable_fingerprint(
        HOLDERS[0](Custom())
    )


def test_where_a_function_is_counts() -> None:
    first, second = _closing("a"), _closing("b")

    def prints(*steps: Any) -> str:
        return runnable_fingerprint(
            RunnableParallel(dict(zip("abc", steps, strict=True)))
        )

    pairs = [(first, first, second), (first, second, second), (second, first, first)]
    assert len({prints(*steps) for steps in pairs}) == 3
    steps = [[RunnableLambda(step) for step in (first, second)] for _ in range(2)]
    (one, two), _ = steps
    assert prints(one, one, two) != prints(one, two, two)


def test_a_function_that_holds_itself_is_told() -> None:
    def recursive(style: str) -> Runnable[Any, Any]:
        def answer(question: str) -> Any:
            return chain if question else style

        chain = RunnableLambda(answer)
        return chain

    formal, again, casual = map(recursive, ("formal", "formal", "casual"))

    assert runnable_fingerprint(formal) == runnable_fingerprint(again)
    assert runnable_fingerprint(formal) != runnable_fingerprint(casual)


def test_lambdas_of_one_line_are_told_by_their_code() -> None:
    # fmt: off
    first, again, second = (lambda x: x["a"]), (lambda x: x["a"]), (lambda x: x["b"])
    inside, other = (lambda x: (y + 1 for y in x)), (lambda x: (y + 2 for y in x))
    # fmt: on
    functions: list[Any] = [first, again, second, inside, other]

    prints = [runnable_fingerprint(RunnableLambda(one)) for one in functions]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 4


def test_the_function_of_a_tool_counts() -> None:
    formal, again, casual = (
        StructuredTool.from_function(_by_default(held), name="a", description="b")
        for held in ("formal", "formal", "casual")
    )
    formal.args_schema = again.args_schema = casual.args_schema = {"type": "object"}

    assert runnable_fingerprint(formal) == runnable_fingerprint(again)
    assert runnable_fingerprint(formal) != runnable_fingerprint(casual)


def test_partial_calls_of_other_functions_are_told_apart() -> None:
    functions: list[Any] = [_greet, _by_keyword("x"), _by_default("x")]
    prints = {
        runnable_fingerprint(RunnableLambda(partial(called, style="x")))
        for called in functions
    }

    assert len(prints) == 3


def test_a_name_that_is_not_set_yet_is_no_obstacle() -> None:
    def answer(_: Any) -> Any:
        return later

    early = runnable_fingerprint(RunnableLambda(partial(answer)))
    later = "now"

    assert early != runnable_fingerprint(RunnableLambda(partial(answer)))


def test_who_listens_and_how_a_model_is_reached_do_not_count() -> None:
    def model(held: Any) -> Runnable[Any, Any]:
        token: Any = _closing(held)
        reached = ChatOpenAI(base_url="http://a", api_key=lambda: token(""))
        return reached.with_listeners(on_end=lambda _: token(""))

    one, other = (runnable_fingerprint(model(Holder())) for _ in range(2))

    assert one == other


IMPORTABLE = """
import sys, types
from functools import lru_cache, wraps
from operator import itemgetter
from langchain_core.runnables import RunnableLambda
from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.chains import runnable_fingerprint

MISSING, LOCK = object(), object()

def locked(function):
    @wraps(function)
    def inner(value):
        return function(value), LOCK
    return inner

def by_default(value, missing=MISSING):
    return value

@locked
def decorated(value):
    return value

@lru_cache
def remembered(value):
    return value

class Table:
    @staticmethod
    def static(value, missing=MISSING):
        return value

    @classmethod
    def made(cls, value, missing=MISSING):
        return value

def tagged(tags):
    return lambda value: value in tags and value in {"a", "b", "c"}

chain = RunnableLambda(by_default) | decorated | remembered | Table.static | Table.made
chain = chain | itemgetter("a") | tagged({"a", "b", "c"}) | str.upper | ", ".join
print(runnable_fingerprint(chain))
"""


def test_what_a_module_has_under_its_name_is_shared_with_other_processes() -> None:
    prints = {
        subprocess.run(  # noqa: S603 - our own script
            [sys.executable, "-c", IMPORTABLE],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }

    assert len(prints) == 1


def test_what_only_looks_importable_is_not() -> None:
    cached = [lru_cache(_closing(held)) for held in ("a", "b")]

    one, other = (runnable_fingerprint(RunnableLambda(f)) for f in cached)
    assert one != other


def test_names_of_objects_go_with_them() -> None:
    tokens = Tokens()
    held = Holder()
    name = tokens.of(held)

    assert tokens.of(held) == name != tokens.of(Holder())
    del held
    gc.collect()
    assert not tokens._known


def test_what_cannot_be_followed_has_another_name_each_time() -> None:
    tokens = Tokens()

    assert tokens.of(object()) != tokens.of(object())
    assert not tokens._known


def test_each_is_asked_for_itself(cache: SemanticJudgeCache) -> None:
    formal, again, casual = (
        cache.wrap(RunnableLambda(_closing(style)))
        for style in ("formal", "formal", "casual")
    )

    assert formal.invoke("Why?") == again.invoke("Why?") == "formal: Why?"
    assert casual.invoke("Why?") == "casual: Why?"
    assert (cache.stats().exact, cache.stats().misses) == (1, 2)
