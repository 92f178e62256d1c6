"""A prompt refined on a set of inputs, and kept by others that no edit has seen."""

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda

from langchain_prodpatterns import Budget, track
from langchain_prodpatterns.refine import (
    Criteria,
    PromptRefineResult,
    PromptRound,
    RefineChain,
)
from langchain_prodpatterns.refine.prompt_results import worth
from langchain_prodpatterns.refine.results import Score
from langchain_prodpatterns.testing import Fault, ScriptedChatModel, ScriptedRequest
from tests.unit_tests.refine.scripts import sections

TEN = [{"text": f"input {number}"} for number in range(10)]
PROMPT = ChatPromptTemplate([("system", "Level 0."), ("human", "{text}")])


def level_in(text: str) -> int:
    """How good a prompt is, by what it says itself."""
    return int(text.split("Level ")[1].split(".", maxsplit=1)[0])


@dataclass
class Crew:
    """A model that answers as well as the level of its prompt, and edits prompts."""

    edit: Callable[[str], Any] = lambda shown: edit_to(level_in(shown) + 1)
    quality: Callable[[int, str], float] = lambda level, _: min(1.0, level / 4)
    asked: list[str] = field(default_factory=list)

    def model(self) -> ScriptedChatModel:
        return ScriptedChatModel(respond=self.respond)

    def respond(self, request: ScriptedRequest) -> Any:
        if "Edit the prompt" in request.prompt_text:
            self.asked.append("edit")
            return self.edit(sections(request)["prompt"])
        self.asked.append("run")
        text = request.user_text
        return f"quality {self.quality(level_in(request.prompt_text), text)}"


def edit_to(level: int) -> str:
    return json.dumps({"messages": [{"index": 0, "template": f"Level {level}."}]})


def quality(text: str) -> float:
    if "broken" in text:
        raise RuntimeError
    return float(text.split()[1])


def chain_for(model: Runnable[Any, Any], *critics: Any, **kwargs: Any) -> RefineChain:
    kwargs.setdefault("inputs", TEN)
    return RefineChain(
        model,
        critics=critics or [quality],
        mode="prompt",
        include_rounds=True,
        **kwargs,
    )


def run(chain: RefineChain, prompt: Any = PROMPT) -> PromptRefineResult:
    result = chain.invoke(prompt)
    assert isinstance(result, PromptRefineResult)
    return result


def level_of(prompt: ChatPromptTemplate) -> int:
    return level_in(str(prompt.invoke({"text": ""}).to_messages()[0].content))


def test_a_better_prompt_replaces_the_best() -> None:
    crew = Crew()
    model = crew.model()
    with track() as ledger:
        result = run(chain_for(model, max_rounds=2))
    assert level_of(result.best) == 2
    assert result.best.input_variables == ["text"]
    assert result.score == 0.5
    assert result.stop_reason == "max_rounds"
    assert [(r.number, r.score, r.held_out, r.accepted) for r in result.rounds] == [
        (0, 0.0, 0.0, True),
        (1, 0.25, 0.25, True),
        (2, 0.5, 0.5, True),
    ]
    assert [r.reason for r in result.rounds] == [
        "given",
        *["better on the held-out inputs"] * 2,
    ]
    assert result.usage.calls == len(model.requests) == ledger.summary().calls
    assert crew.asked.count("edit") == 2


async def test_async_and_streams_alike() -> None:
    chain = chain_for(Crew().model(), max_rounds=2)
    result = await chain.ainvoke(PROMPT)
    assert level_of(result.best) == 2
    *rounds, last = [each async for each in chain.astream(PROMPT)]
    assert tuple(rounds) == last.rounds
    assert all(isinstance(entry, PromptRound) for entry in rounds)
    plain = RefineChain(
        Crew().model(), critics=[quality], mode="prompt", inputs=TEN, max_rounds=1
    )
    (prompt,) = plain.stream(PROMPT)
    assert isinstance(prompt, ChatPromptTemplate)
    assert level_of(prompt) == 1


def test_what_is_better_by_heart_only_is_not_taken() -> None:
    """Edits that learn the inputs they were made from do no better on others."""
    held = {each["text"] for each in TEN[7:]}
    levels = itertools.count(1)
    crew = Crew(
        edit=lambda _: edit_to(next(levels)),
        quality=lambda level, text: 0.5 if text in held else min(1, level / 2),
    )
    result = run(chain_for(crew.model(), inputs=TEN[:7], held_out=TEN[7:]))
    assert level_of(result.best) == 0
    assert result.stop_reason == "no_improvement"
    assert result.rounds[1].reason == "no better on the held-out inputs"
    assert result.rounds[1].score == 0.5


def test_what_is_no_better_is_not_run_on_held_out_inputs() -> None:
    crew = Crew(quality=lambda *_: 0.5)
    result = run(chain_for(crew.model()))
    assert [r.held_out for r in result.rounds] == [0.5, None, None]
    assert result.rounds[1].reason == "no better on the inputs that it was made from"


def test_it_stops_when_all_is_met_or_the_target_is_reached() -> None:
    assert run(chain_for(Crew(quality=lambda *_: 1.0).model())).stop_reason == "all_met"
    crew = Crew()
    result = run(chain_for(crew.model(), target_score=0.5, max_rounds=9))
    assert (result.stop_reason, level_of(result.best)) == ("target_score", 2)


