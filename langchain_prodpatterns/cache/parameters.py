"""Reading the `llm_string`: which model, with which parameters, would answer.

Of a model that LangChain can serialise it is JSON, `---` and `str()` of the call's
parameters; of any other it is `str()` of all parameters. What says how to reach the
provider, and not what to answer, is left out.
"""

import ast
import json
import re
import sys
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticUserError

from langchain_prodpatterns.cache.digests import canonical_json, digest

_TRANSPORT = frozenset(
    {
        "api_base",
        "api_key",
        "azure_endpoint",
        "base_url",
        "cache",
        "callbacks",
        "default_request_timeout",
        "endpoint",
        "max_retries",
        "metadata",
        "openai_api_base",
        "openai_api_key",
        "openai_proxy",
        "rate_limiter",
        "request_timeout",
        "tags",
        "timeout",
        "verbose",
    }
)
_CLASS = re.compile(r"<class '([\w.]{1,400})'>")
_SEPARATOR = "---"
_schemas: "WeakKeyDictionary[type, str]" = WeakKeyDictionary()


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
    return _canonical(_CLASS.sub(_with_schema, llm_string))


@lru_cache(maxsize=256)
def _remembered(llm_string: str) -> str:
    return _canonical(llm_string)


def _canonical(llm_string: str) -> str:
    model, rest = _split(llm_string)
    return canonical_json([strip_transport(model), _literal(rest)])


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

    Args:
        value: The JSON value.

    Returns:
        A copy without base URLs, deadlines, retries and keys.
    """
    if isinstance(value, list):
        return [strip_transport(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") == "secret":
        return "secret"
    fields = value.get("kwargs") if "lc" in value else None
    if isinstance(fields, dict):
        value = {**value, "kwargs": _kept(fields.items())}
    return {key: strip_transport(inner) for key, inner in value.items()}


def _kept(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {key: value for key, value in items if key not in _TRANSPORT}


def _literal(text: str) -> str:
    """Bring `str(sorted(params.items()))` to one form.

    What is no literal (a parameter that is some object) is taken as it stands.
    """
    try:
        items = ast.literal_eval(text)
        return repr(sorted(_kept(items).items()))
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return text


def _with_schema(match: re.Match[str]) -> str:
    """Write a class as a literal that says what it looks like."""
    found = _resolve(match[1])
    schema = None if found is None else _schema_digest(found)
    return f"'<class {match[1]} {schema}>'" if schema else f"'<class {match[1]}>'"


def _resolve(path: str) -> type | None:
    """Find a class among the imported modules, without running any code."""
    names = path.split(".")
    for cut in range(len(names) - 1, 0, -1):
        found: Any = sys.modules.get(".".join(names[:cut]))
        if found is None:
            continue
        for name in names[cut:]:
            # `vars`, since `getattr` may run a module's own `__getattr__`.
            found = getattr(found, "__dict__", {}).get(name)
        return found if isinstance(found, type) else None
    return None


def _schema_digest(found: type) -> str | None:
    """Return the digest of a class's JSON Schema, or `None` where it has none."""
    if found not in _schemas:
        try:
            schema = (
                found.model_json_schema()
                if issubclass(found, BaseModel)
                else TypeAdapter(found).json_schema()
            )
        except (PydanticUserError, TypeError, NameError, AttributeError):
            return None
        _schemas[found] = digest(schema)
    return _schemas[found]
