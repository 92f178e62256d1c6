"""Judges, budgets, the ledger and errors."""

from typing import assert_type

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda

from langchain_prodpatterns import (
    Judge,
    Ledger,
    ProdPatternsError,
    YesNoVerdict,
    __version__,
    track,
)
from langchain_prodpatterns.errors import (
    BudgetSpent,
    ConfigurationError,
    JudgeError,
    JudgeFailureKind,
    MissingExtraError,
    StoreError,
    StoreUnavailable,
)
from langchain_prodpatterns.judging import (
    BoundJudge,
    JudgeFailure,
    JudgeLike,
    Judgement,
    JudgeRequest,
    QuoteOf,
    Verdict,
    is_language_model,
)
from langchain_prodpatterns.ledger import (
    DECISION_EVENT,
    DIRECT,
    Decision,
    LedgerRecord,
    LedgerSummary,
    areport,
    report,
)


class Pair(JudgeRequest):
    """Two texts to compare."""

    first: str
    second: str


class Closeness(Verdict):
    """How near they are."""

    score: int


def compared(llm: BaseChatModel, first: str, second: str) -> bool:
    judge = Judge(llm, "Do both say the same?")
    assert_type(judge, Judge[YesNoVerdict])
    return judge.invoke(Pair(first=first, second=second)).yes


async def measured(llm: BaseChatModel, pair: Pair) -> int:
    judge = Judge(llm, "How near are they?", Closeness, timeout=2.0)
    judgement: Judgement[Closeness] = await judge.aask(pair)
    failure: JudgeFailure | None = judgement.failure
    verdict = judgement.verdict
    return 0 if verdict is None else verdict.score + bool(failure)


def bound(given: JudgeLike, quote: QuoteOf) -> str:
    judge: BoundJudge[Pair, YesNoVerdict] | None = None
    return f"{is_language_model(given)} {quote} {judge}"


def booked(chain: Runnable[str, str]) -> list[str]:
    with track(prices={"small": (0.15, 0.6)}) as ledger:
        assert_type(ledger, Ledger)
        chain.invoke("Hello", {"callbacks": [Ledger()]})
    summary: LedgerSummary = ledger.summary()
    records: list[LedgerRecord] = ledger.to_records()
    told = [f"{each.pattern} {each.usd}" for each in records if each.pattern != DIRECT]
    ledger.to_jsonl("ledger.jsonl", append=True)
    page = Ledger.from_jsonl("ledger.jsonl").to_html()
    return [__version__, ledger.table(), str(summary), page, *told]


def rerank(text: str, config: RunnableConfig) -> str:
    report(Decision("rerank", "kept", saved_calls=1), config)
    return text


async def arerank(text: str, config: RunnableConfig) -> str:
    await areport(Decision("rerank", "kept", counts={"documents": 3}), config)
    return text


async def decisions(chain: Runnable[str, str]) -> list[str]:
    events = (RunnableLambda(rerank, arerank) | chain).astream_events("Hello")
    return [
        str(each["data"]) async for each in events if each["name"] == DECISION_EVENT
    ]


def caught(chain: Runnable[str, str]) -> str:
    try:
        return chain.invoke("Hello")
    except MissingExtraError as error:
        return error.extra
    except BudgetSpent as error:
        return error.limit
    except JudgeError as error:
        kind: JudgeFailureKind = error.kind
        return kind
    except (ConfigurationError, StoreUnavailable, StoreError, ProdPatternsError):
        return ""
