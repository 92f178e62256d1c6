"""Whether a patch is worth asking for: it has a form of its own to be told. Pure."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

from langchain_core.messages import BaseMessage
from pydantic_core import to_json

from langchain_prodpatterns.structured.patching import Mendable, Place, written
from langchain_prodpatterns.tokens import estimate_tokens


def saves_tokens(
    patch: Sequence[BaseMessage], whole: Sequence[BaseMessage], answer: Mendable
) -> bool:
    """Whether a patch takes fewer tokens than the whole answer, prompt included.

    A short answer of a small type is sooner written again than mended.

    Args:
        patch: The messages that ask for the patch.
        whole: The messages that ask for the whole answer.
        answer: The answer to mend, as long as the one to come. What is missing of it
            has to be written either way.

    Returns:
        What estimated tokens say.
    """
    steps = sum(_estimate(_step(answer, place)) for place in answer.places)
    return _asking(patch) + steps < _asking(whole) + estimate_tokens(answer.text)


def _asking(messages: Sequence[BaseMessage]) -> int:
    return sum(estimate_tokens(str(message.text)) for message in messages)


def _estimate(step: dict[str, Any]) -> int:
    return estimate_tokens(to_json(step, inf_nan_mode="constants").decode())


def _step(answer: Mendable, place: Place) -> dict[str, Any]:
    """The operation for a place, its new value as long as the old one."""
    step: dict[str, Any] = {"op": "replace", "path": written(place.pointer)}
    if place.is_there:
        step["value"] = reduce(_below, place.pointer, answer.data)
    return step


def _below(node: Any, part: str) -> Any:
    return node[int(part)] if isinstance(node, list) else node[part]
