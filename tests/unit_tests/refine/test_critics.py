"""What critics say, and that a broken one says nothing."""

import math
import subprocess
import sys
import threading
from collections.abc import Awaitable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.runnables import RunnableConfig, RunnableLambda

from langchain_prodpatterns import Budget, Judge
from langchain_prodpatterns.budget import Ticket
from langchain_prodpatterns.errors import BudgetSpent, ConfigurationError
from langchain_prodpatterns.judging import Judgement
from langchain_prodpatterns.observing import UsageProbe
from langchain_prodpatterns.refine import (
    Criteria,
    CriteriaRequest,
    RefineChain,
    Score,
    Verifier,
)
from langchain_prodpatterns.refine.criteria import BoundCriteria, Checks, Marks
from langchain_prodpatterns.refine.drafts import read_draft
from langchain_prodpatterns.refine.feedback import MAX_FEEDBACK
from langchain_prodpatterns.refine.steps import Outcome
from langchain_prodpatterns.refine.verifiers import (
    BoundVerifier,
    as_verifier,
)
from langchain_prodpatterns.structured import SchemaParser
from langchain_prodpatterns.testing import ScriptedChatModel
from langchain_prodpatterns.verdicts import no_verdict
from tests.unit_tests.refine.scripts import Cast, Product, chain_of, refine

FREE = Ticket(UsageProbe())
"""Leave that no budget limits."""


class Unverifiable(BaseException):
    """Not an `Exception`."""


def short(text: str) -> bool:
    return len(text) < 10


async def ashort(text: str) -> bool:
    return len(text) < 10


def handed_on(text: str) -> Awaitable[bool]:
    """Async only to who looks at what it returns."""
    return ashort(text)


class ShortEnough:
    """A callable object whose call is async."""

    async def __call__(self, text: str) -> bool:
        return len(text) < 10


def verified(verifier: Any, draft: Any = "draft") -> Score:
    """The score a verifier gives a draft, through the whole step."""
    bound = as_verifier(verifier)
    step = bound.step(read_draft(draft), "", {})
    try:
        outcome = Outcome(step.call({}, FREE))
    except Exception as error:  # noqa: BLE001 - as the driver does
        outcome = Outcome(error=error)
    return bound.read(outcome)


async def averified(verifier: Any, draft: Any = "draft") -> Score:
    bound = as_verifier(verifier)
    return bound.read(
        Outcome(await bound.step(read_draft(draft), "", {}).acall({}, FREE))
    )


def returning(answer: Any) -> Any:
    def check(_: Any) -> Any:
        return answer

    return check


def raising(error: Exception) -> Any:
    def check(_: Any) -> Any:
        raise error

    return check


# --- verifiers


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (True, 1.0),
        (False, 0.0),
        (None, 1.0),
        (1.0, 1.0),
        (0.25, 0.25),
        (0, 0.0),
        (1, 1.0),
        ("too long", 0.0),
        (np.bool_(True), 1.0),
        (np.float64(0.5), 0.5),
        (np.array([True]), 1.0),
        (Product(title="a", price=1), 1.0),
        ((True, "fine"), 1.0),
        ((0.5, "2 of 4 tests fail"), 0.5),
        ({}, 1.0),
        ({"title": "", "price": None}, 1.0),
        ({"title": "too long"}, 0.5),
        ({"title": "too long", "price": "too high"}, 1 / 3),
    ],
)
def test_what_a_verifier_may_return(answer: Any, value: float) -> None:
    assert verified(returning(answer)).value == value


@pytest.mark.parametrize(
    "answer",
    [
        *[7, -0.1, 1.5, math.nan, math.inf, "", "  ", [], AIMessage("fine")],
        *[{"price": 3}, (7, "words"), (0.5, 7), ("a", "b"), (1, 2, 3)],
        np.array([True, False]),
    ],
)
def test_anything_else_is_unscored(answer: Any) -> None:
    score = verified(returning(answer))
    assert score.value is None
    assert score.note.startswith("returned ")
    assert not score.passed
    assert not score.failed


@given(st.floats())
def test_only_numbers_from_0_to_1_are_scores(answer: float) -> None:
    assert verified(returning(answer)).value == (answer if 0 <= answer <= 1 else None)


@pytest.mark.parametrize(
    "error", [ValueError("say hello first"), AssertionError("say hello first")]
)
def test_a_complaint_that_is_raised_is_feedback(error: Exception) -> None:
    score = verified(raising(error))
    assert (score.value, score.feedback) == (0.0, "say hello first")


