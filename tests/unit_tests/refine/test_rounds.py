"""Rounds as they end: streamed, kept by a checkpoint, and gone on from."""

import asyncio
import itertools
import logging
from dataclasses import replace
from typing import Any, cast

import pytest
from langchain_core.runnables import RunnableGenerator, RunnableLambda
from langchain_core.runnables.schema import StreamEvent

from langchain_prodpatterns import Budget, track
from langchain_prodpatterns.budget import BudgetMeter
from langchain_prodpatterns.refine import (
    Criteria,
    RefineChain,
    RefineResult,
    RefineRound,
    Verifier,
)
from langchain_prodpatterns.refine.checkpoints import keeping
from langchain_prodpatterns.refine.steps import aperform, making, perform
from langchain_prodpatterns.runnable import PatternRun
from tests.unit_tests.refine.scripts import (
    Cast,
    always_new,
    chain_of,
    number_in,
    refine,
)

FUN = Criteria("fun")


def rising(draft: str) -> list[int]:
    return [min(5, 1 + number_in(draft))]


def timeless(entry: RefineRound) -> Any:
    return entry.number, entry.draft, entry.scores, entry.accepted, entry.reason


# --- streams


def test_a_stream_has_the_rounds_and_then_the_result() -> None:
    crew = Cast(marks=rising)
    chain = RefineChain(
        reviser=crew.model(), critics=[FUN], accept="score", include_rounds=True
    )
    *rounds, result = chain.stream("draft 0")
    assert isinstance(result, RefineResult)
    assert tuple(rounds) == result.rounds
    once = refine(chain, "draft 0")
    assert list(map(timeless, rounds)) == list(map(timeless, once.rounds))
    assert result.best == once.best == "draft 3"


async def test_async_streams_alike() -> None:
    crew = Cast(marks=rising)
    chain = RefineChain(
        reviser=crew.model(), critics=[FUN], accept="score", include_rounds=True
    )
    *rounds, result = [each async for each in chain.astream("draft 0")]
    assert tuple(rounds) == result.rounds
    assert result.best == "draft 3"


def test_a_round_is_there_before_the_next_one_is_asked_for() -> None:
    crew = Cast(marks=rising)
    stream = chain_of(crew.model(), FUN).stream("write")
    assert next(stream).number == 0
    assert crew.asked == ["draft", "judge"]
    assert next(stream).number == 1
    assert crew.asked == ["draft", "judge", "revise", "judge"]


def test_what_is_left_unread_is_not_asked_for() -> None:
    crew = Cast(marks=rising)
    with track() as ledger:
        stream = chain_of(crew.model(), FUN).stream("write")
        next(stream)
        stream.close()  # type: ignore[attr-defined]  # a generator
    assert crew.asked == ["draft", "judge"]
    assert ledger.summary().calls == 2


def test_chunks_of_the_input_are_one_draft() -> None:
    def upstream(_: Any) -> Any:
        yield from ("dra", "ft ", "0")

    chain = RunnableGenerator(upstream) | RefineChain(
        reviser=Cast(marks=rising).model(),
        critics=[FUN],
        accept="score",
        include_rounds=True,
    )
    *rounds, _ = chain.stream("go")
    assert rounds[0].draft == "draft 0"


@pytest.mark.parametrize("include_rounds", [True, False])
async def test_of_an_empty_stream_nothing_comes(*, include_rounds: bool) -> None:
    async def nothing() -> Any:
        for chunk in list[str]():
            yield chunk

    chain = RefineChain(
        reviser=Cast().model(), critics=[FUN], include_rounds=include_rounds
    )
    assert list(chain.transform(iter(()))) == []
    assert [each async for each in chain.atransform(nothing())] == []


def test_what_comes_after_gets_the_result() -> None:
    chain = chain_of(Cast(marks=rising).model(), FUN) | RunnableLambda(type)
    assert list(chain.stream("write")) == [RefineResult]