@pytest.mark.parametrize(
    ("reply", "reason", "stop"),
    [
        ("no json", "no usable edit: the revision is not JSON", "reviser_failed"),
        (
            json.dumps({"messages": [{"index": 1, "template": "{words}"}]}),
            "no usable edit: the edit changes the variables: text",
            "reviser_failed",
        ),
        (edit_to(0), "unchanged from an earlier prompt", "unchanged"),
        (Fault.server_error(), "the reviser raised ", "reviser_failed"),
    ],
)
def test_edits_that_are_none_leave_the_best(reply: Any, reason: str, stop: str) -> None:
    result = run(chain_for(Crew(edit=lambda _: reply).model()))
    assert result.stop_reason == stop
    assert level_of(result.best) == 0
    assert result.rounds[1].reason.startswith(reason)
    assert result.rounds[1].prompt is None or stop == "unchanged"


def test_several_edits_are_tried_at_once() -> None:
    levels = itertools.count(1)
    crew = Crew(edit=lambda _: edit_to(next(levels)))
    result = run(chain_for(crew.model(), candidates=3, max_rounds=1))
    assert level_of(result.best) == 3
    assert len(result.rounds) == 4
    assert sum(entry.accepted for entry in result.rounds[1:]) == 1
    assert sorted(entry.candidate for entry in result.rounds[1:]) == [0, 1, 2]
    assert crew.asked.count("run") == 10 + 3 * 7 + 3


def test_an_input_that_fails_is_unscored_and_never_a_zero() -> None:
    def respond(level: int, text: str) -> Any:
        return min(1.0, level / 4) if text != "input 3" else "broken"

    crew = Crew(quality=respond)
    result = run(chain_for(crew.model(), max_rounds=1))
    assert level_of(result.best) == 1
    assert {result.rounds[1].score, result.rounds[1].held_out} == {0.25}


def test_a_generator_that_always_fails_gives_the_prompt_back() -> None:
    def fail(_: Any) -> str:
        raise ConnectionError

    model = Crew().model()
    result = run(chain_for(RunnableLambda(fail), reviser=model, max_rounds=1))
    assert result.best == PROMPT
    assert result.score is None


def test_any_runnable_may_be_the_generator() -> None:
    crew = Crew()
    model = crew.model()
    chain = chain_for(model | StrOutputParser(), reviser=model, max_rounds=1)
    assert level_of(run(chain).best) == 1


def test_criteria_judge_outputs_for_the_filled_in_prompt() -> None:
    tasks: list[str] = []

    def judge(request: Any) -> Any:
        tasks.append(request.task)
        return {"marks": [1 + round(4 * quality(request.draft))]}

    run(chain_for(Crew().model(), Criteria("fine", judge=judge), max_rounds=1))
    assert "system: Level 0.\n\nhuman: input 0" in tasks


def test_the_editor_sees_the_worst_outputs_as_data_of_bounded_size() -> None:
    crew = Crew(quality=lambda _, text: int(text.split()[1]) / 10)
    model = crew.model()
    long = [{"text": f"input {number} {'x' * 5_000}"} for number in range(10)]
    run(chain_for(model, inputs=long, max_rounds=1))
    (asked,) = [
        ScriptedRequest("", record.messages, record.params)
        for record in model.requests
        if "Edit the prompt" in str(record.messages)
    ]
    found = sections(asked)
    assert [name for name in found if name.startswith("output")] == [
        "output_1",
        "output_2",
        "output_3",
    ]
    values = [quality(found[f"output_{at}"]) for at in (1, 2, 3)]
    assert values == sorted(values)
    assert "quality 0.9" not in asked.prompt_text
    assert len(asked.prompt_text) < 12_000
    assert "Level 0" not in str(asked.messages[0]["content"])


def test_an_input_without_a_variable_is_refused_before_any_call() -> None:
    model = Crew().model()
    chain = chain_for(model, inputs=[{"text": "a"}, {"txt": "b"}, {"text": "c"}])
    with pytest.raises(ValueError, match="lacks text; it has txt"):
        chain.invoke(PROMPT)
    assert not model.requests


def test_what_is_no_prompt_is_refused() -> None:
    with pytest.raises(TypeError, match="give it the template itself"):
        chain_for(Crew().model()).invoke(PROMPT.invoke({"text": "a"}))


def test_rounds_are_kept_by_a_checkpoint() -> None:
    kept: list[PromptRound] = []
    result = run(chain_for(Crew().model(), checkpoint=kept.append, max_rounds=1))
    assert tuple(kept) == result.rounds


@settings(max_examples=30, deadline=None)
@given(
    calls=st.integers(1, 60), attempts=st.integers(1, 6), candidates=st.integers(1, 3)
)
def test_no_budget_is_overshot_and_the_best_is_returned(
    calls: int, attempts: int, candidates: int
) -> None:
    levels = itertools.count(1)
    crew = Crew(edit=lambda _: edit_to(next(levels) % 5))
    model = crew.model()
    budget = Budget(calls=calls, attempts=attempts)
    result = run(chain_for(model, budget=budget, candidates=candidates, max_rounds=4))
    assert len(model.requests) <= calls
    assert crew.asked.count("edit") <= attempts - 1
    accepted = [entry for entry in result.rounds if entry.accepted]
    assert result.best == accepted[-1].prompt
    scores = [entry.held_out for entry in accepted if entry.held_out is not None]
    assert scores == sorted(scores)
    if calls < 10:
        assert result.stop_reason == "budget"


@pytest.mark.parametrize(
    ("scores", "value"),
    [
        ([("verifier", 0.5)], 0.5),
        ([("criteria", 0.5)], 0.5),
        ([("verifier", 1.0), ("criteria", 0.5)], 0.75),
        ([("verifier", 0.5), ("criteria", None)], 0.25),
        ([("verifier", 1.0), ("criteria", None)], None),
        ([("verifier", None), ("criteria", 1.0)], None),
        ([("criteria", None)], None),
    ],
)
def test_what_an_output_is_worth(scores: Any, value: float | None) -> None:
    assert worth(tuple(Score("c", kind, v) for kind, v in scores)) == value
