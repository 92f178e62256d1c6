"""Rounds as lines of JSON, for a checkpoint to keep and for `resume` to go on from.

```python
with open("rounds.jsonl", "a") as file:
    chain = RefineChain(
        llm,
        critics=[under_280_characters],
        checkpoint=lambda entry: print(dump_round(entry), file=file, flush=True),
    )
    chain.invoke("Write a tweet about our lamps.")

with open("rounds.jsonl") as file:
    rounds = [load_round(line) for line in file]
chain.resume(rounds, task="Write a tweet about our lamps.")
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

from langchain_prodpatterns.refine.drafts import read_draft
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
        ValueError: When the draft is an object that does not come back from its JSON,
            such as one with a `SecretStr`.
    """
    data = _rounds().dump_python(replace(entry, draft=None), mode="json")
    # Escaped, since other line ends and halves of surrogate pairs break files of lines.
    return json.dumps({**data, "draft": _dump_draft(entry.draft)})


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
    data = json.loads(model_json(draft))
    if not _comes_back(draft, data):
        kind = type(draft).__name__
        msg = f"a {kind} cannot be kept as JSON, from which it does not come back"
        raise ValueError(msg)
    return {"object": data}


def _comes_back(draft: BaseModel, data: Any) -> bool:
    try:
        return _read_object(data, type(draft)) == draft
    except ValidationError:
        return False


def _read_object(data: Any, draft_type: type[BaseModel]) -> BaseModel:
    return draft_type.model_validate_json(json.dumps(data))


def _load_draft(draft: Any, draft_type: type[BaseModel] | None) -> Any:
    if draft is None:
        return None
    if isinstance(draft, dict) and "object" in draft:
        return _load_object(draft["object"], draft_type)
    try:
        is_message = "message" in draft
        given = messages_from_dict([draft["message"]])[0] if is_message else None
        return read_draft(given if is_message else draft["value"]).value
    except (ValueError, TypeError, KeyError):
        msg = "not a line of dump_round: no draft of a round"
        raise ValueError(msg) from None


def _load_object(data: Any, draft_type: type[BaseModel] | None) -> BaseModel:
    if draft_type is None:
        msg = "the draft is an object: give load_round its type, draft_type=..."
        raise ValueError(msg)
    try:
        return _read_object(data, draft_type)
    except ValidationError as error:
        kind = draft_type.__name__
        msg = f"the draft is no {kind}: {describe_errors(error, draft_type, 'draft')}"
        raise ValueError(msg) from None