async def test_events_have_stable_names_and_say_the_round() -> None:
    crew = Cast(marks=rising, better=lambda *_: "second")
    chain = RefineChain(
        crew.model(), critics=[FUN], accept="pairwise>score", max_rounds=2
    )
    names = ["refine:draft", "refine:critique", "refine:revision", "refine:compare"]
    events: list[StreamEvent] = [
        event
        async for event in chain.astream_events(
            "write", version="v2", include_names=names
        )
    ]
    begun = [event for event in events if event["event"].endswith("_start")]
    places = [(e["name"], e["metadata"]["prodpatterns.round"]) for e in begun]
    assert places[:4] == [
        ("refine:draft", 0),
        ("refine:critique", 0),
        ("refine:revision", 1),
        ("refine:critique", 1),
    ]
    assert ("refine:revision", 2) in places
    assert {name for name, _ in places} == set(names)


async def test_events_tell_candidates_apart() -> None:
    numbers = iter(range(9))
    crew = Cast(draft=lambda _: f"draft {next(numbers)}", marks=rising)
    chain = RefineChain(
        crew.model(), critics=[FUN], accept="score", candidates=2, target_score=0.25
    )
    drafts = [
        event["metadata"]["prodpatterns.candidate"]
        async for event in chain.astream_events(
            "write", version="v2", include_names=["refine:draft"]
        )
        if event["event"].endswith("_start")
    ]
    assert sorted(drafts) == [0, 1]


# --- checkpoints


def test_a_checkpoint_is_given_each_round() -> None:
    kept: list[RefineRound] = []
    result = refine(chain_of(Cast(marks=rising).model(), FUN, checkpoint=kept.append))
    assert tuple(kept) == result.rounds


async def test_an_async_checkpoint_is_awaited() -> None:
    kept: list[RefineRound] = []

    async def keep(entry: RefineRound) -> None:
        await asyncio.sleep(0)
        kept.append(entry)

    chain = chain_of(Cast(marks=rising).model(), FUN, checkpoint=keep)
    result = await chain.ainvoke("write")
    assert tuple(kept) == result.rounds
    kept.clear()
    assert tuple(kept) != chain.invoke("write").rounds == tuple(kept)


def test_a_checkpoint_that_fails_loses_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def keep(entry: RefineRound) -> None:
        raise OSError(entry.draft.content)

    with caplog.at_level(logging.WARNING):
        result = refine(
            chain_of(Cast(marks=rising).model(), FUN, checkpoint=keep, max_rounds=1)
        )
    assert result.best.content == "draft 1"
    assert "the checkpoint of a RefineChain raised OSError" in caplog.text
    assert "draft 1" not in caplog.text


class Childless:
    """A run whose children have no config."""

    def child(self, *_: Any, **__: Any) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_what_was_paid_for_is_kept_even_when_the_time_is_up(
    asynchronous: bool,
) -> None:
    times = itertools.chain([0.0], itertools.repeat(60.0))
    meter = BudgetMeter(Budget(seconds=1), lambda: next(times))
    kept: list[RefineRound] = []
    (entry,) = refine(chain_of(Cast(marks=lambda _: [5]).model(), FUN)).rounds
    story, run = making(keeping(kept.append, entry)), cast("PatternRun", Childless())
    if asynchronous:
        await aperform(story, run, meter)
    else:
        perform(story, run, meter)
    assert kept == [entry]


# --- going on


def test_a_result_is_gone_on_from() -> None:
    crew = Cast(marks=rising)
    chain = chain_of(crew.model(), FUN, max_rounds=1)
    first = refine(chain)
    crew.asked.clear()
    second = chain.resume(first)
    assert crew.asked == ["revise", "judge"]
    assert second.best.content == "draft 2"
    assert second.rounds[:2] == first.rounds
    assert [entry.number for entry in second.rounds] == [0, 1, 2]
    assert second.stop_reason == "max_rounds"
    assert second.usage.calls == first.usage.calls + 2


async def test_async_goes_on_alike() -> None:
    chain = chain_of(Cast(marks=rising).model(), FUN, max_rounds=1)
    result = await chain.aresume(await chain.ainvoke("write"))
    assert result.best.content == "draft 2"


def test_the_reviser_is_told_the_task_again() -> None:
    model = Cast(marks=rising).model()
    chain = chain_of(model, FUN, max_rounds=1)
    result = refine(chain, "write of otters")
    assert result.task == "write of otters"
    asked = len(model.requests)
    chain.resume(result)
    assert "otters" in str(model.requests[asked].messages)


