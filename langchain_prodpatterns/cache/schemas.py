"""Classes in what identifies a request: each stands for its JSON Schema.

The text of an object shows a class only as `<class 'module.Name'>`. The name says
little: two deployments of one application have the same names for other fields.
"""

import re
import sys
from collections.abc import Mapping
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticUserError

from langchain_prodpatterns.cache.digests import digest

_CLASS = re.compile(r"<class '([^']{1,400})'>")
_NO_CLASSES: Mapping[str, str] = {}
_THIS_PROCESS = uuid4().hex
_schemas: "WeakKeyDictionary[type, str]" = WeakKeyDictionary()


def with_schemas(text: str, known: Mapping[str, str] = _NO_CLASSES) -> str:
    """Put schemas into a text in place of classes.

    A class is looked up among the modules that are already imported; nothing is ever
    imported. One that is not found is told from its namesakes in other processes.

    Args:
        text: The text of an object.
        known: Full name to schema, of classes that need not be looked up.

    Returns:
        The text, with a literal for each class.
    """

    def literal(match: re.Match[str]) -> str:
        name = match[1]
        schema = known.get(name)
        if schema is None:
            found = resolve_class(name)
            schema = _THIS_PROCESS if found is None else schema_digest(found)
        return f"'<class {name} {schema}>'" if schema else f"'<class {name}>'"

    return _CLASS.sub(literal, text)


def resolve_class(path: str) -> type | None:
    """Find a class among the imported modules, without running any code."""
    names = (path if "." in path else f"builtins.{path}").split(".")
    for cut in range(len(names) - 1, 0, -1):
        found: Any = sys.modules.get(".".join(names[:cut]))
        if found is None:
            continue
        for name in names[cut:]:
            # `vars`, since `getattr` may run a module's own `__getattr__`.
            found = getattr(found, "__dict__", {}).get(name)
        return found if isinstance(found, type) else None
    return None


def schema_digest(found: type) -> str | None:
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