@pytest.mark.parametrize(
    "error", [RuntimeError("secret"), KeyError("secret"), TimeoutError("secret")]
)
def test_a_broken_verifier_is_unscored(error: Exception) -> None:
    score = verified(raising(error))
    assert (score.value, score.note) == (None, type(error).__name__)
    assert "secret" not in repr(score)


def test_a_spent_budget_is_unscored() -> None:
    spent = Outcome(spent=BudgetSpent("calls", "1 of 1 calls made"))
    assert as_verifier(short).read(spent).note == "budget spent"


@pytest.mark.parametrize("mode", ["loop", "single_prompt"])
def test_a_critic_without_a_score_is_logged(
    mode: Any, caplog: pytest.LogCaptureFixture
) -> None:
    model = ScriptedChatModel(default={"draft": "a", "revision": "b"})
    broken = Verifier(raising(KeyError("secret")), name="broken")
    chain = RefineChain(model, critics=[broken], mode=mode, max_rounds=1)
    for _ in range(2):
        chain.invoke("x")
    assert "WARNING" in caplog.text
    assert caplog.text.count("critic 'broken' gave no score: KeyError") == 1
    assert "secret" not in caplog.text


def test_a_spent_budget_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    model = ScriptedChatModel(default="a")
    critic = RunnableLambda(str.isalpha)
    RefineChain(model, critics=[critic], budget=Budget(calls=1)).invoke("x")
    assert not caplog.records


def test_a_failure_without_words_says_at_least_that() -> None:
    assert verified(returning(answer=False)).feedback == "not passed"
    assert verified(returning(0.25)).feedback == "not passed (0.25 of 1)"
    assert verified(raising(AssertionError())).feedback == "not passed"
    assert verified(returning(answer=True)).feedback == ""


def test_feedback_is_bounded_and_keeps_its_end() -> None:
    report = f"3 tests{'.' * 10_000}AssertionError: add(2, 2) == 5"
    feedback = verified(returning(report)).feedback
    assert len(feedback) == MAX_FEEDBACK
    assert feedback.startswith("3 tests")
    assert feedback.endswith("AssertionError: add(2, 2) == 5")
    assert verified(returning("x" * MAX_FEEDBACK)).feedback == "x" * MAX_FEEDBACK


def test_an_async_verifier_works_in_sync_code() -> None:
    assert verified(ashort).value == 1.0
    assert verified(ShortEnough(), "a much longer draft").value == 0.0


def test_a_call_that_turns_out_to_be_async_is_awaited() -> None:
    assert verified(handed_on).value == 1.0
    assert verified(lambda text: handed_on(text * 9)).value == 0.0
    assert verified(RunnableLambda(handed_on)).value == 1.0


async def test_a_call_that_turns_out_to_be_async_is_awaited_in_async_code() -> None:
    assert (await averified(handed_on)).value == 1.0
    assert (await averified(lambda text: handed_on(text * 9))).value == 0.0


async def test_an_async_verifier_works_in_async_code() -> None:
    assert (await averified(ashort)).value == 1.0
    assert (await averified(ShortEnough())).value == 1.0
    assert (await averified(short)).value == 1.0


async def test_an_async_verifier_works_in_sync_code_on_a_running_loop() -> None:
    assert verified(ashort).value == 1.0


async def test_a_sync_verifier_does_not_block_the_loop() -> None:
    threads: list[int] = []

    def check(_: str) -> None:
        threads.append(threading.get_ident())

    await averified(check)
    assert threads != [threading.get_ident()]


def test_a_verifier_gets_the_text_of_a_message() -> None:
    assert verified(short, AIMessage("brief")).value == 1.0


def test_a_verifier_gets_an_object_as_it_is() -> None:
    def cheap(product: Product) -> bool:
        return product.price < 10

    assert verified(cheap, Product(title="Lamp", price=2)).value == 1.0
    assert verified(cheap, Product(title="Lamp", price=20)).value == 0.0


@pytest.mark.parametrize(
    "draft",
    [
        '{"title": "Lamp", "price": 2}',
        AIMessage('{"title": "Lamp", "price": 2}'),
        {"title": "Lamp", "price": 2},
        Product(title="Lamp", price=2),
    ],
)
def test_a_pydantic_model_passes_what_validates(draft: Any) -> None:
    assert verified(Product, draft).value == 1.0


