"""Which target a response model is."""

from collections.abc import Mapping
from typing import Any

from langchain_prodpatterns.structured.schema_target import SchemaTarget
from langchain_prodpatterns.structured.target import Target
from langchain_prodpatterns.structured.type_target import TypeTarget


def make_target(response_model: Any) -> Target:
    """Make one validator of whatever a response model may be.

    Args:
        response_model: A pydantic model class, a JSON Schema dict, or another type
            that pydantic validates.

    Returns:
        The target.

    Raises:
        ConfigurationError: When it is none of these.
    """
    if isinstance(response_model, Mapping):
        return SchemaTarget(response_model)
    return TypeTarget(response_model)
