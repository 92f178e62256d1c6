"""Classes in what identifies a request: each stands for its JSON Schema.

The text of an object shows a class only as `<class 'module.Name'>`. The name says
little: two deployments of one application have the same names for other fields.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, is_typeddict
from uuid import uuid4
from weakref import WeakKeyDictionary

from langchain_core.utils.function_calling import convert_to_json_schema
from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticUserError

from langchain_prodpatterns.cache.digests import digest

_CLASS = re.compile(r"<class '([^']{1,400})'>")
_NO_CLASSES: Mapping[str, str] = {}
THIS_PROCESS = uuid4().hex
"""Tells what shows nothing of itself from its namesakes in other processes."""

_schemas: "WeakKeyDictionary[type, str]" = WeakKeyDictionary()


class AmbiguousClass(ValueError):
    """Raised for the name of several classes that have different schemas."""


def with_schemas(text: str, known: Mapping[str, str] = _NO_CLASSES) -> str:
    """Put schemas into a text in place of classes.

    A class is looked up among the modules that are already imported, and among the
    classes that live, as one made at run time is in no module; nothing is ever
    imported. One that is not found is told from its namesakes in other processes.

    Args:
        text: The text of an object.
        known: Full name to schema, of classes that need not be looked up.

    Returns:
        The text, with a literal for each class.

    Raises:
        AmbiguousClass: When classes of one name have different schemas: a text does
            not show which of them is meant.
    """

    def literal(match: re.Match[str]) -> str:
        name = match[1]
        schema = known.get(name) or _schema_of(name)
        return f"'<class {name} {schema}>'" if schema else f"'<class {name}>'"

    return _CLASS.sub(literal, text)


def _schema_of(name: str) -> str | None:
    """Return the schema of the class whose text shows this name.

    Returns:
        Its digest; `None` of a class without a schema.
    """
    found = resolve_class(name)
    # A module may have another class under that name: it shows its own.
    kinds: set[type] = set()
    if found is not None and _name_of(found) == name:
        kinds.add(found)
    if any(kind.__module__ == "builtins" for kind in kinds):
        return None
    # Also where a module has one: a chain may have been built with the one before.
    root = BaseModel if any(issubclass(kind, BaseModel) for kind in kinds) else object
    kinds.update(_living(name, root))
    schemas = {schema_digest(kind) for kind in kinds}
    if len(kinds) > 1 and (len(schemas) > 1 or None in schemas):
        msg = (
            f"{len(kinds)} classes are called {name}, and which of them a request is "
            "for cannot be seen: give each schema a name of its own"
        )
        raise AmbiguousClass(msg)
    return schemas.pop() if schemas else THIS_PROCESS


def _living(name: str, root: type) -> Iterator[type]:
    """Yield the classes of a name below a class."""
    waiting = [root]
    seen: set[int] = set()
    while waiting:
        below: list[type] = type.__subclasses__(waiting.pop())
        for kind in below:
            if id(kind) not in seen:
                seen.add(id(kind))
                waiting.append(kind)
                if name.endswith(kind.__qualname__) and _name_of(kind) == name:
                    yield kind


def _name_of(kind: type) -> str:
    """Return the name that the text of a class shows."""
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


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
        schemas = [schema for schema in _shown(found) if schema is not None]
        if not schemas:
            return None
        # In the order of the fields: that is the order in which a model answers.
        _schemas[found] = digest(json.dumps(schemas))
    return _schemas[found]


def _shown(found: type) -> Iterator[Any]:
    """Yield what of a class a model may be sent: pydantic's schema, or LangChain's.

    LangChain's has the descriptions of a `TypedDict`, which pydantic does not read.
    """
    with suppress(PydanticUserError, TypeError, NameError, AttributeError):
        if issubclass(found, BaseModel):
            yield found.model_json_schema()
            return
        yield TypeAdapter(found).json_schema()
    if is_typeddict(found):
        yield convert_to_json_schema(found)
