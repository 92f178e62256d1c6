"""What can be routed to: LangChain tools, functions and `Route`s, read as one thing."""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.tools import BaseTool

from langchain_prodpatterns.errors import ConfigurationError

NOTHING_FITS = "none"
"""How a fallback says that no tool fits; therefore no tool may have this name."""

_SECTION = re.compile(
    r"^[ \t]*(?:Args|Arguments|Parameters|Returns|Raises):", re.MULTILINE
)


@dataclass(frozen=True)
class Route:
    """Somewhere a query can go that is not a tool: a chain, an index, a colleague.

    ```python
    Route("handbook", "Rules and prices of the shop.", ["Do you ship abroad?"])
    ```
    """

    name: str
    """What `RouteDecision.tool` will say."""
    description: str = ""
    """What it is for. It is embedded, and shown to the fallback."""
    examples: Sequence[str] = ()
    """Utterances that belong here. Each is embedded."""

    def __post_init__(self) -> None:
        """Refuse what could never be routed to.

        Raises:
            ConfigurationError: When the name cannot be used, or there is no text.
        """
        _check_name(self.name)
        if not isinstance(self.description, str):
            kind = type(self.description).__name__
            msg = f"the description of route {self.name!r} must be a text, got {kind}"
            raise ConfigurationError(msg)
        # The dataclass is frozen for users, and a list would not be.
        object.__setattr__(self, "examples", _utterances(self.name, self.examples))
        if not self.texts:
            msg = (
                f"route {self.name!r} has nothing to compare a query with: give it a "
                "description (a function: a docstring) or examples"
            )
            raise ConfigurationError(msg)

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts that a query is compared with, each once."""
        texts = (self.description.strip(), *self.examples)
        return tuple(dict.fromkeys(text for text in texts if text))


Tool = BaseTool | Route | Callable[..., Any]
"""What `ToolRouter` takes as a tool."""


def read_routes(
    tools: Iterable[Tool], examples: Mapping[str, Sequence[str]] | None = None
) -> dict[str, tuple[Tool, Route]]:
    """Read tools of any kind.

    Args:
        tools: LangChain tools, functions with a docstring, and routes.
        examples: More utterances, by the name of the tool.

    Returns:
        Each tool as it was given and as a route, by name, in order.

    Raises:
        ConfigurationError: When a tool or an example cannot be used.
    """
    more = _read_examples(examples)
    found: dict[str, tuple[Tool, Route]] = {}
    for tool in _read_tools(tools):
        name, description, own = _describe(tool)
        if name in found:
            msg = f"two tools are named {name!r}: a decision could not tell them apart"
            raise ConfigurationError(msg)
        found[name] = tool, Route(name, description, (*own, *more.get(name, ())))
    unknown = sorted(set(more) - set(found))
    if unknown:
        msg = f"examples are given for {unknown[0]!r}, but the tools are {list(found)}"
        raise ConfigurationError(msg)
    return found


def _read_tools(tools: Iterable[Tool]) -> tuple[Tool, ...]:
    if isinstance(tools, str | Mapping | BaseTool) or not isinstance(tools, Iterable):
        msg = f"tools must be a list of tools, got {type(tools).__name__}"
        raise ConfigurationError(msg)
    listed = tuple(tools)
    if not listed:
        msg = "tools is empty: there is nothing to route to"
        raise ConfigurationError(msg)
    return listed


def _read_examples(
    examples: Mapping[str, Sequence[str]] | None,
) -> dict[str, tuple[str, ...]]:
    if examples is None:
        return {}
    if not isinstance(examples, Mapping):
        kind = type(examples).__name__
        msg = f"examples must map the name of a tool to its utterances, got {kind}"
        raise ConfigurationError(msg)
    for name in examples:
        if not isinstance(name, str):
            kind = type(name).__name__
            msg = f"examples are given by the name of a tool, a text, got a {kind}"
            raise ConfigurationError(msg)
    return {name: _utterances(name, texts) for name, texts in examples.items()}


def _describe(tool: Tool) -> tuple[str, str, Sequence[str]]:
    """Return the name, the description and the tool's own examples."""
    if isinstance(tool, Route):
        return tool.name, tool.description, tool.examples
    if isinstance(tool, BaseTool):
        return tool.name, _purpose(tool.description), ()
    name = getattr(tool, "__name__", "")
    if not inspect.isroutine(tool) or not name.isidentifier():
        kind = f"{type(tool).__name__} {name}".strip()
        msg = (
            "a tool must be a LangChain tool, a named function with a docstring or a "
            f"Route, got {kind}"
        )
        raise ConfigurationError(msg)
    return name, _purpose(inspect.getdoc(tool) or ""), ()


def _purpose(description: str) -> str:
    """Return what a docstring says before its sections: what it is for."""
    section = _SECTION.search(description)
    return description[: section.start()].strip() if section else description.strip()


def _utterances(name: str, examples: Sequence[str]) -> tuple[str, ...]:
    if isinstance(examples, str) or not isinstance(examples, Iterable):
        kind = type(examples).__name__
        msg = f"the examples of {name!r} must be a list of texts, got {kind}"
        raise ConfigurationError(msg)
    listed = tuple(examples)
    if not all(isinstance(text, str) and text.strip() for text in listed):
        msg = f"the examples of {name!r} hold something else than a text, or a blank"
        raise ConfigurationError(msg)
    return tuple(dict.fromkeys(text.strip() for text in listed))


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not name or name != name.strip():
        msg = f"a route needs a name without blanks around it, got {name!r}"
        raise ConfigurationError(msg)
    if name.casefold() == NOTHING_FITS or name.isdecimal():
        msg = (
            f"a route cannot be named {name!r}: numbers and {NOTHING_FITS!r} are how a "
            "fallback answers"
        )
        raise ConfigurationError(msg)
