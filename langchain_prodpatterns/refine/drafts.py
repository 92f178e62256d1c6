"""Drafts keep their type: a text, a message, a pydantic object or a dict.

A reviser that is a language model answers with JSON, so that "Here is the improved
version:" can never become a part of the draft: what is not that JSON is no revision.
"""

import hashlib
import json
import unicodedata
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.utils import message_chunk_to_message
from langchain_core.prompt_values import PromptValue
from pydantic import BaseModel, Field, ValidationError

from langchain_prodpatterns.fencing import unfenced_reply
from langchain_prodpatterns.verdicts import describe_errors


class RevisionError(ValueError):
    """Raised when what the reviser gave cannot stand in for the draft."""


class TextRevision(BaseModel):
    """What a language model answers that revises a text."""

    revision: str = Field(description="the whole revised text and nothing else")


@dataclass(frozen=True, slots=True)
class Draft:
    """One draft in its own type, and as the text that critics and revisers read."""

    value: Any
    """The draft in its own type."""
    text: str
    """The draft as text; JSON for objects."""

    @property
    def checked(self) -> Any:
        """What verifiers get: the text of a text or message, else the object."""
        return self.text if self.is_text else self.value

    @property
    def is_text(self) -> bool:
        """Whether it is a text or a message, not an object."""
        return isinstance(self.value, str | AIMessage)

    @property
    def fingerprint(self) -> str:
        """A hash that line ends, trailing blanks and Unicode forms do not change.

        White space within a line stays: in code it may be all that a revision mends.
        """
        lines = unicodedata.normalize("NFC", self.text).strip().splitlines()
        plain = "\n".join(line.rstrip() for line in lines)
        return hashlib.sha256(plain.encode()).hexdigest()


def read_draft(value: Any) -> Draft:
    """Take what a generator or a user gives as a draft.

    Args:
        value: A `str`, an `AIMessage`, a pydantic object or a dict of JSON values.

    Returns:
        The draft.

    Raises:
        TypeError: When it is none of these.
    """
    if isinstance(value, str):
        return Draft(value, encodable(value))
    if isinstance(value, AIMessage):
        # Streamed input arrives as the sum of its chunks.
        message = message_chunk_to_message(value)
        return Draft(message, encodable(str(message.text)))
    if isinstance(value, BaseModel) and not isinstance(
        value, BaseMessage | PromptValue
    ):
        return Draft(value, value.model_dump_json(indent=2, by_alias=True))
    if isinstance(value, dict):
        return Draft(value, _to_json(value))
    msg = (
        "RefineChain refines a str, an AIMessage, a pydantic object or a dict, got "
        f"{type(value).__name__}; to draft from a prompt, give it a generator"
    )
    raise TypeError(msg)


def encodable(text: str) -> str:
    """Replace what no provider and no request can hold: halves of surrogate pairs."""
    return text.encode(errors="replace").decode()


def reply_form(draft: Draft) -> str:
    """Describe the JSON in which a language model must answer.

    Args:
        draft: The draft to revise.

    Returns:
        The end of a sentence that begins "Answer with one JSON object".
    """
    if draft.is_text:
        return 'of this form: {"revision": "the whole revised text and nothing else"}'
    if isinstance(draft.value, dict):
        return (
            "that is the whole revised draft, with the keys and the types of values "
            "that the draft has"
        )
    schema = json.dumps(type(draft.value).model_json_schema(), ensure_ascii=False)
    return f"that is the whole revised draft, by this JSON Schema:\n{schema}"


def read_reply(draft: Draft, reply: Any) -> Draft:
    """Read the JSON of a language model that was asked for a revision.

    Args:
        draft: The draft that was to be revised.
        reply: What the model answered: a message or a text.

    Returns:
        The revised draft, in the draft's own type.

    Raises:
        RevisionError: When the reply is not the JSON that was asked for.
    """
    text = unfenced_reply(
        str(reply.text) if isinstance(reply, BaseMessage) else str(reply)
    )
    if not draft.is_text:
        return _read_object(draft, text)
    try:
        revision = TextRevision.model_validate_json(text, strict=True).revision
    except ValidationError as error:
        raise RevisionError(describe_errors(error, TextRevision)) from None
    return _with_text(draft, revision, reply)


