"""The story: draft, criticize, revise, keep the best, stop for a stated reason."""

import json
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.exceptions import ModelRateLimitError
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel, ConfigDict, PlainSerializer
from pydantic.errors import PydanticInvalidForJsonSchema

from langchain_prodpatterns import Budget, track
from langchain_prodpatterns.errors import BudgetSpent, ConfigurationError
from langchain_prodpatterns.refine import (
    Criteria,
    RefineChain,
    RefineResult,
    RevisionRequest,
)
from langchain_prodpatterns.testing import Fault, ScriptedChatModel
from tests.unit_tests.refine.scripts import (
    Cast,
    Product,
    always_new,
    chain_of,
    number_in,
    refine,
)

FUN = Criteria("fun")


def rising(draft: str) -> list[int]:
    """Marks that rise with the number of the draft, up to 5."""
    return [min(5, 1 + number_in(draft))]


def at_least(number: int) -> Callable[[str], None]:
    def check(text: str) -> None:
        if number_in(text) < number:
            msg = f"must be at least {number}"
            raise ValueError(msg)

    return check


def one_of(cast: Cast, *critics: Any, **kwargs: Any) -> RefineResult:
    return refine(chain_of(cast.model(), *critics, **kwargs))


# --- the reasons to stop


def test_all_met_at_once_costs_a_draft_and_a_critique() -> None:
    cast = Cast(marks=lambda _: [5])
    result = one_of(cast, FUN)
    assert result.stop_reason == "all_met"
    assert cast.asked == ["draft", "judge"]
    assert [entry.number for entry in result.rounds] == [0]


def test_all_met_after_revisions() -> None:
    result = one_of(Cast(marks=rising), FUN, max_rounds=9)
    assert result.stop_reason == "all_met"
    assert result.best.content == "draft 4"
    assert [entry.score for entry in result.rounds] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert all(entry.accepted for entry in result.rounds)


def test_target_score() -> None:
    result = one_of(Cast(marks=rising), FUN, target_score=0.5)
    assert result.stop_reason == "target_score"
    assert result.best.content == "draft 2"


def test_unchanged() -> None:
    cast = Cast(revise=lambda texts: {"revision": texts["draft"] + " \n"})
    result = one_of(cast, FUN)
    assert result.stop_reason == "unchanged"
    assert cast.asked == ["draft", "judge", "revise"]
    assert result.rounds[1].scores == ()
    assert not result.rounds[1].accepted


def test_blanks_may_be_all_that_a_failing_verifier_wants_mended() -> None:
    def no_trailing_blanks(text: str) -> bool:
        return all(line == line.rstrip() for line in text.splitlines())

    cast = Cast(
        draft=lambda _: "x = 1  \ny = 2", revise=lambda _: {"revision": "x = 1\ny = 2"}
    )
    result = one_of(cast, no_trailing_blanks)
    assert result.stop_reason == "all_met"
    assert result.best.content == "x = 1\ny = 2"


def test_the_very_same_text_is_unchanged_where_a_verifier_fails() -> None:
    cast = Cast(revise=lambda texts: {"revision": texts["draft"]})
    result = one_of(cast, lambda _: "no")
    assert result.stop_reason == "unchanged"


def test_a_draft_that_was_rejected_before_is_unchanged_too() -> None:
    cast = Cast(revise=lambda _: {"revision": "worse 0"})
    result = one_of(cast, FUN, max_rounds=9)
    assert result.stop_reason == "unchanged"
    assert cast.asked.count("judge") == 2


def test_no_improvement() -> None:
    result = one_of(Cast(revise=always_new()), FUN, max_rounds=9)
    assert result.stop_reason == "no_improvement"
    assert result.best.content == "draft 0"
    assert len(result.rounds) == 3


def test_max_rounds() -> None:
    result = one_of(Cast(marks=rising), FUN, max_rounds=2)
    assert result.stop_reason == "max_rounds"
    assert result.best.content == "draft 2"


