"""Rounds as lines of JSON, for a checkpoint to keep and for `resume` to go on from.

```python
chain = RefineChain(..., checkpoint=lambda entry: print(dump_round(entry), file=file))
chain.resume([load_round(line) for line in file], task=...)
```

Messages are read by LangChain's own converter for them; no other object is made but of
the type that the caller names.
"""

import json
from dataclasses import replace
from functools import cache
from typing import Any

from langchain_core.messages import (
    AIMessage,
    message_to_dict,
    messages_from_dict,
)
from pydantic import BaseModel, TypeAdapter, ValidationError

from langchain_prodpatterns.refine.objects import model_json
from langchain_prodpatterns.refine.results import RefineRound
from langchain_prodpatterns.verdicts import describe_errors


@cache
def _rounds() -> TypeAdapter[RefineRound]:
    return TypeAdapter(RefineRound)


def dump_round(entry: RefineRound) -> str:
    """Write a round as one line of JSON. It holds the draft and the feedback.

    Args:
        entry: The round.

    Returns:
        The JSON.

    Raises:
        ValueError: When the draft is an object of which JSON does not show all, such
            as one with a `SecretStr`.
    """
    data = _rounds().dump_python(replace(entry, draft=None), mode="json")
    return json.dumps({**data, "draft": _dump_draft(entry.draft)}, ensure_ascii=False)


def load_round(line: str, draft_type: type[BaseModel] | None = None) -> RefineRound:
    """Read a round that `dump_round` has written.

    Args:
        line: The JSON.
        draft_type: The type of the drafts, where they are pydantic objects.

    Returns:
        The round.

    Raises:
        ValueError: When it is not such a line, or the type is missing.
    """
    try:
        data = json.loads(line)
        draft = data.pop("draft")
        entry = _rounds().validate_python(data | {"draft": None})
    except ValidationError as error:
        msg = f"not a line of dump_round: {describe_errors(error, whole='round')}"
        raise ValueError(msg) from None
    except (ValueError, AttributeError, TypeError, KeyError):
        msg = "not a line of dump_round: no JSON object of a round"
        raise ValueError(msg) from None
    return replace(entry, draft=_load_draft(draft, draft_type))


def _dump_draft(draft: Any) -> Any:
    if isinstance(draft, AIMessage):
        return {"message": message_to_dict(draft)}
    if not isinstance(draft, BaseModel):
        return None if draft is None else {"value": draft}
    text = model_json(draft)
    if type(draft).model_validate_json(text) != draft:
        kind = type(draft).__name__
        msg = f"a {kind} cannot be kept as JSON, which does not show all of it"
        raise ValueError(msg)
    return {"object": json.loads(text)}


def _load_draft(draft: Any, draft_type: type[BaseModel] | None) -> Any:
    if draft is None:
        return None
    if "message" in draft:
        (message,) = messages_from_dict([draft["message"]])
        return message
    if "object" not in draft:
        return draft["value"]
    if draft_type is None:
        msg = "the draft is an object: give load_round its type, draft_type=..."
        raise ValueError(msg)
    return draft_type.model_validate_json(json.dumps(draft["object"]))
