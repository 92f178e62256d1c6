"""Routing: no model call when one tool is clearly right.

`ToolRouter` compares a query with the descriptions and example utterances of tools.
Where one tool is near and no other is, it is chosen by distance; otherwise a fallback
model picks among the nearest few, or nothing is chosen. `fit` on labeled queries makes
of this a promise: a precision, with a certificate.
"""

from langchain_prodpatterns.routing.calling import RoutedCall
from langchain_prodpatterns.routing.decision import DecidedBy, RouteDecision
from langchain_prodpatterns.routing.fallback import RouteRequest, RouteVerdict
from langchain_prodpatterns.routing.reports import Evaluation, FitReport
from langchain_prodpatterns.routing.routes import Route
from langchain_prodpatterns.routing.tool_router import ToolRouter

__all__ = [
    "DecidedBy",
    "Evaluation",
    "FitReport",
    "Route",
    "RouteDecision",
    "RouteRequest",
    "RouteVerdict",
    "RoutedCall",
    "ToolRouter",
]
