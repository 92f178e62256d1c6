"""Which messages of a state a guard has looked at, told by what they say."""

import hashlib
from collections.abc import Collection, Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from langchain_prodpatterns.guard.carriers import rewrite_message

_DIGITS = 32


def seal(message: BaseMessage) -> str:
    """Name a message by its identifier and all that a guard reads in it.

    The identifier alone is the sender's to choose: who sends another text under that of
    an old message would not be judged.

    Args:
        message: The message, as it is after the guard.

    Returns:
        Its name, which tells nothing of the text.
    """
    digest = hashlib.sha256()

    def add(text: str, role: str, label: str) -> str:
        # With its length each text ends where it ends.
        part = f"{role} {label} {len(text)} {text}"
        digest.update(part.encode("utf-8", "surrogatepass"))
        return text

    rewrite_message(message, add)
    return f"{message.id}:{digest.hexdigest()[:_DIGITS]}"


def split(
    messages: Sequence[Any], cleared: Collection[str]
) -> tuple[list[Any], list[Any]]:
    """Tell messages that were looked at in an earlier turn from new ones.

    Args:
        messages: The messages of a state, with stand-ins.
        cleared: The seals of those that were looked at.

    Returns:
        The old ones and the new ones.
    """
    old: list[Any] = []
    new: list[Any] = []
    for message in messages:
        (old if seal(message) in cleared else new).append(message)
    return old, new
