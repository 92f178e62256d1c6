"""Reading the `llm_string`: which model, with which parameters, would answer.

Of a model that LangChain can serialise it is JSON, `---` and `str()` of the call's
parameters; of any other it is `str()` of all parameters. What says how to reach the
provider, and not what to answer, is left out.
"""

import ast
import json
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from langchain_core.language_models import BaseLanguageModel

from langchain_prodpatterns.cache.digests import canonical_json
from langchain_prodpatterns.cache.schemas import (
    THIS_PROCESS,
    resolve_class,
    with_schemas,
)

_TRANSPORT = frozenset(
    {
        "api_base",
        "api_key",
        "azure_endpoint",
        "base_url",
        "anthropic_api_url",
        "cache",
        "cache_control",
        "callbacks",
        "default_request_timeout",
        "disable_streaming",
        "max_retries",
        "metadata",
        "openai_api_base",
        "openai_api_key",
        "openai_proxy",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "rate_limiter",
        "request_timeout",
        "stream_chunk_timeout",
        "stream_usage",
        "streaming",
        "tags",
        "timeout",
        "verbose",
    }
)
_MODEL_FOLDERS = frozenset({"chat_models", "language_models", "llms"})
_SEPARATOR = "---"
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]")


def canonical_parameters(llm_string: str) -> str:
    """Return the parameters that decide the answer, in one form.

    `llm_string` shows the schema of a structured output only as
    `<class 'module.Name'>`. Such a class is looked up among the modules that are
    already imported, and stands for its JSON Schema; nothing is ever imported.

    Args:
        llm_string: As LangChain hands it over.

    Returns:
        A text that is equal for parameters that mean the same.
    """
    if "<class '" not in llm_string:
        return _remembered(llm_string)
    # Not remembered: a class may be another one by the next call.
    return _canonical(with_schemas(llm_string))


@lru_cache(maxsize=256)
def _remembered(llm_string: str) -> str:
    return _canonical(llm_string)


def _canonical(llm_string: str) -> str:
    model, rest = _split(llm_string)
    return canonical_json([strip_transport(_bare(model)), _literal(rest)])


def _split(llm_string: str) -> tuple[Any, str]:
    """Part the model's JSON from the call's parameters."""
    try:
        model, end = json.JSONDecoder().raw_decode(llm_string)
    except (ValueError, RecursionError):
        return None, llm_string
    rest = llm_string[end:]
    if not isinstance(model, dict) or not rest.startswith(_SEPARATOR):
        return None, llm_string
    return model, rest.removeprefix(_SEPARATOR)


def strip_transport(value: Any) -> Any:
    """Drop what says how to reach a provider from LangChain's JSON of a Runnable.

    Only of models: the `endpoint` of a retriever or a tool says what it finds there.

    Args:
        value: The JSON value.

    Returns:
        A copy without keys, and of models without base URLs, deadlines and retries.
    """
    if isinstance(value, list):
        return [strip_transport(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") == "secret":
        return "secret"
    if "lc" in value and _is_model(value.get("id")):
        value = _bare(value)
    return {key: strip_transport(inner) for key, inner in value.items()}


def _bare(model: Any) -> Any:
    """Drop a model's own transport parameters."""
    fields = model.get("kwargs") if isinstance(model, dict) else None
    if not isinstance(fields, dict):
        return model
    return {**_unnamed(model), "kwargs": _kept(_unnamed(fields).items())}


def _unnamed(fields: dict[str, Any]) -> dict[str, Any]:
    """Drop what a model is called in traces, which is not what it is."""
    return {key: value for key, value in fields.items() if key != "name"}


def _is_model(path: Any) -> bool:
    """Whether LangChain's name of a class is a language model's."""
    if not isinstance(path, list) or not all(isinstance(name, str) for name in path):
        return False
    found = resolve_class(".".join(path))
    known = found is not None and issubclass(found, BaseLanguageModel)
    # LangChain's own names are not where the classes are.
    return known or not _MODEL_FOLDERS.isdisjoint(path)


def _kept(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {
        key: value
        for key, value in items
        if key not in _TRANSPORT and not (key == "endpoint" and _is_address(value))
    }


def _is_address(endpoint: Any) -> bool:
    """Whether an endpoint is where a provider is, and not the model's name there."""
    return isinstance(endpoint, str) and endpoint.startswith(("http://", "https://"))


def _literal(text: str) -> str:
    """Bring `str(sorted(params.items()))` to one form.

    What is no literal (a parameter that is some object) is taken as it stands. An
    address in it says nothing to other processes.
    """
    try:
        items = ast.literal_eval(text)
        return repr(sorted(_kept(items).items()))
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return f"{text} {THIS_PROCESS}" if _ADDRESS.search(text) else text
