"""Drafts that are criticized and revised."""

from langchain_core.language_models import BaseChatModel
from langchain_core.prompts import ChatPromptTemplate

from langchain_prodpatterns import Budget, Criteria, RefineChain
from langchain_prodpatterns.refine import (
    Checks,
    CriteriaRequest,
    CriterionMark,
    Marks,
    PromptRefineResult,
    PromptRound,
    RefineResult,
    RefineRound,
    RevisionRequest,
    Score,
    StopReason,
    Verifier,
    dump_round,
    load_round,
)


def rule(request: CriteriaRequest) -> Checks:
    return Checks(marks=("bike" in request.draft, True))


def generous(request: CriteriaRequest) -> Marks:
    return Marks(marks=(5,), feedback=f"{request.task} is done")


def shorten(request: RevisionRequest) -> str:
    return request.draft[:280]


def tweet(llm: BaseChatModel) -> tuple[str, StopReason]:
    kept: list[RefineRound] = []
    refine = RefineChain(
        llm,
        critics=[
            Criteria("engaging", "names the product", scale="yes/no", judge=rule),
            Verifier(lambda text: len(text) <= 280, name="length"),
        ],
        reviser=shorten,
        target_score=0.9,
        budget=Budget(calls=12),
        checkpoint=kept.append,
        include_rounds=True,
    )
    prompt = ChatPromptTemplate.from_template("A tweet about {product}")
    result = (prompt | refine).invoke({"product": "bikes"})
    assert isinstance(result, RefineResult)
    return str(result.best), result.stop_reason


def resumed(refine: RefineChain, lines: list[str]) -> list[str]:
    rounds = [load_round(line) for line in lines]
    refine.resume(rounds, task="A tweet")
    return [dump_round(entry) for entry in rounds]


def explained(entry: RefineRound) -> dict[str, float | None]:
    scores: tuple[Score, ...] = tuple(entry.scores)
    marks: list[CriterionMark] = [mark for score in scores for mark in score.marks]
    return {score.critic: score.value for score in scores if marks}


def better_prompt(llm: BaseChatModel, examples: list[dict[str, str]]) -> str:
    refine = RefineChain(
        llm,
        critics=[Criteria("polite", judge=generous)],
        mode="prompt",
        inputs=examples,
    )
    result = refine.invoke(ChatPromptTemplate.from_template("Answer {question}"))
    assert isinstance(result, PromptRefineResult)
    rounds: tuple[PromptRound, ...] = tuple(result.rounds)
    return f"{result.best} after {len(rounds)}"