def test_budget() -> None:
    cast = Cast(marks=rising)
    result = one_of(cast, FUN, budget=Budget(calls=4))
    assert result.stop_reason == "budget"
    assert result.best.content == "draft 1"
    assert len(cast.asked) == 4


def test_reviser_that_raises() -> None:
    cast = Cast(revise=lambda _: Fault.server_error())
    result = one_of(cast, FUN)
    assert result.stop_reason == "reviser_failed"
    assert result.best.content == "draft 0"
    assert result.rounds[1].draft is None
    assert result.rounds[1].reason.startswith("the reviser raised ")


def test_reviser_that_gives_nothing_usable_twice() -> None:
    cast = Cast(revise=lambda _: "Here is the improved version: draft 1")
    result = one_of(cast, FUN, max_rounds=9)
    assert result.stop_reason == "reviser_failed"
    assert result.best.content == "draft 0"
    assert cast.asked == ["draft", "judge", "revise", "revise"]
    assert "improved" not in repr(result.rounds[1:])


def test_one_unusable_revision_is_not_the_end() -> None:
    replies: Iterator[Any] = iter(["Sorry!", {"revision": "draft 4"}])
    result = one_of(Cast(revise=lambda _: next(replies), marks=rising), FUN)
    assert result.stop_reason == "all_met"
    assert [entry.accepted for entry in result.rounds] == [True, False, True]


# --- the best, never the last


def test_the_best_is_returned_not_the_last() -> None:
    marks = {0: [2], 1: [4], 2: [1], 3: [3]}
    cast = Cast(revise=always_new(), marks=lambda draft: marks[number_in(draft)])
    result = one_of(cast, FUN)
    assert result.best.content == "draft 1"
    assert result.score == 0.75
    assert result.stop_reason == "no_improvement"


def test_the_reviser_works_on_the_best_and_sees_nothing_of_the_rejected() -> None:
    marks = {0: [3], 1: [1], 2: [1]}
    cast = Cast(revise=always_new(), marks=lambda draft: marks[number_in(draft)])
    model = cast.model()
    refine(chain_of(model, FUN))
    second = str(model.requests[4].messages)
    assert "draft 0" in second
    assert "draft 1" not in second


