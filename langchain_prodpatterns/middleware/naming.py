"""Names that middleware is given, and the base of what has one."""

from collections.abc import Iterable, Mapping, Sequence
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


def read_names(argument: str, names: Any, example: str = "search") -> frozenset[str]:
    """Check a list of names, such as those of tools.

    Args:
        argument: The argument, for the message.
        names: What was given.
        example: A name that it could hold, for the message.

    Returns:
        The names.

    Raises:
        ConfigurationError: When it is no list of names.
    """
    is_list = isinstance(names, Iterable) and not isinstance(names, str | Mapping)
    listed = tuple(names) if is_list else ()
    strange = [each for each in listed if not isinstance(each, str) or not each]
    if is_list and not strange:
        return frozenset(listed)
    given = repr(names)
    if strange:
        # The repr of a tool fills a page.
        kind = type(strange[0]).__name__
        given = f"one that holds {'an empty text' if strange[0] == '' else f'a {kind}'}"
    msg = f"{argument} must be a list of names, [{example!r}], got {given}"
    raise ConfigurationError(msg)
