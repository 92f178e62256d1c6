"""The patterns as middleware for `langchain.agents.create_agent`.

The names are imported when they are first used; `langchain` comes with them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_prodpatterns.middleware.compress_tool_output import (
        CompressToolOutputMiddleware,
    )
    from langchain_prodpatterns.middleware.guard import GuardMiddleware
    from langchain_prodpatterns.middleware.refine import RefineMiddleware
    from langchain_prodpatterns.middleware.semantic_cache import (
        SemanticCacheMiddleware,
    )
    from langchain_prodpatterns.middleware.structured_retry import (
        StructuredRetryMiddleware,
    )
    from langchain_prodpatterns.middleware.tool_router import ToolRouterMiddleware

_MODULES = {
    "CompressToolOutputMiddleware": "compress_tool_output",
    "GuardMiddleware": "guard",
    "RefineMiddleware": "refine",
    "SemanticCacheMiddleware": "semantic_cache",
    "StructuredRetryMiddleware": "structured_retry",
    "ToolRouterMiddleware": "tool_router",
}

__all__ = [
    "CompressToolOutputMiddleware",
    "GuardMiddleware",
    "RefineMiddleware",
    "SemanticCacheMiddleware",
    "StructuredRetryMiddleware",
    "ToolRouterMiddleware",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
