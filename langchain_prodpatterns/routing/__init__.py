"""Routing: no model call when one tool is clearly right.

`ToolRouter` compares a query with the descriptions and example utterances of tools.
Where one tool is near and no other is, it is chosen by distance; otherwise a fallback
model picks among the nearest few, or nothing is chosen.
"""

from langchain_prodpatterns.routing.calling import RoutedCall
from langchain_prodpatterns.routing.decision import DecidedBy, RouteDecision
from langchain_prodpatterns.routing.fallback import RouteRequest, RouteVerdict
from langchain_prodpatterns.routing.routes import Route
from langchain_prodpatterns.routing.tool_router import ToolRouter

__all__ = [
    "DecidedBy",
    "Route",
    "RouteDecision",
    "RouteRequest",
    "RouteVerdict",
    "RoutedCall",
    "ToolRouter",
]
