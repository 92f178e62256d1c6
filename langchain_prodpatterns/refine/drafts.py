"""Drafts keep their type: a text, a message, a pydantic object or a dict.

A reviser that is a language model answers with JSON, so that "Here is the improved
version:" can never become a part of the draft: what is not that JSON is no revision.
"""

import hashlib
import json
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.utils import message_chunk_to_message
from langchain_core.prompt_values import PromptValue
from pydantic import BaseModel, Field, ValidationError

from langchain_prodpatterns.fencing import bare_reply
from langchain_prodpatterns.refine.fields import value_at, with_value
from langchain_prodpatterns.refine.merging import revised_model
from langchain_prodpatterns.refine.objects import (
    RevisionError,
    check_shape,
    model_json,
    read_json,
    schema_json,
    strange_keys,
)
from langchain_prodpatterns.verdicts import describe_errors

_SCALARS = (str, int, float)


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
        """What verifiers get: the text of a text or message, else a copy of the object.

        A copy, because a verifier that changes what it gets must change no draft.
        """
        if self.is_text:
            return self.text
        try:
            return deepcopy(self.value)
        except Exception:  # noqa: BLE001 - what cannot be copied can still be checked
            return self.value

    @property
    def is_text(self) -> bool:
        """Whether it is a text or a message, not an object."""
        return isinstance(self.value, str | AIMessage)

    @property
    def shown(self) -> Any:
        """The JSON of an object, as the reviser is shown it."""
        return self.value if isinstance(self.value, dict) else json.loads(self.text)

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
        return Draft(value, model_json(value))
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


def reply_form(draft: Draft, *, in_places: bool = False) -> str:
    """Describe the JSON in which a language model must answer.

    Args:
        draft: The draft to revise.
        in_places: Whether only the places of an object that stand in `fields` are to
            change.

    Returns:
        The end of a sentence that begins "Answer with one JSON object".
    """
    if draft.is_text:
        return 'of this form: {"revision": "the whole revised text and nothing else"}'
    is_dict = isinstance(draft.value, dict)
    schema = None if is_dict else schema_json(type(draft.value))
    if in_places:
        unless = " unless the feedback asks for another one" if is_dict else ""
        typed = f" The JSON Schema of the whole draft:\n{schema}" if schema else ""
        return (
            "that has just the places of the draft which stand in fields: each JSON "
            'Pointer as a key with the new value of that place, {"/place": value}. '
            f"Keep the types{unless}. All else stays as it is.{typed}"
        )
    if schema is None:
        return (
            "that is the whole revised draft, with the keys and the types of values "
            "that the draft has"
        )
    return (
        "that is the whole revised draft. An optional key that you leave out keeps its "
        "value; to clear it, write null or an empty value. Write the items of lists in "
        f"whole. The JSON Schema:\n{schema}"
    )


def read_reply(draft: Draft, reply: Any, places: Sequence[str] = ()) -> Draft:
    """Read the JSON of a language model that was asked for a revision.

    Args:
        draft: The draft that was to be revised.
        reply: What the model answered: a message or a text.
        places: JSON Pointers of all that is to change of an object; none for the whole.

    Returns:
        The revised draft, in the draft's own type.

    Raises:
        RevisionError: When the reply is not the JSON that was asked for.
    """
    text = str(reply.text) if isinstance(reply, BaseMessage) else str(reply)
    answer = read_json(bare_reply(text))
    if not draft.is_text:
        return _read_object(draft, answer, places)
    try:
        given = TextRevision.model_validate_json(json.dumps(answer), strict=True)
    except ValidationError as error:
        problem = describe_errors(error, TextRevision, "revision")
        raise RevisionError(problem) from None
    return _with_text(draft, given.revision, reply)


def read_answer(draft: Draft, answer: Any, places: Sequence[str] = ()) -> Draft:
    """Take what a reviser of the user's own gives: the revised draft itself.

    Args:
        draft: The draft that was to be revised.
        answer: The revision in the draft's type; a text will do for a message, and a
            message for a text. A dict will do for a pydantic object.
        places: As for `read_reply`.

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
        given = read_draft(answer)
        return _read_object(draft, given.shown, places) if places else given
    elif isinstance(answer, dict):
        return _read_object(draft, read_json(_to_json(answer)), places)
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


def _read_object(draft: Draft, answer: Any, places: Sequence[str]) -> Draft:
    if places:
        answer = _only(places, answer, draft.shown)
    if isinstance(draft.value, dict):
        check_shape(_retyped(draft.value, answer, places), answer)
        return Draft(answer, _to_json(answer))
    return read_draft(revised_model(draft.value, draft.shown, answer))


def _only(places: Sequence[str], answer: Any, shown: Any) -> Any:
    """Take from an answer what was asked for, and leave all else as it was.

    The answer may also be the whole object: models like to write more than they must.
    """
    new, found = shown, False
    for place in places:
        with suppress(LookupError):
            flat = isinstance(answer, dict) and place in answer
            value = answer[place] if flat else value_at(answer, place)
            new, found = with_value(new, place, value), True
    if not found:
        msg = "the revision has none of the places that were asked for"
        raise RevisionError(msg)
    return new


def _retyped(old: Any, new: Any, places: Sequence[str]) -> Any:
    """Let scalars that were asked for have another type: that may be what failed."""
    for place in places:
        value, before = value_at(new, place), value_at(old, place)
        if isinstance(value, _SCALARS) and isinstance(before, _SCALARS):
            old = with_value(old, place, value)
    return old


def _to_json(value: dict[str, Any]) -> str:
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        msg = f"a dict to refine must hold JSON values only: {error}"
        raise TypeError(msg) from None
    kinds = {type(key).__name__ for key in strange_keys(value)}
    if kinds:
        msg = f"a dict to refine must have texts as keys, got {min(kinds)}"
        raise TypeError(msg)
    return encodable(text)