def test_rounds_that_a_checkpoint_kept_will_do() -> None:
    kept: list[RefineRound] = []
    crew = Cast(marks=rising)
    chain = chain_of(crew.model(), FUN, checkpoint=kept.append, max_rounds=1)
    stream = chain.stream("write")
    next(stream)
    stream.close()  # type: ignore[attr-defined]  # a generator
    result = chain.resume(kept, task="write")
    assert result.best.content == "draft 1"
    assert tuple(kept) == result.rounds


def test_a_draft_that_was_seen_is_not_taken_for_new() -> None:
    crew = Cast(marks=lambda _: [3], revise=lambda _: {"revision": "draft 7"})
    chain = chain_of(crew.model(), FUN, max_rounds=1)
    result = chain.resume(refine(chain))
    assert result.stop_reason == "unchanged"


def test_what_failed_before_does_not_count_again() -> None:
    crew = Cast(marks=lambda _: [3], revise=always_new())
    chain = chain_of(crew.model(), FUN, max_rounds=5)
    first = refine(chain)
    assert first.stop_reason == "no_improvement"
    second = chain.resume(first)
    assert second.stop_reason == "no_improvement"
    assert len(second.rounds) == len(first.rounds) + 2


def test_what_is_good_enough_stays() -> None:
    crew = Cast(marks=lambda _: [5])
    chain = chain_of(crew.model(), FUN)
    first = refine(chain)
    crew.asked.clear()
    assert chain.resume(first).stop_reason == "all_met"
    assert crew.asked == []


def test_other_critics_have_their_say_first() -> None:
    crew = Cast(marks=rising)
    first = refine(chain_of(crew.model(), FUN, max_rounds=1))
    crew.asked.clear()

    def checked(text: str) -> bool:
        return "draft" in text

    other = chain_of(crew.model(), FUN, checked, max_rounds=1)
    second = other.resume(first)
    assert crew.asked == ["judge", "revise", "judge"]
    assert [score.critic for score in second.rounds[1].scores] == ["checked", "fun"]


def test_resume_gives_the_best_where_rounds_are_not_asked_for() -> None:
    crew = Cast(marks=rising)
    result = refine(chain_of(crew.model(), FUN, max_rounds=1))
    plain = RefineChain(crew.model(), critics=[FUN], accept="score", max_rounds=1)
    assert plain.resume(result).content == "draft 2"


@pytest.mark.parametrize(
    "other",
    [
        Criteria("fun", judge=lambda _: {"marks": [4]}, weight=2.0),
        Verifier(lambda _: 0.75, name="fun"),
    ],
)
def test_critics_are_known_by_more_than_their_names(other: Any) -> None:
    crew = Cast()
    first = refine(chain_of(crew.model(), FUN, max_rounds=1))
    second = chain_of(crew.model(), other, max_rounds=1).resume(first)
    assert second.rounds[0].score == 0.75


def test_rounds_may_come_one_by_one() -> None:
    chain = chain_of(Cast(marks=rising).model(), FUN, max_rounds=1)
    first = refine(chain)
    second = chain.resume(each for each in reversed(first.rounds))  # type: ignore[arg-type]  # read once
    assert [entry.number for entry in second.rounds] == [0, 1, 2]


def test_a_round_without_a_draft_is_not_the_best() -> None:
    chain = chain_of(Cast(marks=rising).model(), FUN, max_rounds=1)
    first = refine(chain)
    lost = replace(first.rounds[1], draft=None)
    assert chain.resume([first.rounds[0], lost]).best.content == "draft 1"
    with pytest.raises(ValueError, match="nothing to resume"):
        chain.resume([lost])


@pytest.mark.parametrize("nothing", [[], ()])
def test_there_must_be_something_to_go_on_from(nothing: Any) -> None:
    with pytest.raises(ValueError, match="nothing to resume"):
        chain_of(Cast().model(), FUN).resume(nothing)


@pytest.mark.parametrize("wrong", ["draft", [1], ["draft"], None, {}])
def test_only_rounds_are_gone_on_from(wrong: Any) -> None:
    with pytest.raises(TypeError, match="resume takes a RefineResult or RefineRounds"):
        chain_of(Cast().model(), FUN).resume(wrong)
