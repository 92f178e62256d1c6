"""The turn of the user that an agent is working on."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.messages import AnyMessage, HumanMessage

_DIGITS = 16


@dataclass(frozen=True, slots=True)
class UserTurn:
    """What the user said last."""

    key: str
    """Tells this turn from every other one of the conversation."""
    text: str
    """The text; empty for a picture, or where nobody said anything."""


def last_turn(messages: Sequence[AnyMessage]) -> UserTurn:
    """Return what the user said last.

    The text is a part of the key: a message that was edited is another turn.

    Args:
        messages: The conversation.

    Returns:
        The turn of the last human message.
    """
    for position in range(len(messages) - 1, -1, -1):
        message = messages[position]
        if isinstance(message, HumanMessage):
            # Lone surrogates cannot be encoded otherwise, and models do write them.
            text = message.text.strip().encode("utf-8", "replace").decode()
            digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
            return UserTurn(f"{message.id or position}:{digest}", text)
    return UserTurn("", "")
