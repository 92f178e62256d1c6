"""The rules of one cache, and the promise kept over a stream."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from langchain_prodpatterns.cache.calibration import LabeledPair, Measured
from langchain_prodpatterns.cache.costs import Costs
from langchain_prodpatterns.cache.decision import Band, Candidate
from langchain_prodpatterns.cache.identity import Scope, identify
from langchain_prodpatterns.cache.learning import Learning
from langchain_prodpatterns.cache.policy import Policy, draw_of
from langchain_prodpatterns.cache.stores import LocalStore
from langchain_prodpatterns.judging import Judgement, YesNoVerdict
from langchain_prodpatterns.usage import NO_USAGE, Usage
from langchain_prodpatterns.verdicts import no_verdict
from tests.unit_tests.cache.conftest import LLM

IDENTITY = identify("why", LLM, Scope("n", "e"))
NEAR = Candidate(0.97)
PAID = Usage(calls=1, usd=0.01)
YES = Judgement(YesNoVerdict(yes=True))
NO = Judgement(YesNoVerdict(yes=False))


@pytest.fixture
def store() -> Iterator[LocalStore]:
    opened = LocalStore()
    yield opened
    opened.close()


def policy_of(
    store: LocalStore, delta: float = 0.02, band: Band | None = None
) -> Policy:
    return Policy(band, Learning(store, delta), Costs(None), judged=True)


def test_a_request_always_draws_the_same_number_and_all_numbers_are_drawn() -> None:
    scope = Scope("n", "e")
    draws = [draw_of(identify(f"question {n}", LLM, scope)) for n in range(2_000)]

    assert draw_of(identify("question 0", LLM, scope)) == draws[0]
    assert all(0 <= draw < 1 for draw in draws)
    assert 0.03 < sum(draw < 0.05 for draw in draws) / len(draws) < 0.07


def test_a_band_needs_no_store_unless_costs_are_weighed(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = policy_of(store, band=Band(0.5, 0.9))
    asked: list[str | None] = []

    def tallies(partition: str | None) -> dict[str, tuple[int, int]]:
        asked.append(partition)
        return {}

    monkeypatch.setattr(store, "tallies", tallies)

    assert policy.decide(IDENTITY, NEAR, PAID).action == "serve"
    assert policy.decide(IDENTITY, Candidate(0.6), PAID).action == "judge"
    assert asked == []
    policy.costs.note_verdict(PAID)
    assert policy.decide(IDENTITY, Candidate(0.6), PAID).action == "miss"
    assert IDENTITY.partition in asked


def test_a_judge_that_is_off_is_as_none(store: LocalStore) -> None:
    policy = replace(policy_of(store), mode="off")

    assert policy.decide(IDENTITY, NEAR, NO_USAGE).action == "miss"


def test_the_promise_is_of_a_partition_or_of_all(store: LocalStore) -> None:
    policy = policy_of(store)
    for _ in range(10):
        policy.learning.note_verdict("p", NEAR, yes=True)

    assert policy.promise("p").evidence == policy.promise().evidence == 10
    assert policy.promise("q").evidence == 10
    assert policy.promise().delta == 0.02
    assert 0 < policy.promise().lo < 0.97


def measured(*pairs: tuple[float, bool]) -> list[Measured]:
    return [
        Measured(LabeledPair("a", "b", same), similarity, ())
        for similarity, same in pairs
    ]


def test_calibration_measures_the_judge(store: LocalStore) -> None:
    policy = policy_of(store)
    pairs = measured((0.9, True), (0.9, False), (0.9, False), (0.9, False))
    late = no_verdict("timeout", "late")
    found = policy.calibrate(pairs, [NO, YES, NO, late], as_traffic=False)

    assert found.judge is not None
    assert (found.judge.accepted_wrongly, found.judge.different) == (1, 2)
    assert (found.judge.refused_wrongly, found.judge.same) == (1, 1)
    assert found.judge.failures == 1
    assert policy.promise().judge_error == pytest.approx(1.5 / 3)


@pytest.mark.parametrize("judgements", [None, [no_verdict("timeout", "late")] * 2])
def test_a_judge_that_was_not_heard_keeps_its_record(
    store: LocalStore, judgements: list[Judgement[YesNoVerdict]] | None
) -> None:
    policy = policy_of(store)
    pairs = measured((0.9, False), (0.9, False))
    policy.calibrate(pairs, [YES, NO], as_traffic=False)
    policy.calibrate(pairs, judgements, as_traffic=False)

    assert policy.promise().judge_error == pytest.approx(1.5 / 3)


def test_a_calibration_with_costs_of_the_user_s_own_leaves_room_for_the_judge(
    store: LocalStore,
) -> None:
    policy = replace(policy_of(store), costs=Costs(lambda usage: usage.seconds))
    policy.costs.note_verdict(Usage(calls=1, seconds=1.0))
    pairs = measured(*[(0.97, True)] * 300, *[(0.6, False)] * 300)

    found = policy.calibrate(pairs, None, as_traffic=True)
    assert found.band is not None
    assert found.band[0] < found.band[1]
    # Nor is it told that no near hit is worth a verdict.
    assert policy.promise().lo < 1


@dataclass
class Stream:
    """Near hits of a known wrong rate, and a judge that errs at a known rate."""

    policy: Policy
    rng: random.Random
    false_yes: float = 0.0
    false_no: float = 0.0
    served: int = 0
    unjudged: int = 0
    wrong: int = 0

    def ask(self, number: int) -> None:
        """Ask a question whose nearest one is more likely right the nearer it is."""
        identity = identify(f"question {number}", LLM, Scope("n", "e"))
        similarity = 1 - 0.3 * self.rng.random() ** 1.5
        right = self.rng.random() < 1 - 0.6 * ((1 - similarity) / 0.3) ** 2 - 0.002
        near = Candidate(similarity)
        decision = self.policy.decide(identity, near, NO_USAGE)
        yes = decision.action == "serve"
        if decision.action in {"judge", "watch"}:
            said = self.judge(right=right)
            self.policy.learning.note_verdict(
                identity.partition, near, yes=said, stands_for=decision.stands_for
            )
            yes = said and decision.action == "judge"
        self.served += yes
        self.unjudged += decision.action == "serve"
        self.wrong += yes and not right

    def judge(self, *, right: bool) -> bool:
        return right != (
            self.rng.random() < (self.false_no if right else self.false_yes)
        )


@pytest.mark.parametrize("delta", [0.01, 0.02, 0.05])
@pytest.mark.parametrize("errs", [False, True], ids=["right", "errs"])
def test_the_promise_is_kept(store: LocalStore, delta: float, errs: bool) -> None:
    policy = policy_of(store, delta)
    rate = 0.05 if errs else 0.0
    stream = Stream(policy, random.Random(11), false_yes=rate, false_no=rate)
    if errs:
        pairs = measured(*[(0.9, number % 2 == 0) for number in range(600)])
        said = [
            YES if stream.judge(right=bool(one.pair.same_answer)) else NO
            for one in pairs
        ]
        policy.calibrate(pairs, said, as_traffic=False)
    for number in range(3_000):
        stream.ask(number)

    assert stream.served
    assert stream.wrong / stream.served <= delta
    # It is not kept by serving nothing; only to trust a judge that errs takes longer.
    if not errs:
        assert stream.served > 2_000
    elif delta > 0.01:
        assert stream.served > 100
    if delta == 0.05:
        assert stream.unjudged > 100


def test_an_error_of_the_judge_that_nobody_measured_is_not_in_the_promise(
    store: LocalStore,
) -> None:
    """The promise is then relative to the judge, and says so."""
    policy = policy_of(store)
    stream = Stream(policy, random.Random(5), false_yes=1.0)
    for number in range(1_000):
        stream.ask(number)

    assert stream.wrong / stream.served > 0.1
    assert policy.promise().judge_error == 0
