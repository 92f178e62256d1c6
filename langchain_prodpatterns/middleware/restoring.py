"""Stand-ins to values and back, at the edges of an agent. Pure but for the vault."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from langchain_core.messages import AIMessage, BaseMessage, ToolCall
from langgraph.types import GraphOutput, Interrupt, PregelTask, StateSnapshot

from langchain_prodpatterns.guard.carriers import Visit, rewrite_message
from langchain_prodpatterns.guard.vault import STAND_IN, Scope, Vault

_STAND_IN = re.compile(STAND_IN)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Restoring:
    """Knows the values of one conversation, if there is a vault."""

    vault: Vault | None
    """Where the values are."""
    scope: Scope
    """Whose values may be restored."""

    def text(self, text: str, _role: str = "", _label: str = "") -> str:
        """Return a text with the values in place of the stand-ins that are known."""
        return _STAND_IN.sub(lambda found: self._value(found[0]) or found[0], text)

    def call(self, call: ToolCall) -> ToolCall:
        """Return a tool call with the values in its arguments."""
        if self.vault is None:
            return call
        carrier = AIMessage("", tool_calls=[call])
        return rewrite_message(carrier, self.text).tool_calls[0]

    def everywhere(self, value: T) -> T:
        """Return what an agent gives, with the values in all of its messages."""
        return value if self.vault is None else _walk(value, self.text)

    def known(self, messages: Iterable[BaseMessage]) -> Mapping[str, str]:
        """Return value to stand-in, for the stand-ins that stand in some messages."""
        found: dict[str, str] = {}
        if self.vault is None:
            return found

        def look(text: str, _role: str, _label: str) -> str:
            for stand_in in _STAND_IN.findall(text):
                value = self._value(stand_in)
                if value is not None:
                    found[value] = stand_in
            return text

        for message in messages:
            rewrite_message(message, look)
        return found

    def _value(self, stand_in: str) -> str | None:
        return None if self.vault is None else self.vault.restore(stand_in, self.scope)


def put_back(messages: Iterable[Any], known: Mapping[str, str]) -> list[Any]:
    """Put stand-ins in the place of values again, where a state keeps messages.

    Args:
        messages: The messages; what is none stays as it is.
        known: Value to stand-in.

    Returns:
        The messages, or copies.
    """
    if not known:
        return list(messages)
    # The longest first: one value may be the beginning of another.
    values = sorted(known, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, values)))

    def hide(text: str, _role: str, _label: str) -> str:
        return pattern.sub(lambda found: known[found[0]], text)

    return [
        rewrite_message(each, hide) if isinstance(each, BaseMessage) else each
        for each in messages
    ]


def _walk(value: Any, visit: Visit) -> Any:
    """Visit the messages in what an agent gives, in states, updates and pairs."""
    if isinstance(value, BaseMessage):
        return rewrite_message(value, visit)
    if isinstance(value, Interrupt):
        # What a human is asked is plain data: every text in it is for them.
        return replace(value, value=_walk_texts(value.value, visit))
    if isinstance(value, GraphOutput):
        return replace(
            value,
            value=_walk(value.value, visit),
            interrupts=_walk(value.interrupts, visit),
        )
    if isinstance(value, dict):
        return {key: _walk(each, visit) for key, each in value.items()}
    if isinstance(value, StateSnapshot | PregelTask):
        return value._replace(**_walk(value._asdict(), visit))
    # Any other named tuple could not be made from one list.
    is_plain = type(value) in (list, tuple)
    return type(value)(_walk(each, visit) for each in value) if is_plain else value


def _walk_texts(value: Any, visit: Visit) -> Any:
    """Visit every text in plain data, and the messages in it."""
    carrier = AIMessage("", additional_kwargs={"data": value})
    return rewrite_message(carrier, visit).additional_kwargs["data"]
