"""What stands in the place of a message that a guard has blocked."""

from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

WITHHELD = "[withheld by the guard]"
"""What such a message says."""


def is_withheld(message: BaseMessage) -> bool:
    """Whether it was blocked before it got here; not a tool's of another turn."""
    return message.content == WITHHELD and not isinstance(message, ToolMessage)


def withheld(message: BaseMessage) -> BaseMessage:
    """Return a message that says nothing any more, in the place of one that did."""
    changes: dict[str, Any] = {
        "content": WITHHELD,
        "additional_kwargs": {},
        # Log probabilities spell out what was said.
        "response_metadata": {},
    }
    if not isinstance(message, ToolMessage):
        # A tool's is what it was called by.
        changes["name"] = None
    if isinstance(message, AIMessage):
        calls = [{**call, "args": {}} for call in message.tool_calls]
        changes |= {"tool_calls": calls, "invalid_tool_calls": []}
    if isinstance(message, ToolMessage):
        changes["artifact"] = None
    return message.model_copy(update=changes)
