"""Telling one embedding model from another."""

from dataclasses import dataclass
from typing import Any

from langchain_core.embeddings import Embeddings

from langchain_prodpatterns.errors import ConfigurationError

_NAMES = ("model", "model_name", "model_id", "deployment", "repo_id")
_INNER = ("underlying_embeddings", "underlying_embedding")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Which embedding model made the vectors of a store."""

    name: str
    """The class and the model's name."""
    dimensions: int | None = None
    """The length of its vectors, where it is known."""

    def __str__(self) -> str:
        length = "unknown" if self.dimensions is None else str(self.dimensions)
        return f"{self.name}, dimension {length}"

    def admits(self, other: "Fingerprint") -> bool:
        """Whether vectors of another may stand beside those of this one.

        Args:
            other: Whose dimensions may not be known yet.
        """
        same_length = other.dimensions in {None, self.dimensions}
        return self.name == other.name and same_length


def check_embeddings(embeddings: object) -> None:
    """Refuse what are no embeddings.

    Raises:
        ConfigurationError: When they are anything else.
    """
    if isinstance(embeddings, Embeddings):
        return
    given = type(embeddings).__name__
    if isinstance(embeddings, type):
        given = f"a class, give {embeddings.__name__}(...)"
    msg = f"embeddings must be LangChain Embeddings, got {given}"
    raise ConfigurationError(msg)


def fingerprint_of(embeddings: Embeddings) -> Fingerprint:
    """Return the fingerprint of embeddings, without calling them.

    Args:
        embeddings: The embeddings; one that only caches another is seen through.

    Returns:
        Class and model name. The dimension shows with the first vector.
    """
    for attribute in _INNER:
        inner = getattr(embeddings, attribute, None)
        if isinstance(inner, Embeddings):
            return fingerprint_of(inner)
    name = ", ".join(filter(None, (_model_name(embeddings), _deployment(embeddings))))
    return Fingerprint(f"{type(embeddings).__qualname__}({name})")


def length_of(embeddings: Embeddings) -> int | None:
    """Return how long vectors will be, where the embeddings say so beforehand.

    Args:
        embeddings: As for `fingerprint_of`.
    """
    for attribute in _INNER:
        inner = getattr(embeddings, attribute, None)
        if isinstance(inner, Embeddings):
            return length_of(inner)
    length = getattr(embeddings, "dimensions", None)
    return length if isinstance(length, int) else None


def _model_name(embeddings: Any) -> str:
    for attribute in _NAMES:
        name = getattr(embeddings, attribute, None)
        if isinstance(name, str) and name:
            return name
    return ""


def _deployment(embeddings: Any) -> str:
    """Return the deployment that was asked for by name.

    Where there is one, it says which model answers, while the name of the model may be
    no more than a default.
    """
    given = getattr(embeddings, "model_fields_set", ())
    name = getattr(embeddings, "deployment", None) if "deployment" in given else None
    return f"deployment {name}" if isinstance(name, str) and name else ""
