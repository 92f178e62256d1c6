"""Typed answers: parse strictly, ask again with the error, climb to a stronger model.

`SchemaParser` reads a model's text as a validated value and calls no model.
`StructuredRetryParser` asks the models of a ladder until an answer is valid, within a
budget, and raises one error with every attempt otherwise.
"""

from langchain_prodpatterns.structured.attempts import (
    Attempt,
    AttemptKind,
    FieldError,
    Reading,
    StructuredResult,
)
from langchain_prodpatterns.structured.ladder import Rung
from langchain_prodpatterns.structured.learned_start import LearnedStart, RungRecord
from langchain_prodpatterns.structured.modes import Explanation
from langchain_prodpatterns.structured.partial_shapes import Partial
from langchain_prodpatterns.structured.schema_parser import SchemaParser
from langchain_prodpatterns.structured.structured_retry_parser import (
    StructuredRetryParser,
)

__all__ = [
    "Attempt",
    "AttemptKind",
    "Explanation",
    "FieldError",
    "LearnedStart",
    "Partial",
    "Reading",
    "Rung",
    "RungRecord",
    "SchemaParser",
    "StructuredResult",
    "StructuredRetryParser",
]
