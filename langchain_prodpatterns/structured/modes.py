"""How a model is asked for the form: in words, by a tool, or by its own JSON mode.

Whichever way, the answer is read by one code path, since `text_of` gives the arguments
of a tool call as it gives a text. The instructions are in the prompt in every mode: a
model that claims to support more, and then answers with a text, knows the form too.
"""

import copy
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.configurable import DynamicRunnable
from langchain_core.runnables.fallbacks import RunnableWithFallbacks

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.structured.answers import text_of
from langchain_prodpatterns.structured.ladder import Rung
from langchain_prodpatterns.structured.prompts import without_titles
from langchain_prodpatterns.structured.schemas import resolve, subschemas
from langchain_prodpatterns.structured.target import Target

Way = Literal["prompt", "tool", "native"]
"""In words only, by the arguments of a tool call, or by the provider's JSON Schema."""
Mode = Literal["auto", "prompt", "tool", "native"]
"""A way for every model, or for each the best that its profile says it supports."""

_CHOSEN = {"tools", "tool_choice", "functions", "response_format"}
_IS_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OWN_DEFINITIONS = ("#/$defs/", "#/definitions/")
# What OpenAI's strict mode takes; it also wants every property to be required.
_STRICT = {
    "$defs",
    "$ref",
    "additionalProperties",
    "anyOf",
    "const",
    "description",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "items",
    "maxItems",
    "maximum",
    "minItems",
    "minimum",
    "multipleOf",
    "pattern",
    "properties",
    "required",
    "type",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a `StructuredRetryParser` would ask first, and how."""

    messages: tuple[BaseMessage, ...]
    """The messages with the instructions; none where nothing is asked."""
    ways: tuple[Way, ...]
    """How each rung is asked for the form."""


@dataclass(frozen=True, slots=True)
class Form:
    """The form of an answer as a provider takes it: always an object."""

    name: str
    """What it is called."""
    described: dict[str, Any]
    """Its JSON Schema."""
    key: str | None
    """The property that holds the answer, where the answer itself is no object."""

    @property
    def response_format(self) -> dict[str, Any]:
        """The provider-native form, strict where it can be."""
        strict = _as_strict(self.described)
        named: dict[str, Any] = {"name": self.name, "schema": strict or self.described}
        if strict is not None:
            named["strict"] = True
        return {"type": "json_schema", "json_schema": named}

    @property
    def tool(self) -> dict[str, Any]:
        """A tool whose arguments are the answer."""
        about = self.described.get("description") or "Gives the answer."
        function = {
            "name": self.name,
            "description": about,
            "parameters": self.described,
        }
        return {"type": "function", "function": function}


def make_form(target: Target) -> Form | None:
    """Make the form of a target.

    Args:
        target: What the answer has to be.

    Returns:
        The form, or `None` where its schema cannot stand inside of another one.
    """
    schema = without_titles(target.json_schema)
    name = target.name if _IS_NAME.fullmatch(target.name) else "Answer"
    root = resolve(schema, schema)
    definitions = {
        key: schema[key] for key in ("$defs", "definitions") if key in schema
    }
    if root.get("type") == "object":
        return Form(name, {**root, **definitions}, None)
    if not all(_is_movable(node) for node in subschemas(schema)):
        return None
    key = "answer"
    while key in target.property_names:
        key += "_"
    inner = {name: value for name, value in schema.items() if name not in definitions}
    described = {
        "type": "object",
        "properties": {key: inner},
        "required": [key],
        **definitions,
    }
    return Form(name, described, key)


def choose_way(mode: Mode, model: Runnable[Any, Any], form: Form | None) -> Way:
    """Choose how a model is asked.

    With `"auto"`, a model whose profile is not known, and one to which tools or a
    response format are bound already, is asked in words. So is every model for an
    answer that is no object, which the provider's form would have to wrap.

    Args:
        mode: What the developer wants.
        model: A model, perhaps bound or with fallbacks.
        form: The form of the answer.

    Returns:
        The way.

    Raises:
        ConfigurationError: When the model, or the form, does not allow the mode.
    """
    if mode == "prompt":
        return mode
    if mode != "auto":
        _check(mode, model, form)
        return mode
    if form is None or form.key is not None or _chosen(model):
        return "prompt"
    models = _models(model)
    if all(_supports(one, "structured_output") for one in models):
        return "native"
    if all(_supports(one, "tool_calling") and _has_tools(one) for one in models):
        return "tool"
    return "prompt"


def bound_rungs(
    rungs: Sequence[Rung], ways: Sequence[Way], form: Form | None
) -> tuple[Rung, ...]:
    """Bind the form to the models of a ladder.

    Args:
        rungs: The ladder.
        ways: How each rung is asked.
        form: The form of the answer.

    Returns:
        The ladder; a model that is on several rungs stays one.
    """
    known: dict[tuple[int, Way], Runnable[Any, Any]] = {}
    bound = []
    for rung, way in zip(rungs, ways, strict=True):
        if way == "prompt" or form is None:
            bound.append(rung)
            continue
        at = (id(rung.model), way)
        if at not in known:
            known[at] = _rebound(rung.model, _binder(way, form))
        bound.append(replace(rung, model=known[at]))
    return tuple(bound)


def unwrapped(answer: Any, form: Form | None) -> Any:
    """Take an answer that is no object out of the object that a provider demands.

    Args:
        answer: A message, or the text of a plain language model.
        form: The form of the answer.

    Returns:
        The answer; as it is where nothing is around it.
    """
    if form is None or form.key is None or not isinstance(answer, BaseMessage):
        return answer
    try:
        data = json.loads(text_of(answer))
    except (ValueError, RecursionError):
        return answer
    if not isinstance(data, dict) or set(data) != {form.key}:
        return answer
    text = json.dumps(data[form.key], ensure_ascii=False)
    inside = {"content": text, "tool_calls": [], "tool_call_chunks": []}
    known = {key: inside[key] for key in inside if key in type(answer).model_fields}
    return answer.model_copy(update=known)


def _binder(way: Way, form: Form) -> Callable[[BaseChatModel], Runnable[Any, Any]]:
    def bind(model: BaseChatModel) -> Runnable[Any, Any]:
        if way == "native":
            return model.bind(response_format=form.response_format)
        can_force = (model.profile or {}).get("tool_choice") is not False
        forced = {"tool_choice": form.name} if can_force else {}
        return model.bind_tools([form.tool], **forced)

    return bind


def _rebound(
    model: Any, bind: Callable[[BaseChatModel], Runnable[Any, Any]]
) -> Runnable[Any, Any]:
    """Bind something to the chat models inside of a model, and keep what is around."""
    if isinstance(model, RunnableBindingBase):
        return model.model_copy(update={"bound": _rebound(model.bound, bind)})
    if isinstance(model, RunnableWithFallbacks):
        fallbacks = [_rebound(one, bind) for one in model.fallbacks]
        first = _rebound(model.runnable, bind)
        return model.model_copy(update={"runnable": first, "fallbacks": fallbacks})
    if isinstance(model, DynamicRunnable):
        # Which model it is shows at the call only: what is bound is passed on to it.
        inner: Any = _rebound(model.default, bind)
        return model.bind(**inner.kwargs)
    return bind(model)


def _models(model: Any) -> list[Any]:
    """List the models that may answer; of a configurable one nobody knows which."""
    if isinstance(model, RunnableBindingBase):
        return _models(model.bound)
    if isinstance(model, RunnableWithFallbacks):
        return [one for part in model.runnables for one in _models(part)]
    return [model]


def _chosen(model: Any) -> bool:
    """Whether a developer has bound tools or a format to a model."""
    if isinstance(model, RunnableBindingBase):
        return bool(_CHOSEN & set(model.kwargs)) or _chosen(model.bound)
    if isinstance(model, RunnableWithFallbacks):
        return any(map(_chosen, model.runnables))
    return isinstance(model, DynamicRunnable) and _chosen(model.default)


def _supports(model: Any, what: str) -> bool:
    profile = model.profile if isinstance(model, BaseChatModel) else None
    return (profile or {}).get(what) is True


def _has_tools(model: Any) -> bool:
    own = getattr(type(model), "bind_tools", None)
    return own is not None and own is not BaseChatModel.bind_tools


def _check(mode: Mode, model: Any, form: Form | None) -> None:
    for one in _models(model):
        inner = one.default if isinstance(one, DynamicRunnable) else one
        able = isinstance(inner, BaseChatModel)
        if not able or (mode == "tool" and not _has_tools(inner)):
            kind = type(inner).__name__
            msg = f"mode={mode!r} needs a chat model that supports it, got {kind}"
            raise ConfigurationError(msg)
    if _chosen(model):
        msg = (
            f"mode={mode!r} binds the form of the answer, but tools or a response "
            "format are bound to the model already; give the model without them"
        )
        raise ConfigurationError(msg)
    if form is None:
        msg = (
            f"mode={mode!r} needs a schema of an object, or one whose references lead "
            "into its $defs; use mode='prompt'"
        )
        raise ConfigurationError(msg)


def _is_movable(node: Mapping[str, Any]) -> bool:
    """Whether the references of a schema mean the same inside of another schema."""
    target = node.get("$ref", _OWN_DEFINITIONS[0])
    others = {"$dynamicRef", "$recursiveRef", "$id", "$anchor"} & set(node)
    return str(target).startswith(_OWN_DEFINITIONS) and not others


def _as_strict(schema: dict[str, Any]) -> dict[str, Any] | None:
    """Close the objects of a schema, or give `None` where that would change it."""
    strict = copy.deepcopy(schema)
    for node in subschemas(strict):
        if set(node) - _STRICT or ("$ref" in node and len(node) > 1):
            return None
        if node.get("type") != "object":
            continue
        known = set(node.get("properties", ()))
        is_open = node.get("additionalProperties", False) is not False
        if is_open or not known or known != set(node.get("required", ())):
            return None
        node["additionalProperties"] = False
    return strict
