"""Tools chosen by distance, and what was learned of it."""

from typing import assert_type

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.tools import tool

from langchain_prodpatterns import Route, RouteDecision, ToolRouter
from langchain_prodpatterns.routing import (
    DecidedBy,
    Evaluation,
    FitReport,
    RoutedCall,
    RouteRequest,
    RouteVerdict,
)


@tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"Sunny in {city}"


def pick(request: RouteRequest) -> RouteVerdict:
    return RouteVerdict(choice=request.tools[0])


def decided(embeddings: Embeddings) -> tuple[str | None, DecidedBy]:
    refunds = Route("refunds", "Money back", examples=("I want my money back",))
    router = ToolRouter([weather, refunds], embeddings, precision=0.97, fallback=pick)
    decision = router.invoke("Will it rain?")
    assert_type(decision, RouteDecision)
    return decision.tool, decision.decided_by


def fitted(embeddings: Embeddings, rows: list[tuple[str, str | None]]) -> str:
    router = ToolRouter([weather], embeddings, learn=True)
    report: FitReport = router.fit(rows)
    measured: Evaluation = router.evaluate(rows)
    router.save("router.json")
    return f"{report.obstacle} {measured.precision}"


def called(router: ToolRouter, llm: BaseChatModel) -> bool:
    call: RoutedCall = router.call("Will it rain?")
    llm.invoke([*call.messages])
    return call.ran
