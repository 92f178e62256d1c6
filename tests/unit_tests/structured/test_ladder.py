"""The walk up the ladder is a pure function."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.runnables import RunnableLambda

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.structured.attempts import AttemptKind
from langchain_prodpatterns.structured.ladder import (
    MAX_RETRIES,
    Plan,
    Rung,
    State,
    Step,
    as_rungs,
    next_step,
    plan,
    prepared,
    raised_limit,
    token_limit,
)
from langchain_prodpatterns.testing import ScriptedChatModel

MODEL = ScriptedChatModel(default="hi", model="small")
LIMITED = ScriptedChatModel(default="hi", max_tokens=100)


def one(
    *temperatures: float | None, attempts: int | None = 1, known: bool = False
) -> Plan:
    return Plan(temperatures or (None,), attempts, known)


def after(
    plans: tuple[Plan, ...], step: Step, kind: AttemptKind, **facts: bool
) -> Step | None:
    return next_step(State(plans, step, kind, **facts))


def test_it_begins_at_the_first_rung() -> None:
    assert next_step(State((one(0.2), one(0.8)))) == Step(0, 0, 0.2)


def test_an_empty_ladder_has_no_step() -> None:
    assert next_step(State(())) is None


@pytest.mark.parametrize("kind", ["syntax", "schema", "truncated"])
def test_a_wrong_answer_raises_the_temperature_then_climbs(kind: AttemptKind) -> None:
    plans = (one(0, 0.5, attempts=2), one(attempts=None))

    second = after(plans, Step(0, 0, 0), kind)
    assert second == Step(0, 1, 0.5)
    third = after(plans, second, kind)
    assert third == Step(1, 0, None)
    assert after(plans, third, kind) == Step(1, 1, None)


def test_further_attempts_stay_at_the_last_temperature() -> None:
    plans = (one(0, 0.5, attempts=4),)

    assert after(plans, Step(0, 2, 0.5), "schema") == Step(0, 3, 0.5)
    assert after(plans, Step(0, 3, 0.5), "schema") is None


def test_a_refusal_climbs_at_once() -> None:
    plans = (one(0, 0.5, attempts=2), one())

    assert after(plans, Step(0, 0, 0), "refused") == Step(1, 0, None)
    assert after(plans, Step(1, 0, None), "refused") is None


def test_a_cut_off_answer_raises_the_limit_once_then_climbs() -> None:
    plans = (one(0.1, attempts=None, known=True), one())

    raised = after(plans, Step(0, 0, 0.1), "truncated", cut_off=True)
    assert raised == Step(0, 0, 0.1, raised=True)
    assert after(plans, raised, "truncated", cut_off=True) == Step(1, 0, None)


def test_without_a_known_limit_a_cut_off_answer_climbs() -> None:
    assert after((one(), one()), Step(0, 0, None), "truncated", cut_off=True) == Step(
        1, 0, None
    )


@pytest.mark.parametrize("attempts", [9, None])
def test_on_the_last_rung_a_cut_off_answer_is_asked_for_once_more(
    attempts: int | None,
) -> None:
    plans = (one(attempts=attempts, known=True),)

    raised = after(plans, Step(0, 0, None), "truncated", cut_off=True)
    assert raised == Step(0, 0, None, raised=True)
    terse = after(plans, raised, "truncated", cut_off=True)
    assert terse == Step(0, 1, None, raised=True, terse=True)
    assert after(plans, terse, "truncated", cut_off=True) is None
    # What is complete and wrong goes on as ever.
    assert after(plans, terse, "schema") == Step(0, 2, None, raised=True, terse=True)


def test_a_rung_of_one_attempt_is_not_asked_for_less() -> None:
    once = (one(attempts=1),)

    assert after(once, Step(0, 0, None), "truncated", cut_off=True) is None


def test_an_error_that_may_pass_is_retried_then_climbs() -> None:
    plans = (one(0.3), one())
    step: Step | None = Step(0, 0, 0.3)
    retries = []
    while step is not None and step.rung == 0:
        retries.append(step.retries)
        step = after(plans, step, "provider", retryable=True)

    assert retries == list(range(MAX_RETRIES + 1))
    assert step == Step(1, 0, None)


def test_another_error_climbs_at_once() -> None:
    assert after((one(attempts=9), one()), Step(0, 0, None), "provider") == Step(
        1, 0, None
    )


def test_retries_begin_anew_after_an_answer() -> None:
    step = after((one(attempts=9),), Step(0, 0, None, retries=2), "schema")

    assert step == Step(0, 1, None)


@pytest.mark.parametrize(
    ("left", "rung"), [(None, 0), (4, 0), (3, 0), (2, 1), (1, 1), (0, 1)]
)
@pytest.mark.parametrize("kind", ["schema", "provider", "truncated"])
def test_one_attempt_is_kept_for_each_rung_above(
    kind: AttemptKind, left: int | None, rung: int
) -> None:
    plans = (one(attempts=9, known=True), one(), one())
    state = State(plans, Step(0, 0, None), kind, retryable=True, left=left)

    step = next_step(state)

    assert step is not None
    assert step.rung == rung


@pytest.mark.parametrize("left", [0, 1])
def test_the_last_rung_is_not_left_for_want_of_attempts(left: int) -> None:
    state = State((one(attempts=None),), Step(0, 0, None), "schema", left=left)

    assert next_step(state) == Step(0, 1, None)


KINDS: st.SearchStrategy[AttemptKind | None] = st.sampled_from(
    ["syntax", "schema", "truncated", "refused", "provider"]
)
PLANS = st.lists(
    st.builds(
        Plan,
        st.lists(st.floats(0, 2), min_size=1, max_size=3).map(tuple),
        st.integers(1, 4),
        st.booleans(),
    ),
    max_size=4,
).map(tuple)


@settings(deadline=None)
@given(plans=PLANS, data=st.data())
def test_a_walk_with_limits_ends_and_never_goes_down(
    plans: tuple[Plan, ...], data: st.DataObject
) -> None:
    step, steps = next_step(State(plans)), 0
    while step is not None:
        steps += 1
        state = State(
            plans,
            step,
            data.draw(KINDS),
            data.draw(st.booleans()),
            data.draw(st.booleans()),
        )
        following = next_step(state)
        assert following is None or following.rung >= step.rung
        step = following
    # Each attempt of a rung may be retried, and once with a raised limit.
    assert (
        steps
        <= sum(2 * (plan.attempts or 0) * (MAX_RETRIES + 1) + 2 for plan in plans) + 1
    )


def test_bare_models_are_rungs() -> None:
    rung = Rung(MODEL, temperatures=(0.1,))

    assert as_rungs([MODEL, rung]) == (Rung(MODEL), rung)


@pytest.mark.parametrize(
    "ladder", [MODEL, "gpt", {"a": MODEL}, [RunnableLambda(str)], [None]]
)
def test_other_ladders_are_refused(ladder: Any) -> None:
    with pytest.raises(ConfigurationError):
        as_rungs(ladder)


@pytest.mark.parametrize(
    "arguments",
    [
        {"temperatures": ()},
        {"temperatures": 0.5},
        {"temperatures": "0.5"},
        {"temperatures": (-0.1,)},
        {"temperatures": (True,)},
        {"attempts": 0},
        {"attempts": 1.5},
        {"attempts": True},
    ],
)
def test_rungs_that_cannot_work_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Rung(MODEL, **arguments)


def test_a_rung_takes_a_list_of_temperatures() -> None:
    assert Rung(MODEL, temperatures=[0, None]).temperatures == (0, None)  # type: ignore[arg-type]  # a list is read, too


@pytest.mark.parametrize(
    ("endless", "expected"), [(True, [2, 3, None]), (False, [2, 3, 1])]
)
def test_the_last_rung_goes_on_where_a_budget_ends_it(
    endless: bool, expected: list[int | None]
) -> None:
    rungs = (Rung(MODEL, temperatures=(0, 1)), Rung(MODEL, attempts=3), Rung(MODEL))

    assert [entry.attempts for entry in plan(rungs, endless=endless)] == expected


def test_plans_know_whether_a_limit_is_set() -> None:
    plans = plan((Rung(MODEL), Rung(LIMITED)), endless=True)

    assert [entry.can_raise_tokens for entry in plans] == [False, True]


@pytest.mark.parametrize(
    ("model", "limit"),
    [
        (MODEL, None),
        (LIMITED, ("max_tokens", 100)),
        (MODEL.bind(max_completion_tokens=7), ("max_completion_tokens", 7)),
        (LIMITED.bind(max_tokens=7), ("max_tokens", 7)),
        (LIMITED.with_retry(), ("max_tokens", 100)),
        (LIMITED.with_fallbacks([MODEL]), ("max_tokens", 100)),
    ],
)
def test_the_token_limit_is_found_through_bindings(model: Any, limit: Any) -> None:
    assert token_limit(model) == limit


def test_what_a_step_asks_for_is_bound() -> None:
    def bound(model: Any, temperature: float | None, *, raised: bool) -> Any:
        return getattr(prepared(model, temperature, raised=raised), "kwargs", None)

    assert prepared(MODEL, None, raised=False) is MODEL
    assert bound(MODEL, 0.4, raised=True) == {"temperature": 0.4}
    assert bound(LIMITED, 0, raised=True) == {"temperature": 0, "max_tokens": 200}


@pytest.mark.parametrize(
    ("most", "raised"),
    [(None, 200), (1000, 200), (150, 150), (100, None), (50, None)],
)
def test_no_more_tokens_are_asked_for_than_the_model_can_write(
    most: int | None, raised: int | None
) -> None:
    profile: Any = {} if most is None else {"max_output_tokens": most}
    model = ScriptedChatModel(default="hi", max_tokens=100, profile=profile)

    limit = raised_limit(model.bind(stop=["x"]))
    (entry,) = plan((Rung(model),), endless=True)

    assert limit == (None if raised is None else ("max_tokens", raised))
    assert entry.can_raise_tokens is (raised is not None)
