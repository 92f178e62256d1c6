"""Patterns of teams who run LLMs in production, as LangChain Runnables.

The names below are imported when they are first used, so that
`import langchain_prodpatterns` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from langchain_prodpatterns._version import __version__

if TYPE_CHECKING:
    from langchain_prodpatterns.budget import Budget
    from langchain_prodpatterns.cache import CachedRunnable, SemanticJudgeCache
    from langchain_prodpatterns.compression import (
        CompressingRetriever,
        ContextCompressor,
    )
    from langchain_prodpatterns.errors import (
        GuardBlocked,
        ProdPatternsError,
        StructuredOutputError,
    )
    from langchain_prodpatterns.guard import GuardRunnable
    from langchain_prodpatterns.judging import Judge, YesNoVerdict
    from langchain_prodpatterns.ledger import Ledger, track
    from langchain_prodpatterns.refine import Criteria, RefineChain
    from langchain_prodpatterns.routing import Route, RouteDecision, ToolRouter
    from langchain_prodpatterns.structured import (
        Rung,
        SchemaParser,
        StructuredRetryParser,
    )

_HOMES = {
    "Budget": "budget",
    "CachedRunnable": "cache",
    "CompressingRetriever": "compression",
    "ContextCompressor": "compression",
    "Criteria": "refine",
    "GuardBlocked": "errors",
    "GuardRunnable": "guard",
    "Judge": "judging",
    "Ledger": "ledger",
    "ProdPatternsError": "errors",
    "RefineChain": "refine",
    "Route": "routing",
    "RouteDecision": "routing",
    "Rung": "structured",
    "SchemaParser": "structured",
    "SemanticJudgeCache": "cache",
    "StructuredOutputError": "errors",
    "StructuredRetryParser": "structured",
    "ToolRouter": "routing",
    "YesNoVerdict": "judging",
    "track": "ledger",
}

__all__ = [
    "Budget",
    "CachedRunnable",
    "CompressingRetriever",
    "ContextCompressor",
    "Criteria",
    "GuardBlocked",
    "GuardRunnable",
    "Judge",
    "Ledger",
    "ProdPatternsError",
    "RefineChain",
    "Route",
    "RouteDecision",
    "Rung",
    "SchemaParser",
    "SemanticJudgeCache",
    "StructuredOutputError",
    "StructuredRetryParser",
    "ToolRouter",
    "YesNoVerdict",
    "__version__",
    "track",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