def test_prompts_do_not_grow_with_the_rounds() -> None:
    model = Cast(marks=lambda d: [1 + number_in(d) // 5]).model()
    result = refine(chain_of(model, FUN, max_rounds=9, accept="score"))
    sizes = {
        len(str(request.messages))
        for request in model.requests
        if "Revise the draft" in str(request.messages)
    }
    assert len(result.rounds) >= 2
    assert max(sizes) - min(sizes) <= 2


def test_a_failing_verifier_skips_the_judge() -> None:
    cast = Cast(marks=lambda _: [5])
    result = one_of(cast, FUN, at_least(1))
    assert cast.asked == ["draft", "revise", "judge"]
    assert result.stop_reason == "all_met"
    assert result.rounds[0].feedback == ("check: must be at least 1",)
    assert result.rounds[0].scores[1].note == "skipped: a verifier failed"
    assert result.rounds[1].reason == "better by verifier"


def test_the_feedback_reaches_the_reviser() -> None:
    seen: list[dict[str, str]] = []

    def revise(texts: dict[str, str]) -> Any:
        seen.append(texts)
        return {"revision": "draft 1"}

    one_of(Cast(revise=revise), at_least(1))
    told = {"task": "write", "draft": "draft 0"}
    assert seen == [{**told, "feedback": "- check: must be at least 1"}]


def test_weights_of_several_critics() -> None:
    heavy = Criteria("fun", weight=3, judge=lambda _: {"marks": [5]})
    light = Criteria("brief", weight=1, judge=lambda _: {"marks": [1]})
    result = one_of(Cast(), heavy, light, target_score=0.75)
    assert result.stop_reason == "target_score"
    assert result.score == 0.75


# --- critics that are broken


@pytest.mark.parametrize("raw", [Fault.server_error(), "great!", [9], [True], [3, 3]])
def test_a_broken_critic_neither_crashes_nor_accepts(raw: Any) -> None:
    cast = Cast(marks=lambda _: raw, revise=always_new())
    result = one_of(cast, FUN, max_rounds=9)
    assert result.stop_reason == "no_improvement"
    assert result.best.content == "draft 0"
    assert {entry.score for entry in result.rounds} == {None}


def test_a_critic_that_recovers_is_asked_again_before_the_revision() -> None:
    marks: Iterator[Any] = iter(["?", "?", [2], [5]])
    cast = Cast(marks=lambda _: next(marks))
    model = cast.model()
    result = refine(chain_of(model, FUN))
    assert [entry.score for entry in result.rounds] == [0.25, 1.0]
    assert cast.asked == ["draft", "judge", "judge", "judge", "revise", "judge"]
    assert result.rounds[0].feedback == ("fun: 2 of 5. go on",)
    assert result.rounds[0].usage.calls == 4
    assert result.usage.calls == model.calls


def test_a_critic_is_asked_again_only_once() -> None:
    asked: list[str] = []

    def down(text: str) -> bool:
        asked.append(text)
        raise ConnectionError

    cast = Cast(revise=always_new())
    result = one_of(cast, down, lambda text: f"not {text}", max_rounds=9)
    assert result.stop_reason == "no_improvement"
    assert asked.count("draft 0") == 2


def test_full_marks_at_the_second_asking_need_no_revision() -> None:
    answers: Iterator[Any] = iter(["?", "?", [5]])
    cast = Cast(marks=lambda _: next(answers))
    result = one_of(cast, FUN)
    assert result.stop_reason == "all_met"
    assert "revise" not in cast.asked
    assert len(result.rounds) == 1


@pytest.mark.parametrize("accept", ["verifier>score", "verifier>pairwise>score"])
def test_a_verifier_that_was_down_on_the_best_decides_nothing(accept: str) -> None:
    """It stays down for the first draft, which is the better one."""

    def down_at_first(text: str) -> bool:
        if not number_in(text):
            raise ConnectionError
        return True

    cast = Cast(
        marks=lambda draft: [1] if number_in(draft) else [4],
        better=lambda first, _: "second" if number_in(first) else "first",
    )
    result = one_of(cast, down_at_first, FUN, accept=accept, max_rounds=1)
    assert result.best.content == "draft 0"
    assert result.rounds[1].reason.startswith("worse by ")


def test_a_judge_that_was_down_on_the_best_makes_no_revision_better() -> None:
    cast = Cast(
        marks=lambda draft: [2] if number_in(draft) else "garbled",
        better=lambda *_: "garbled too",
    )
    result = one_of(cast, FUN, accept="verifier>pairwise>score", max_rounds=1)
    assert result.best.content == "draft 0"
    assert result.rounds[1].reason == "no test shows it to be better"


def test_a_verifier_that_breaks_on_the_revision_keeps_the_best() -> None:
    def breaks(text: str) -> bool:
        if number_in(text):
            raise RuntimeError
        return False

    result = one_of(Cast(marks=rising), breaks, max_rounds=1)
    assert result.best.content == "draft 0"
    assert result.rounds[1].reason == "worse by verifier"


# --- nothing raises after the first draft


class Speechless(ValueError):
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError


def speechless(_: Any) -> None:
    raise Speechless


@pytest.mark.parametrize("check", [lambda _: np.array([True, False]), speechless])
async def test_an_answer_that_cannot_be_read_is_unscored(check: Any) -> None:
    chain = chain_of(Cast(revise=always_new()).model(), check)
    with track() as ledger:
        results = [refine(chain), await chain.ainvoke("write")]
    for result in results:
        assert result.stop_reason == "no_improvement"
        assert result.best.content == "draft 0"
    decided = [entry.decision for entry in ledger.to_records()]
    assert decided == ["no_improvement"] * 2


class WithoutSchema:
    """Marks a field that no JSON Schema can describe."""

    def __get_pydantic_json_schema__(self, *_: Any) -> Any:
        msg = "no schema"
        raise PydanticInvalidForJsonSchema(msg)


class Matrix(BaseModel):
    """A type that has JSON, but no JSON Schema."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    title: str
    cells: Annotated[Any, PlainSerializer(list), WithoutSchema()]


def test_a_type_without_a_schema_is_revised_by_its_keys() -> None:
    def revise(texts: dict[str, str]) -> Any:
        return json.loads(texts["draft"]) | {"title": "better"}

    model = Cast(revise=revise).model()
    cells = np.zeros(2)
    chain = RefineChain(reviser=model, critics=[lambda m: m.title == "better"])
    better = chain.invoke(Matrix(title="x", cells=cells))
    assert better.title == "better"
    assert better.cells is cells
    assert "with the keys and the types" in str(model.requests[0].messages)


def test_a_reviser_that_cannot_even_be_asked_has_failed() -> None:
    class Odd(Product):
        @classmethod
        def model_json_schema(cls, *_: Any, **__: Any) -> Any:
            raise RuntimeError

    chain = RefineChain(
        reviser=Cast().model(), critics=[lambda _: "no"], include_rounds=True
    )
    draft = Odd(title="a", price=1)
    result = refine(chain, draft)
    assert result.stop_reason == "reviser_failed"
    assert result.best is draft
    assert result.rounds[1].reason == "the reviser raised RuntimeError"


# --- the first draft


@pytest.mark.parametrize("fault", [Fault.rate_limit()])
async def test_only_the_first_draft_may_raise(fault: Fault) -> None:
    chain = chain_of(Cast(draft=lambda _: fault).model(), FUN)
    with track() as ledger:
        with pytest.raises(ModelRateLimitError):
            chain.invoke("write")
        with pytest.raises(ModelRateLimitError):
            await chain.ainvoke("write")
    assert [entry.decision for entry in ledger.to_records()] == ["failed"] * 2


def test_a_first_draft_of_no_use_raises() -> None:
    chain = chain_of(RunnableLambda(lambda _: 7), at_least(1), reviser=Cast().model())
    with pytest.raises(TypeError, match="got int"):
        chain.invoke("write")


def test_what_a_generator_raises_keeps_its_cause() -> None:
    def broken(_: Any) -> str:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise RuntimeError("outer") from error

    chain = chain_of(RunnableLambda(broken), at_least(1), reviser=Cast().model())
    with pytest.raises(RuntimeError) as caught:
        chain.invoke("write")
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_budget_without_room_for_the_first_draft_raises() -> None:
    chain = chain_of(Cast().model(), FUN, budget=Budget(seconds=1e-9))
    with pytest.raises(BudgetSpent):
        chain.invoke("write")


# --- inputs and types


@pytest.mark.parametrize(
    "value",
    [
        "write",
        [HumanMessage("write")],
        ChatPromptTemplate.from_messages([("human", "write")]).invoke({}),
    ],
)
def test_the_generator_takes_what_it_takes(value: Any) -> None:
    model = Cast(marks=lambda _: [5]).model()
    assert refine(chain_of(model, FUN), value).best.content == "draft 0"
    assert "write" in str(model.requests[0].messages)


def test_a_chain_over_a_dict_as_generator() -> None:
    model = Cast(draft=lambda r: r.user_text, marks=lambda _: [5]).model()
    prompt = ChatPromptTemplate.from_template("About {topic}: 0")
    chain = chain_of(prompt | model, FUN, reviser=model)
    result = refine(chain, {"topic": "bikes"})
    assert result.best.content == "About bikes: 0"
    assert "topic: bikes" in str(model.requests[1].messages)


def test_without_a_generator_the_input_is_the_draft() -> None:
    model = Cast(marks=rising).model()
    chain = RefineChain(reviser=model, critics=[FUN], accept="score", max_rounds=1)
    assert chain.invoke("draft 3") == "draft 4"
    assert chain.invoke(AIMessage("draft 3")).content == "draft 4"


def test_a_best_that_is_the_input_is_that_very_object() -> None:
    chain = RefineChain(reviser=Cast(marks=lambda _: [5]).model(), critics=[FUN])
    message = AIMessage("draft 0", id="own")
    assert chain.invoke(message) is message


def test_after_a_model_in_a_pipe() -> None:
    cast = Cast(marks=rising)
    model = cast.model()
    prompt = ChatPromptTemplate.from_template("write {topic}")
    chain = prompt | model | RefineChain(reviser=model, critics=[FUN], accept="score")
    assert chain.invoke({"topic": "x"}).content == "draft 3"
    streamed = list(chain.stream({"topic": "x"}))
    assert [chunk.content for chunk in streamed] == ["draft 3"]
    assert type(streamed[0]) is AIMessage


def test_a_pydantic_draft_is_revised_as_an_object() -> None:
    def cheap(product: Product) -> None:
        if product.price > 2:
            raise ValueError("too expensive")

    model = Cast(revise=lambda _: {"title": "Lamp", "price": 1}).model()
    chain = RefineChain(reviser=model, critics=[cheap])
    product = Product(title="Lamp", price=9)
    assert chain.invoke(product) == Product(title="Lamp", price=1)
    assert product.price == 9


def test_a_dict_draft_stays_a_dict_of_its_shape() -> None:
    answers: Iterator[Any] = iter([{"price": "one"}, {"price": 1}])
    model = Cast(revise=lambda _: next(answers)).model()
    chain = RefineChain(
        reviser=model, critics=[lambda d: d["price"] < 2], include_rounds=True
    )
    result = refine(chain, {"price": 9})
    assert result.best == {"price": 1}
    assert "another shape at 'draft.price'" in result.rounds[1].reason


def test_a_validator_that_raises_anything_is_no_crash() -> None:
    class Odd(Product):
        def model_post_init(self, context: Any, /) -> None:
            if self.price == 0:
                raise RuntimeError("secret")

    model = Cast(revise=lambda _: {"title": "a", "price": 0}).model()
    chain = RefineChain(
        reviser=model, critics=[lambda _: "no"], max_rounds=1, include_rounds=True
    )
    result = refine(chain, Odd(title="a", price=1))
    assert result.rounds[1].reason == "no usable revision: RuntimeError"


def test_an_own_reviser_gets_a_request_and_gives_the_draft() -> None:
    asked: list[RevisionRequest] = []

    def revise(request: RevisionRequest) -> str:
        asked.append(request)
        return "draft 1"

    chain = RefineChain(
        Cast().model(), reviser=revise, critics=[at_least(1)], include_rounds=True
    )
    assert refine(chain).best.content == "draft 1"
    feedback = ("check: must be at least 1",)
    assert asked == [RevisionRequest(task="write", draft="draft 0", feedback=feedback)]


def test_halves_of_surrogate_pairs_are_no_crash() -> None:
    cast = Cast(draft=lambda _: "draft 0", revise=lambda _: '{"revision": "1 \\ud800"}')
    result = one_of(cast, FUN, lambda text: f"not \ud800 {text}")
    assert result.stop_reason == "reviser_failed"
    own = chain_of(Cast().model(), lambda text: text, reviser=lambda _: "1 \ud800")
    assert refine(own).rounds[1].feedback == ("<lambda>: 1 ?",)


# --- accounts


def test_rounds_add_up_to_what_the_model_counts() -> None:
    model = Cast(marks=rising).model()
    result = refine(chain_of(model, FUN, accept="verifier>pairwise>score"))
    assert result.usage.calls == model.calls
    assert result.usage.input_tokens == model.input_tokens
    assert result.usage.output_tokens == model.output_tokens
    assert sum(entry.usage.calls for entry in result.rounds) == model.calls
    assert all(entry.seconds > 0 for entry in result.rounds)


def test_the_ledger_has_one_decision_with_all_calls() -> None:
    model = Cast(marks=rising).model()
    with track() as ledger:
        refine(chain_of(model, FUN))
    (record,) = ledger.to_records()
    assert record.pattern == "refine"
    assert record.decision == "max_rounds"
    assert record.reason == "revision 3 is the best after 3 revisions"
    assert ledger.summary().calls == model.calls
    (decision,) = ledger._books().decisions.values()
    assert decision.counts == {"rounds": 3}


def test_fields_that_are_replaced_count() -> None:
    chain = chain_of(Cast().model(), lambda _: True)
    copied = chain.model_copy(update={"critics": (lambda _: "never",)})
    assert refine(copied).stop_reason == "unchanged"
    assert refine(chain).stop_reason == "all_met"


def test_verifiers_of_one_name_are_told_apart() -> None:
    chain = chain_of(Cast().model(), lambda _: "too long", lambda _: "no title")
    expected = ("<lambda> 1: too long", "<lambda> 2: no title")
    assert refine(chain).rounds[0].feedback == expected


def test_a_verifier_cannot_change_the_draft() -> None:
    def greedy(product: Any) -> str:
        product["tags"].clear()
        return "no"

    given = {"tags": ["a"]}
    chain = RefineChain(reviser=lambda request: {"tags": ["b"]}, critics=[greedy])
    assert chain.invoke(given) == {"tags": ["a"]}
    assert given == {"tags": ["a"]}


def test_results_do_not_change() -> None:
    result = one_of(Cast(), FUN)
    with pytest.raises(AttributeError):
        result.best = "x"  # type: ignore[misc]  # that is what is shown
    with pytest.raises(AttributeError):
        result.rounds[0].accepted = False  # type: ignore[misc]  # that is what is shown


# --- sync and async are one


@settings(max_examples=30, deadline=None)
@given(
    marks=st.lists(
        st.sampled_from([[1], [3], [4], [5], "garbled"]), min_size=12, max_size=12
    ),
    accept=st.sampled_from(["verifier>pairwise>score", "verifier>score", "score"]),
    calls=st.none() | st.integers(1, 12),
    rounds=st.integers(1, 4),
)
async def test_async_tells_the_same_story(
    marks: list[Any], accept: str, calls: int | None, rounds: int
) -> None:
    def chain() -> RefineChain:
        cast = Cast(marks=lambda draft: marks[min(number_in(draft), 11)])
        budget = None if calls is None else Budget(calls=calls)
        return chain_of(
            cast.model(), FUN, accept=accept, max_rounds=rounds, budget=budget
        )

    def told(result: RefineResult) -> Any:
        rounds = [(e.number, e.accepted, e.reason, e.scores) for e in result.rounds]
        return result.best.content, result.stop_reason, result.usage.calls, rounds

    sync_result = refine(chain())
    async_result = await chain().ainvoke("write")
    assert told(sync_result) == told(async_result)


# --- what cannot work is refused


async def _of_two(draft: Any, said: Any) -> Any:
    return draft, said


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"critics": []}, "at least one critic"),
        ({"critics": "fun"}, "must be a list"),
        ({"critics": FUN}, "must be a list"),
        ({"critics": ["fun"]}, "a critic is Criteria"),
        ({"max_rounds": 0}, "at least 1"),
        ({"max_rounds": 2.0}, "whole number"),
        ({"max_rounds": True}, "whole number"),
        ({"target_score": 0}, "target_score"),
        ({"target_score": 1.1}, "target_score"),
        ({"target_score": True}, "target_score"),
        ({"accept": "best"}, "accept must be"),
        ({"accept": "verifier"}, "accept='verifier' can accept nothing"),
        ({"accept": "pairwise", "critics": [at_least(1)]}, "can accept nothing"),
        ({"reviser": 7}, "reviser must be"),
        ({"modes": "prompt"}, "no argument 'modes'"),
        ({"candidates": 0}, "candidates must be a whole number, at least 1"),
        ({"patience": 0}, "patience must be a whole number, at least 1"),
        ({"failed_ideas": -1}, "failed_ideas must be a whole number, at least 0"),
        ({"temperatures": (0.1,), "candidates": 2}, r"one number .* \(2\)"),
        ({"temperatures": ("hot",)}, "temperatures must hold"),
        ({"checkpoint": "file"}, "checkpoint must be a callable"),
        ({"checkpoint": lambda: None}, "checkpoint is called with one argument"),
        ({"reviser": lambda draft, said: (draft, said)}, "the reviser is called with"),
        ({"reviser": _of_two}, "the reviser is called with one argument"),
        ({"critics": [Criteria]}, "critics holds the class Criteria"),
        (
            {
                "generator": RunnableLambda(str),
                "reviser": lambda _: "y",
                "critics": [at_least(1)],
                "temperatures": (0.5,),
            },
            "are for chat models, and neither the generator nor the reviser is one",
        ),
    ],
)
def test_arguments_that_cannot_work(kwargs: dict[str, Any], match: str) -> None:
    arguments: dict[str, Any] = {"generator": Cast().model(), "critics": [FUN]}
    with pytest.raises(ConfigurationError, match=match):
        RefineChain(**{**arguments, **kwargs})


def test_without_a_generator_a_reviser_is_needed() -> None:
    with pytest.raises(ConfigurationError, match="needs a reviser: reviser=llm"):
        RefineChain(critics=[FUN])


def test_a_chain_does_not_revise_by_itself() -> None:
    chain = ChatPromptTemplate.from_template("{x}") | Cast().model()
    with pytest.raises(ConfigurationError, match="reviser=llm"):
        RefineChain(chain, critics=[at_least(1)])


def test_criteria_need_a_model() -> None:
    with pytest.raises(ConfigurationError, match="no model to judge it"):
        RefineChain(reviser=lambda request: request.draft, critics=[FUN])


def test_a_generator_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="generator must be"):
        RefineChain(7, critics=[FUN])  # type: ignore[arg-type]  # that is what is shown


def test_bound_arguments_go_to_the_generator() -> None:
    model = Cast(marks=lambda _: [5]).model()
    chain = RefineChain(model, critics=[FUN]).bind(temperature=0.5)
    chain.invoke("write")
    assert model.requests[0].params["temperature"] == 0.5
    assert "temperature" not in model.requests[1].params
    chain = RefineChain(reviser=model, critics=[FUN]).bind(temperature=0.5)
    with pytest.raises(TypeError, match="'temperature'"):
        chain.invoke("draft 0")


def test_a_scripted_json_reply_is_what_the_model_is_asked_for() -> None:
    model = ScriptedChatModel(replies=["draft 0", json.dumps({"revision": "draft 1"})])
    chain = RefineChain(model, critics=[at_least(1)])
    assert chain.invoke("write").content == "draft 1"


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"budget": 5}, "budget must be a Budget.* got 5"),
        ({"budget": {"calls": 2}}, "budget must be a Budget"),
        ({"accept": None}, "accept must be .* got None"),
    ],
)
def test_arguments_of_another_type_are_named(
    arguments: dict[str, Any], match: str
) -> None:
    with pytest.raises(ConfigurationError, match=match):
        RefineChain(ScriptedChatModel(), critics=[bool], **arguments)
