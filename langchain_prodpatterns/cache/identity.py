"""What a request is: the text that may be similar, and all that must be equal."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import HumanMessage

from langchain_prodpatterns.cache.digests import canonical_json, digest
from langchain_prodpatterns.cache.parameters import canonical_parameters
from langchain_prodpatterns.cache.prompts import (
    KeyFunction,
    build_messages,
    canonical_messages,
    continued_response,
    last_user_text,
    looks_like_chat,
    read_messages,
    system_text,
    without_part,
    without_text,
)

SCHEMA_VERSION = 2
"""Raised whenever equal requests would get another digest than before."""

_CONTINUES = '"use_previous_response_id":true'


@dataclass(frozen=True, slots=True)
class Scope:
    """What partitions every request of a cache."""

    namespace: str
    """The tenant, or whatever keeps its entries to itself."""
    embedder: str
    """The fingerprint of the embeddings."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a request is to the cache."""

    partition: str
    """The digest of all that must be equal for an answer to be shared."""
    exact: str
    """The digest of the whole request."""
    text: str | None
    """The semantic text; `None` where only an equal request can be served."""
    namespace: str
    """The namespace, for `invalidate`."""
    context: str = ""
    """The instructions under which the question was put, for a judge to see."""
    is_stray: bool = False
    """Whether the semantic text stands nowhere in the request as it is written: then
    all of the request has to be equal."""

    @property
    def asked(self) -> str | None:
        """The digest of the semantic text, where there is one."""
        return None if self.text is None else digest(self.text)


def identify(
    prompt: str, llm_string: str, scope: Scope, key: KeyFunction | None = None
) -> Identity:
    """Identify a request behind LangChain's cache interface.

    Args:
        prompt: The JSON of a chat model's messages, or a language model's plain text.
        llm_string: The model and its parameters.
        scope: What partitions besides.
        key: Names the semantic text; by default the last user text is.

    Returns:
        The identity. What has no user text in the end, or cannot be read, has no
        semantic text.
    """
    parameters = canonical_parameters(llm_string)
    raw = read_messages(prompt)
    if raw is not None:
        return _of_chat(raw, parameters, scope, key)
    if looks_like_chat(prompt):
        return _identity(scope, ["unread", prompt, parameters], prompt, None)
    return _of_text(prompt, parameters, scope, key)


def _of_chat(
    raw: Sequence[tuple[str, dict[str, Any]]],
    parameters: str,
    scope: Scope,
    key: KeyFunction | None,
) -> Identity:
    messages = canonical_messages(raw)
    text = last_user_text(messages)
    part = key(build_messages(raw)) if key and text is not None else None
    is_stray = bool(part and text and part not in text)
    if key:
        text = part or None
    rest = messages if text is None else without_text(messages, part)
    before = continued_response(raw) if _CONTINUES in parameters else None
    identity = _identity(
        scope, ["chat", rest, parameters, before], messages, text, system_text(messages)
    )
    return replace(identity, is_stray=is_stray)


def _of_text(
    prompt: str, parameters: str, scope: Scope, key: KeyFunction | None
) -> Identity:
    part = key([HumanMessage(prompt)]) if key else prompt
    text = part if part and part.strip() else None
    rest = prompt if text is None else without_part(prompt, text)
    identity = _identity(scope, ["text", rest, parameters], prompt, text)
    return replace(identity, is_stray=text is not None and text not in prompt)


def identify_input(
    value: Any,
    text: str | None,
    rest: Any,
    *,
    scope: Scope,
    chain: Any,
    is_stray: bool = False,
) -> Identity:
    """Identify a call of a wrapped chain.

    Args:
        value: The whole input as JSON.
        text: The semantic text, or `None`.
        rest: What else is in the input, as JSON.
        scope: What partitions besides.
        chain: What identifies the chain, as JSON.
        is_stray: Whether the semantic text stands nowhere in the input.

    Returns:
        The identity.
    """
    context = "" if not rest else _shown(rest)
    identity = _identity(scope, ["input", rest, chain], value, text, context)
    return replace(identity, is_stray=is_stray)


def _shown(rest: Any) -> str:
    return rest if isinstance(rest, str) else canonical_json(rest)


def _identity(
    scope: Scope, rest: Any, whole: Any, text: str | None, context: str = ""
) -> Identity:
    partition = digest(SCHEMA_VERSION, scope.namespace, scope.embedder, rest)
    # The whole, too: a text that contains the placeholder must not pass for another.
    exact = digest(partition, whole, text)
    return Identity(partition, exact, text, scope.namespace, context)
