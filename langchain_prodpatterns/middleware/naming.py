"""Names that middleware is given, and the base of what has one."""

from collections.abc import Iterable, Sequence
from typing import Any

from langchain.agents.middleware.types import (
    AgentMiddleware,
    ContextT,
    ResponseT,
    StateT,
)
from langchain_core.tools import BaseTool

from langchain_prodpatterns.errors import ConfigurationError


class NamedMiddleware(AgentMiddleware[StateT, ContextT, ResponseT]):
    """Base of middleware of which there may be two in one agent, and without tools."""

    def __init__(self, name: str | None) -> None:
        """Set the name.

        Args:
            name: Its name in graphs and traces; `None` for that of the class.

        Raises:
            ConfigurationError: When it is none.
        """
        super().__init__()
        self._name = read_name(name, type(self).__name__)
        self.tools: Sequence[BaseTool] = ()

    @property
    def name(self) -> str:
        """The name of this middleware."""
        return self._name


def read_name(name: Any, default: str) -> str:
    """Return what a middleware is called, which graphs make the name of a node.

    Args:
        name: What was given; `None` for the default.
        default: The default.

    Returns:
        The name.

    Raises:
        ConfigurationError: When it is none.
    """
    if name is None:
        return default
    if not isinstance(name, str) or not name.strip() or set(name) & {"|", ":"}:
        msg = f"name must be a text without '|' and ':', got {name!r}"
        raise ConfigurationError(msg)
    return name


def read_names(what: str, names: Any) -> tuple[str, ...]:
    """Check a list of names of tools.

    Args:
        what: The argument.
        names: What was given.

    Returns:
        The names.

    Raises:
        ConfigurationError: When it is no list of names.
    """
    listed = () if isinstance(names, str) or not isinstance(names, Iterable) else names
    read = tuple(listed)
    if listed is not names or not all(isinstance(n, str) and n for n in read):
        msg = f"{what} must be a list of names of tools, ['search'], got {names!r}"
        raise ConfigurationError(msg)
    return read
