"""Edits of a prompt: what a model is shown of it, and what of its edits is taken. Pure.

Only the words of messages may change. Variables, roles, placeholders for messages and
their order are the developer's: an edit that touches them is refused.
"""

import json
from string import Formatter
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.prompts import (
    BasePromptTemplate,
    ChatPromptTemplate,
    PromptTemplate,
)
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from langchain_prodpatterns.fencing import bare_reply
from langchain_prodpatterns.refine.objects import RevisionError, read_json
from langchain_prodpatterns.verdicts import describe_errors

LONGEST = 20_000
"""Characters of the longest message that an edit may write."""


class MessageEdit(BaseModel):
    """New words for one message."""

    model_config = ConfigDict(extra="forbid")

    index: int = Field(ge=0)
    template: str = Field(min_length=1, max_length=LONGEST)


class PromptEdit(BaseModel):
    """What a model answers that edits a prompt."""

    model_config = ConfigDict(extra="forbid")

    messages: tuple[MessageEdit, ...] = Field(min_length=1, max_length=100)


def as_chat_prompt(value: Any) -> ChatPromptTemplate:
    """Take a prompt in any of the forms that people have it in.

    Args:
        value: A `ChatPromptTemplate`, a `PromptTemplate` or a text with variables.

    Returns:
        The chat prompt.

    Raises:
        TypeError: When it is none of these.
        ValueError: When nothing in it can be edited.
    """
    if isinstance(value, str):
        value = ChatPromptTemplate([("human", value)])
    elif isinstance(value, PromptTemplate):
        chat = ChatPromptTemplate([("human", value.template)])
        value = chat.partial(**value.partial_variables)
    if not isinstance(value, ChatPromptTemplate):
        hint = ""
        if not isinstance(value, BasePromptTemplate):
            hint = "; give it the template itself, chain.invoke(prompt), not its output"
        msg = (
            "RefineChain(mode='prompt') refines a ChatPromptTemplate, a PromptTemplate "
            f"or a str, got {type(value).__name__}{hint}"
        )
        raise TypeError(msg)
    if not words_of(value):
        msg = "there is no text in the prompt that could be edited"
        raise ValueError(msg)
    return value


def words_of(prompt: ChatPromptTemplate) -> dict[int, str]:
    """Return the templates of the messages that may be edited, by their index.

    Raises:
        ValueError: When a message is written in another format than f-strings, whose
            templates can do more than fill in variables.
    """
    words: dict[int, str] = {}
    for index, message in enumerate(prompt.messages):
        template = _template_of(message)
        if template is not None:
            if template.template_format != "f-string":
                msg = (
                    "RefineChain(mode='prompt') edits f-string templates, and message "
                    f"{index} is a {template.template_format} template"
                )
                raise ValueError(msg)
            words[index] = template.template
        elif isinstance(message, BaseMessage) and isinstance(message.content, str):
            words[index] = _escaped(message.content)
    return words


def shown(prompt: ChatPromptTemplate) -> str:
    """Write a prompt down for a model: index, role and template of each message."""
    words = words_of(prompt)
    return "\n\n".join(
        f"[{index}] {_role_of(message)}\n{words[index]}"
        if index in words
        else f"[{index}] {_role_of(message)} (fixed)"
        for index, message in enumerate(prompt.messages)
    )


def read_edit(prompt: ChatPromptTemplate, reply: Any) -> ChatPromptTemplate:
    """Read a model's edit, and apply it.

    Args:
        prompt: The prompt.
        reply: What the model answered: a message or a text.

    Returns:
        The edited prompt, with the same variables.

    Raises:
        RevisionError: When it is no edit, or one that must not be.
    """
    text = str(reply.text) if isinstance(reply, BaseMessage) else str(reply)
    data = read_json(bare_reply(text))
    try:
        edit = PromptEdit.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        problem = describe_errors(error, PromptEdit, "edit")
        raise RevisionError(problem) from None
    return _edited(prompt, edit)


def _edited(prompt: ChatPromptTemplate, edit: PromptEdit) -> ChatPromptTemplate:
    words, messages = words_of(prompt), list(prompt.messages)
    for each in edit.messages:
        if each.index not in words:
            msg = f"message {each.index} cannot be edited"
            raise RevisionError(msg)
        messages[each.index] = _rewritten(messages[each.index], each)
    before = {name for text in words.values() for name in variables_in(text)}
    candidate = prompt.model_copy(update={"messages": messages})
    after = {n for text in words_of(candidate).values() for n in variables_in(text)}
    if before != after:
        changed = ", ".join(sorted(before - after)) or "a new one"
        msg = f"the edit changes the variables: {changed}"
        raise RevisionError(msg)
    return candidate


def variables_in(template: str) -> set[str]:
    """Return the variables of an f-string template.

    Raises:
        RevisionError: When its braces do not match, or it does more than fill in.
    """
    names = set()
    try:
        for _, name, spec, conversion in Formatter().parse(template):
            if name is None:
                continue
            if spec or conversion or not name.isidentifier():
                msg = "a variable stands in braces as it is; other braces are doubled"
                raise RevisionError(msg)
            names.add(name)
    except ValueError as error:
        if isinstance(error, RevisionError):
            raise
        msg = "the braces of the edit do not match; those that are text are doubled"
        raise RevisionError(msg) from None
    return names


def _rewritten(message: Any, edit: MessageEdit) -> Any:
    names = variables_in(edit.template)
    template = _template_of(message)
    if template is None:
        if names:
            msg = f"message {edit.index} takes no variables"
            raise RevisionError(msg)
        text = edit.template.replace("{{", "{").replace("}}", "}")
        return message.model_copy(update={"content": text})
    own = sorted(names - template.partial_variables.keys())
    new = template.model_copy(
        update={"template": edit.template, "input_variables": own}
    )
    return message.model_copy(update={"prompt": new})


def _template_of(message: Any) -> PromptTemplate | None:
    """Return the template of a message of text; those with pictures hold a list."""
    template = getattr(message, "prompt", None)
    return template if isinstance(template, PromptTemplate) else None


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _role_of(message: Any) -> str:
    if isinstance(message, BaseMessage):
        return message.type
    name = type(message).__name__.removesuffix("PromptTemplate")
    return name.removesuffix("Message").lower() or "message"
