"""Several inputs at once: equal ones make one call."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda

from langchain_prodpatterns import track
from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.testing import ScriptedChatModel

Batch = Callable[..., list[Any]]
AT_ONCE = [1, 2, None]


class Work:
    """A function that notes what it was asked, and fails as often as it shall."""

    def __init__(self, failures: int = 0) -> None:
        self.asked: list[Any] = []
        self.failures = failures
        self._lock = threading.Lock()

    def __call__(self, value: Any, config: RunnableConfig) -> Any:
        with self._lock:
            self.asked.append(value)
            fails, self.failures = self.failures > 0, self.failures - 1
        if fails:
            msg = f"no answer to {value}"
            raise LookupError(msg)
        return {"answer": f"to {value}", "tags": config["tags"]}

    async def acall(self, value: Any, config: RunnableConfig) -> Any:
        # Others get their turn while this one is under way.
        await asyncio.sleep(0)
        return self(value, config)

    @property
    def chain(self) -> Runnable[Any, Any]:
        return RunnableLambda(self.__call__, afunc=self.acall, name="work")


@pytest.fixture(params=["batch", "abatch"])
def batch(request: pytest.FixtureRequest) -> Batch:
    """Run a chain on several inputs in either way."""

    async def arun(chain: Any, *args: Any, **kwargs: Any) -> list[Any]:
        return list(await chain.abatch(*args, **kwargs))

    return {
        "batch": lambda chain, *args, **kwargs: chain.batch(*args, **kwargs),
        "abatch": lambda *args, **kwargs: asyncio.run(arun(*args, **kwargs)),
    }[request.param]


def _config(at_once: int | None, **more: Any) -> dict[str, Any]:
    return {"max_concurrency": at_once, **more}


@pytest.mark.parametrize("at_once", AT_ONCE)
def test_equal_inputs_make_one_call_and_keep_their_order(
    cache: SemanticJudgeCache, batch: Batch, at_once: int | None
) -> None:
    work = Work()

    answers = batch(cache.wrap(work.chain), list("abacabaa"), _config(at_once))

    assert [one["answer"] for one in answers] == [f"to {x}" for x in "abacabaa"]
    assert sorted(work.asked) == ["a", "b", "c"]
    assert (cache.stats().exact, cache.stats().misses) == (5, 3)


@pytest.mark.parametrize("at_once", AT_ONCE)
def test_nobody_sees_what_another_does_to_an_output(
    cache: SemanticJudgeCache, batch: Batch, at_once: int | None
) -> None:
    answers = batch(cache.wrap(Work().chain), ["a"] * 4, _config(at_once, tags=["x"]))
    for number, one in enumerate(answers):
        one["tags"].append(number)

    assert [one["tags"] for one in answers] == [["x", n] for n in range(4)]


@pytest.mark.parametrize("at_once", AT_ONCE)
def test_each_input_has_a_config_of_its_own(
    cache: SemanticJudgeCache, batch: Batch, at_once: int | None
) -> None:
    work = Work()
    configs = [
        _config(at_once, tags=[tenant], configurable={"tenant": tenant})
        for tenant in ("one", "other", "one", "other")
    ]

    answers = batch(cache.wrap(work.chain), ["a"] * 4, configs)

    assert [one["tags"] for one in answers] == [["one"], ["other"]] * 2
    assert work.asked == ["a", "a"]


@pytest.mark.parametrize("at_once", AT_ONCE)
def test_one_failure_is_one_input_s(
    cache: SemanticJudgeCache, batch: Batch, at_once: int | None
) -> None:
    work = Work(failures=1)

    answers = batch(
        cache.wrap(work.chain), ["a"] * 4, _config(at_once), return_exceptions=True
    )

    failed = [one for one in answers if isinstance(one, LookupError)]
    assert len(failed) == 1
    assert sum(one == {"answer": "to a", "tags": []} for one in answers) == 3
    assert work.asked == ["a", "a"]


@pytest.mark.parametrize("at_once", AT_ONCE)
def test_what_always_fails_fails_for_all_in_their_places(
    cache: SemanticJudgeCache, batch: Batch, at_once: int | None
) -> None:
    def work(value: str) -> str:
        if value == "bad":
            raise LookupError(value)
        return value.upper()

    answers = batch(
        cache.wrap(RunnableLambda(work)),
        ["bad", "a", "bad", "a"],
        _config(at_once),
        return_exceptions=True,
    )

    assert [type(one) for one in answers] == [LookupError, str, LookupError, str]
    assert answers[1] == answers[3] == "A"


def test_a_failure_is_raised_unless_it_is_to_be_returned(
    cache: SemanticJudgeCache, batch: Batch
) -> None:
    with pytest.raises(LookupError, match="no answer to a"):
        batch(cache.wrap(Work(failures=9).chain), ["a", "a"])


@pytest.mark.parametrize("at_once", AT_ONCE)
def test_the_ledger_books_one_call_and_hits(
    cache: SemanticJudgeCache, batch: Batch, at_once: int | None
) -> None:
    model = ScriptedChatModel(replies=["because"])

    with track() as ledger:
        answers = batch(cache.wrap(model), ["Why?"] * 5, _config(at_once))

    records = [one for one in ledger.to_records() if one.pattern == "cache"]
    assert [answer.text for answer in answers] == ["because"] * 5
    assert model.calls == ledger.summary().calls == 1
    assert sorted(one.decision for one in records) == ["exact"] * 4 + ["miss"]
    assert sum(one.saved_calls for one in records) == 4
    assert ledger.summary().input_tokens == model.input_tokens


async def test_what_is_done_first_comes_first(cache: SemanticJudgeCache) -> None:
    work = Work()
    chain = cache.wrap(work.chain)

    done = dict(chain.batch_as_completed(["a", "b", "a"]))
    later = dict([pair async for pair in chain.abatch_as_completed(["c", "b", "c"])])

    assert [done[n]["answer"] for n in range(3)] == ["to a", "to b", "to a"]
    assert [later[n]["answer"] for n in range(3)] == ["to c", "to b", "to c"]
    assert sorted(work.asked) == ["a", "b", "c"]


def test_no_inputs_make_no_call(cache: SemanticJudgeCache, batch: Batch) -> None:
    work = Work()

    assert batch(cache.wrap(work.chain), []) == []
    assert work.asked == []