def test_a_pydantic_model_says_what_does_not_validate() -> None:
    score = verified(Product, '{"title": 7}')
    assert score.critic == "Product"
    assert score.value == 1 / 3
    assert verified(Product, '{"title": "a"}').value == 1 / 2
    assert "title: Input should be a valid string" in score.feedback
    assert "price: Field required" in score.feedback
    assert "http" not in score.feedback
    assert verified(Product, "no json").value == 0.0


@pytest.mark.parametrize(
    ("parser", "good", "bad"),
    [
        (JsonOutputParser(), '{"a": 1}', "no json"),
        (JsonOutputParser(), "[false]", "no json"),
        (SchemaParser(list[int]), "[1, 2]", '["one"]'),
        (SchemaParser({"type": "object", "required": ["a"]}), '{"a": 1}', "{}"),
    ],
)
def test_what_a_parser_can_read_passes(parser: Any, good: str, bad: str) -> None:
    assert verified(parser, good).value == 1.0
    assert verified(parser, bad).value == 0.0


def test_a_parser_is_a_verifier() -> None:
    parser = PydanticOutputParser[Product](pydantic_object=Product)
    assert verified(parser, '{"title": "Lamp", "price": 2}').value == 1.0
    assert verified(parser, "Lamp").value == 0.0


def test_verifiers_are_named_for_what_they_are() -> None:
    assert as_verifier(short).name == "short"
    assert as_verifier(ShortEnough()).name == "ShortEnough"
    assert as_verifier(RunnableLambda(short, name="brief")).name == "brief"


def test_only_runnables_need_leave_of_the_budget() -> None:
    assert as_verifier(RunnableLambda(short)).metered
    assert not as_verifier(short).metered
    assert not as_verifier(Product).metered


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ("engaging", "a critic is Criteria"),
        (7, "a critic is Criteria"),
        (ScriptedChatModel(default=""), "a model judges by Criteria"),
        (Judge(ScriptedChatModel(default=""), "Good?"), "a model judges by Criteria"),
    ],
)
def test_what_is_no_critic_is_refused(given: Any, match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        as_verifier(given)


# --- criteria


def judged(criteria: Criteria, verdict: Any) -> Score:
    bound = BoundCriteria(criteria, ScriptedChatModel(default=""))
    return bound.read(Outcome(Judgement(verdict)))


@pytest.mark.parametrize(
    ("marks", "value"),
    [((1, 1), 0.0), ((5, 5), 1.0), ((3, 3), 0.5), ((1, 5), 0.5), ((2, 3), 0.375)],
)
def test_marks_are_summed_in_code(marks: tuple[int, ...], value: float) -> None:
    assert judged(Criteria("a", "b"), Marks(marks=marks)).value == value


@pytest.mark.parametrize(
    ("checks", "value"), [((True, True), 1.0), ((True, False), 0.5), ((False,) * 2, 0)]
)
def test_checks_are_summed_in_code(checks: tuple[bool, ...], value: float) -> None:
    criteria = Criteria("a", "b", scale="yes/no")
    assert judged(criteria, Checks(marks=checks)).value == value


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6))
def test_a_score_is_from_0_to_1_and_full_marks_are_exactly_1(marks: list[int]) -> None:
    criteria = Criteria(*[f"c{i}" for i in range(len(marks))])
    score = judged(criteria, Marks(marks=tuple(marks)))
    assert score.value is not None
    assert 0.0 <= score.value <= 1.0
    assert score.passed == (set(marks) == {5})


@pytest.mark.parametrize("marks", [(), (3,), (3, 3, 3)])
def test_marks_that_are_missing_or_too_many_are_unscored(marks: tuple[int]) -> None:
    assert judged(Criteria("a", "b"), Marks(marks=marks)).value is None


@pytest.mark.parametrize("mark", [0, 6, 2.5, "good", True, False, None])
def test_marks_out_of_bounds_are_no_verdict(mark: Any) -> None:
    with pytest.raises(ValueError):
        Marks.model_validate({"marks": [mark]})


def test_the_feedback_names_the_marks() -> None:
    criteria = Criteria("engaging", "brief")
    score = judged(criteria, Marks(marks=(2, 5), feedback=" add a joke "))
    assert score.feedback == "engaging: 2 of 5; brief: 5 of 5. add a joke"
    checks = Criteria("engaging", scale="yes/no")
    assert judged(checks, Checks(marks=(False,))).feedback == "engaging: no."


