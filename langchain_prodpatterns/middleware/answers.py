"""What an agent's state keeps of the answers that a guard has seen, or has not."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from langchain.agents.middleware.types import ModelResponse
from langchain_core.messages import AIMessage, BaseMessage

from langchain_prodpatterns.middleware.guarded_model import GUARDED_KEY
from langchain_prodpatterns.middleware.restoring import put_back


def unguarded(response: ModelResponse[Any]) -> list[AIMessage]:
    """Return the answers of a model that another middleware put in place of ours.

    Args:
        response: What the handler gave.

    Returns:
        The messages that no guard has seen.
    """
    return [each for each in response.result if _is_unguarded(each)]


def _is_unguarded(message: Any) -> TypeGuard[AIMessage]:
    own = isinstance(message, AIMessage)
    return own and GUARDED_KEY not in message.response_metadata


def kept(
    response: ModelResponse[Any], late: Sequence[BaseMessage], known: Mapping[str, str]
) -> ModelResponse[Any]:
    """Return what a state keeps of an answer: stand-ins, where the user saw values.

    Args:
        response: What the handler gave.
        late: What became of the messages that were `unguarded`.
        known: Value to stand-in, of those that the model was shown.

    Returns:
        The response for the state.
    """
    rest = iter(late)
    result = [next(rest) if _is_unguarded(each) else each for each in response.result]
    return ModelResponse(put_back(result, known), response.structured_response)