def read_answer(draft: Draft, answer: Any) -> Draft:
    """Take what a reviser of the user's own gives: the revised draft itself.

    Args:
        draft: The draft that was to be revised.
        answer: The revision in the draft's type; a text will do for a message, and a
            message for a text. A dict will do for a pydantic object.

    Returns:
        The revised draft, in the draft's own type.

    Raises:
        RevisionError: When it cannot stand in for the draft.
    """
    if draft.is_text:
        if isinstance(answer, str):
            return _with_text(draft, answer, None)
        if isinstance(answer, BaseMessage):
            return _with_text(draft, str(answer.text), answer)
    elif isinstance(draft.value, BaseModel) and isinstance(answer, type(draft.value)):
        return read_draft(answer)
    elif isinstance(answer, dict):
        return _read_object(draft, _to_json(answer))
    msg = f"{type(answer).__name__} cannot stand in for {type(draft.value).__name__}"
    raise RevisionError(msg)


def _with_text(draft: Draft, text: str, reply: Any) -> Draft:
    """Put a revised text in the place of a text or of a message's content."""
    if not text.strip():
        msg = "the revision is empty"
        raise RevisionError(msg)
    if isinstance(draft.value, str):
        return Draft(text, encodable(text))
    # What describes the old text (its id, usage, provider's facts) must not be said
    # of the new one.
    own = {
        "content": text,
        "id": f"refine-{uuid4()}",
        "additional_kwargs": {},
        "usage_metadata": getattr(reply, "usage_metadata", None),
        "response_metadata": dict(getattr(reply, "response_metadata", {})),
    }
    return Draft(draft.value.model_copy(update=own), encodable(text))


def _read_object(draft: Draft, text: str) -> Draft:
    if isinstance(draft.value, dict):
        return _read_dict(draft.value, text)
    model = type(draft.value)
    try:
        return read_draft(model.model_validate_json(text))
    except ValidationError as error:
        raise RevisionError(describe_errors(error, model)) from None


def _read_dict(old: dict[str, Any], text: str) -> Draft:
    try:
        new = json.loads(text)
    except (ValueError, RecursionError):
        msg = "the revision is not JSON"
        raise RevisionError(msg) from None
    difference = _difference(old, new)
    if difference is not None:
        msg = f"the revision has another shape at '{difference}'"
        raise RevisionError(msg)
    return Draft(new, _to_json(new))


def _difference(old: Any, new: Any, path: str = "draft") -> str | None:
    """Return where two JSON values differ in shape; lists may differ in length."""
    if _json_type(old) != _json_type(new):
        return None if old is None else path
    if isinstance(old, dict):
        if old.keys() != new.keys():
            return path
        pairs = [(old[key], new[key], f"{path}.{key}") for key in old]
        found = (_difference(*pair) for pair in pairs)
        return next((place for place in found if place), None)
    if isinstance(old, list | tuple) and old:
        strangers = (
            index
            for index, item in enumerate(new)
            if all(_difference(known, item) for known in old)
        )
        index = next(strangers, None)
        return None if index is None else f"{path}[{index}]"
    return None


def _json_type(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return type(value).__name__
    kinds = {"number": int | float, "list": list | tuple, "text": str, "object": dict}
    return next(
        (name for name, kind in kinds.items() if isinstance(value, kind)), "other"
    )


def _to_json(value: dict[str, Any]) -> str:
    try:
        return encodable(json.dumps(value, indent=2, ensure_ascii=False))
    except (TypeError, ValueError) as error:
        msg = f"a dict to refine must hold JSON values only: {error}"
        raise TypeError(msg) from None