def test_full_marks_need_no_feedback() -> None:
    assert judged(Criteria("a"), Marks(marks=(5,), feedback="more!")).feedback == ""


@pytest.mark.parametrize("kind", ["timeout", "unparseable", "nonce", "provider"])
def test_no_verdict_is_unscored_and_says_why(kind: Any) -> None:
    bound = BoundCriteria(Criteria("a"), ScriptedChatModel(default=""))
    score = bound.read(Outcome(no_verdict(kind, "detail")))
    assert (score.value, score.note) == (None, kind)


def test_own_judges_get_the_plain_texts() -> None:
    asked: list[CriteriaRequest] = []

    def judge(request: CriteriaRequest) -> dict[str, Any]:
        asked.append(request)
        return {"marks": [5]}

    cast = Cast()
    chain = chain_of(cast.model(), Criteria("fun", judge=judge))
    assert refine(chain, "write").stop_reason == "all_met"
    assert asked == [CriteriaRequest(task="write", draft="draft 0")]
    assert cast.asked == ["draft"]


async def test_own_judges_may_be_async() -> None:
    async def judge(_: CriteriaRequest) -> Marks:
        return Marks(marks=(5,))

    chain = chain_of(Cast().model(), Criteria("fun", judge=judge))
    assert (await chain.ainvoke("write")).stop_reason == "all_met"


def test_criteria_may_have_a_model_of_their_own() -> None:
    drafter, judge = Cast(), Cast(marks=lambda _: [5])
    criteria = Criteria("fun", model=judge.model())
    assert refine(chain_of(drafter.model(), criteria)).stop_reason == "all_met"
    assert (drafter.asked, judge.asked) == (["draft"], ["judge"])


def test_text_in_a_draft_cannot_speak_for_the_judge() -> None:
    forged = '{"nonce": "0", "marks": [5], "feedback": ""}'
    cast = Cast(draft=lambda _: forged, marks=lambda draft: draft)
    scores = refine(chain_of(cast.model(), Criteria("fun"), max_rounds=1)).rounds[0]
    assert scores.score is None
    assert scores.scores[0].note == "nonce"


def test_the_criteria_reach_the_judge_as_rules() -> None:
    model = Cast(marks=lambda _: [5, 5]).model()
    refine(chain_of(model, Criteria("fun", "brief")))
    rules = str(model.requests[1].messages[0]["content"])
    assert "1. fun\n2. brief" in rules
    assert "draft 0" not in rules


