"""The text to route by."""

from collections.abc import Sequence

from langchain_core.messages import BaseMessage, HumanMessage, convert_to_messages
from langchain_core.prompt_values import PromptValue


def query_text(value: object) -> str:
    """Return what the user said last.

    Args:
        value: A text, a prompt, a message, or messages in any form LangChain takes.

    Returns:
        The text without blanks around it: of the last human message, or of the message
        where there is just one. It is empty where there is none.

    Raises:
        TypeError: When it is none of these.
    """
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, BaseMessage):
        return _clean(value.text)
    if isinstance(value, PromptValue):
        messages = value.to_messages()
    elif isinstance(value, Sequence):
        messages = convert_to_messages(value)
    else:
        msg = (
            "ToolRouter takes a text, a prompt or messages, got "
            f"{type(value).__name__}; pick the text first: itemgetter('question') | "
            "router"
        )
        raise TypeError(msg)
    human = [message for message in messages if isinstance(message, HumanMessage)]
    return _clean(human[-1].text) if human else ""


def _clean(text: str) -> str:
    """Strip, and replace lone surrogates, which no tokenizer takes."""
    return text.strip().encode("utf-8", "replace").decode()