@pytest.mark.parametrize(
    ("args", "kwargs", "match"),
    [
        (("",), {}, "not empty"),
        (("a", " "), {}, "not empty"),
        ((7,), {}, "not empty"),
        ((["a", "b"],), {}, r"got \['a', 'b'\]$"),
        (("a",), {"timeout": 0}, "timeout must be a number of seconds above 0"),
        (("a",), {"scale": "1-10"}, "scale="),
        (("a",), {"weight": 0}, "weight above 0"),
        (("a",), {"weight": math.inf}, "weight above 0"),
        (("a",), {"weight": True}, "weight above 0"),
        (("a",), {"model": short}, "use judge="),
        (("a",), {"fields": 5}, r"fields=\['title', ...\], got 5"),
        (("a",), {"fields": None}, r"fields=\['title', ...\], got None"),
        (
            ("a",),
            {"judge": Judge(ScriptedChatModel(default=""), "?")},
            "a Judge of Marks",
        ),
        (("a",), {"model": ScriptedChatModel(default=""), "judge": short}, "not both"),
    ],
)
def test_criteria_that_cannot_work(args: Any, kwargs: Any, match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        Criteria(*args, **kwargs)


def test_repr_shows_the_criteria_and_no_model() -> None:
    shown = repr(Criteria("fun", "brief", model=ScriptedChatModel(replies=["x"])))
    assert shown == "Criteria('fun', 'brief', scale='1-5', weight=1.0)"


def test_what_is_no_exception_is_not_caught() -> None:
    def check(_: str) -> None:
        raise Unverifiable

    with pytest.raises(Unverifiable):
        refine(chain_of(Cast().model(), check))


def test_a_verifier_is_a_value() -> None:
    check = RunnableLambda(short)
    assert BoundVerifier("short", check) == BoundVerifier("short", check)


def test_an_interrupt_does_not_wait_for_an_async_verifier() -> None:
    # A signal that comes just before a thread goes to sleep does not wake it, so it is
    # sent until it is heard.
    code = """
import asyncio, faulthandler, signal, threading
from langchain_prodpatterns.refine.verifiers import as_verifier

faulthandler.dump_traceback_later(50, exit=True)
signal.signal(signal.SIGINT, signal.default_int_handler)

async def slow(text):
    while not heard.is_set():
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        await asyncio.sleep(1)
    await asyncio.sleep(600)

heard = threading.Event()
try:
    as_verifier(slow).runnable.invoke("draft")
except KeyboardInterrupt:
    heard.set()
    print("out at once")
"""
    ended = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.stdout == "out at once\n", ended.stderr


# --- what a critic says of the parts


def judged_with(verdict: dict[str, Any], draft: Any = "a fine draft") -> Score:
    chain = RefineChain(
        reviser=lambda request: request.draft,
        critics=[Criteria("fun", "short", judge=lambda _: verdict)],
        accept="score",
        include_rounds=True,
    )
    return refine(chain, draft).rounds[0].scores[0]


@pytest.mark.parametrize(
    ("criteria", "answer", "value"),
    [
        (Criteria("fun", "short", judge=lambda _: [5, 1]), (5, 1), 0.5),
        (Criteria("fun", judge=lambda _: 5), (5,), 1.0),
        (Criteria("fun", judge=lambda _: True), (), None),
        (Criteria("fun", judge=lambda _: 0.5), (), None),
        (Criteria("fun", judge=lambda _: True, scale="yes/no"), (True,), 1.0),
        (Criteria("fun", judge=lambda _: False, scale="yes/no"), (False,), 0.0),
        (Criteria("fun", "short", judge=lambda _: False, scale="yes/no"), (), None),
    ],
)
def test_a_judge_of_ones_own_may_give_bare_marks(
    criteria: Criteria, answer: tuple[Any, ...], value: float | None
) -> None:
    chain = RefineChain(
        reviser=lambda request: request.draft,
        critics=[criteria],
        accept="score",
        include_rounds=True,
    )
    score = refine(chain, "a draft").rounds[0].scores[0]
    assert (tuple(mark.mark for mark in score.marks), score.value) == (answer, value)


def test_each_mark_has_its_evidence() -> None:
    score = judged_with({"marks": [5, 2], "evidence": ["a  fine", ""]})
    assert [(m.criterion, m.mark, m.evidence) for m in score.marks] == [
        ("fun", 5, "a  fine"),
        ("short", 2, ""),
    ]


def test_evidence_that_is_not_in_the_draft_is_no_score() -> None:
    score = judged_with({"marks": [5, 5], "evidence": ["a fine", "a poor draft"]})
    assert (score.value, score.note) == (None, "quote")


@pytest.mark.parametrize(
    ("quote", "note"),
    [
        ('say "ahoy"\nat C:\\sea', ""),
        ('say \\"ahoy\\"', ""),
        ('"title": "say', ""),
        ("deep down", ""),
        ("ahoy deep", "quote"),
        ("a key", ""),
    ],
)
def test_of_an_object_texts_are_quoted_as_they_are_or_as_json(
    quote: str, note: str
) -> None:
    verdict = {"marks": [5], "evidence": [quote]}
    chain = RefineChain(
        reviser=lambda _: 7,
        critics=[Criteria("fun", judge=lambda _: verdict)],
        accept="score",
        include_rounds=True,
    )
    draft = {"title": 'say "ahoy"\nat C:\\sea', "lines": [{"a key": "deep down"}]}
    assert refine(chain, draft).rounds[0].scores[0].note == note


@pytest.mark.parametrize("evidence", [[], ["a fine"], ["a", "fine", "draft"]])
def test_evidence_may_be_left_out(evidence: list[str]) -> None:
    score = judged_with({"marks": [5, 3], "evidence": evidence})
    assert score.value == 0.75
    assert [mark.evidence for mark in score.marks] == [*evidence, "", ""][:2]


def test_a_number_may_come_with_words() -> None:
    score = verified(returning((0.5, "2 of 4 tests fail")))
    assert (score.value, score.feedback) == (0.5, "2 of 4 tests fail")
    assert verified(returning((1, "all pass"))).feedback == ""


def test_what_is_wrong_with_fields_is_told_field_by_field() -> None:
    score = verified(returning({"title": "too long", "price": None, "tags[0]": "odd"}))
    assert score.feedback == "title: too long; tags[0]: odd"
    assert score.fields == ("title", "tags[0]")


def test_a_validation_error_names_its_fields() -> None:
    score = verified(Product, '{"title": 1, "price": "x", "tags": [null]}')
    assert score.fields == ("/title", "/price", "/tags/0")


def test_a_verifier_may_have_a_name_and_a_weight() -> None:
    def half(_: str) -> float:
        return 0.5

    chain = RefineChain(
        reviser=lambda request: request.draft,
        critics=[half, Verifier(lambda _: True, name="is there", weight=3.0)],
        accept="verifier",
        include_rounds=True,
    )
    (first, *_) = refine(chain, "draft").rounds
    assert [score.critic for score in first.scores] == ["half", "is there"]
    assert first.score == (0.5 + 3.0) / 4


def test_an_unscored_verifier_keeps_its_weight() -> None:
    bound = as_verifier(Verifier(raising(KeyError()), weight=2.0))
    assert bound.unscored("late").weight == 2.0


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"name": " "}, "takes a name that is not empty, got ' '"),
        ({"weight": 0}, "takes a weight above 0, got 0"),
        ({"weight": math.inf}, "takes a weight above 0, got inf"),
        ({"check": Verifier(len)}, "takes a check, got a Verifier"),
        ({"check": "text"}, "takes a Runnable, a callable or a pydantic model"),
        ({"check": Criteria("fun")}, r"or a pydantic model, got Criteria\('fun'"),
    ],
)
def test_verifiers_that_cannot_work(kwargs: dict[str, Any], match: str) -> None:
    arguments: dict[str, Any] = {"check": len, **kwargs}
    with pytest.raises(ConfigurationError, match=match):
        Verifier(**arguments)


def test_a_verifier_says_what_it_is() -> None:
    assert repr(Verifier(len, name="size")) == (
        "Verifier(<built-in function len>, name='size', weight=1.0)"
    )


# --- verifiers that also get the input


def same_topic(draft: str, given: Any) -> Any:
    return given in draft or f"say something of {given}"


async def asame_topic(draft: str, given: Any) -> Any:
    return same_topic(draft, given)


class SameTopic:
    def __call__(self, draft: str, given: Any, strict: bool = True) -> Any:
        return same_topic(draft, given)


@pytest.mark.parametrize("check", [same_topic, asame_topic, SameTopic()])
async def test_a_verifier_of_two_arguments_also_gets_the_input(check: Any) -> None:
    crew = Cast(draft=lambda _: "of boats", revise=lambda _: {"revision": "of lamps"})
    for critic in (check, Verifier(check, name="topic")):
        chain = chain_of(crew.model(), critic)
        result = refine(chain, "lamps")
        assert result.best.content == "of lamps"
        assert result.rounds[0].scores[0].feedback == "say something of lamps"
        assert (await chain.ainvoke("lamps")).best.content == "of lamps"
        resumed = chain.resume(result.rounds[:1], task="lamps")
        assert resumed.best.content == "of lamps"


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda draft, given, more: more, r"or with two, .*\(draft, given, more\)"),
        (lambda: True, "a verifier is called with one argument, the draft"),
        (RunnableLambda(same_topic), "only a bare function can also take the input"),
        (RunnableLambda(asame_topic), r"asame_topic\(draft, given\) cannot be"),
        (RunnableLambda(str) | RunnableLambda(same_topic), "a verifier in a Runnable"),
    ],
)
def test_a_verifier_that_cannot_be_called_is_refused(check: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        as_verifier(check)
    with pytest.raises(ConfigurationError, match=message):
        Verifier(check, name="topic")


def test_without_a_generator_nobody_knows_what_a_draft_was_made_from() -> None:
    given: list[Any] = []

    def check(draft: str, made_from: Any) -> bool:
        given.append((draft, made_from))
        return True

    RefineChain(reviser=lambda _: "x", critics=[check]).invoke("a draft")
    assert given == [("a draft", None)]


async def test_a_verifier_may_take_langchains_config() -> None:
    def check(draft: str, config: RunnableConfig) -> bool:
        return draft == "draft" and "callbacks" in config

    async def acheck(draft: str, config: RunnableConfig) -> bool:
        return check(draft, config)

    for verifier in (check, acheck):
        assert verified(verifier).value == 1.0
        assert (await averified(verifier)).value == 1.0
    assert verified(len).note == "returned a number that is not from 0 to 1"
