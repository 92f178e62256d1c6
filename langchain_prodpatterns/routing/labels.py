"""Labeled queries: read from what users have, and kept with their vectors."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.routing.fitting import Labeled

Floats = npt.NDArray[np.float32]

LabelsLike: TypeAlias = (
    Iterable[tuple[str, str | None]]
    | Mapping[str, str | None]
    | Mapping[str | None, Sequence[str]]
)
"""Pairs of a query and the name of its tool (`None`: no tool fits); a mapping from
queries to names; or a mapping from names to lists of queries."""

_PAIR = 2


@dataclass(frozen=True, slots=True)
class Label:
    """A query, and where it goes."""

    query: str
    """The query."""
    tool: str | None
    """The name of the right tool, or `None`: no tool fits."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """Labels with the vectors of their queries."""

    labels: tuple[Label, ...]
    """The labels."""
    rows: Floats
    """A vector each, unit length."""

    def without(self, queries: Collection[str]) -> "Lesson | None":
        """Return the labels of other queries, which are given normalized."""
        left = [
            at
            for at, label in enumerate(self.labels)
            if normal(label.query) not in queries
        ]
        if not left:
            return None
        return Lesson(tuple(self.labels[at] for at in left), self.rows[left])

    def numbered(self, names: Sequence[str]) -> Labeled:
        """Return them by the number of the tool; one that is not there is none."""
        numbers = {name: number for number, name in enumerate(names)}
        owners = [
            -1 if label.tool is None else numbers.get(label.tool, -1)
            for label in self.labels
        ]
        texts = [label.query for label in self.labels]
        return Labeled(texts, self.rows, np.array(owners, dtype=np.int64))


def normal(query: str) -> str:
    """Return a query as it is looked up: without case and superfluous blanks."""
    return " ".join(query.casefold().split())


def read_labels(examples: LabelsLike, names: Collection[str]) -> tuple[Label, ...]:
    """Read labeled queries.

    Args:
        examples: The queries with their tools.
        names: The names of the tools.

    Returns:
        The labels, in order; one that is there twice, whatever its case and blanks,
        counts once.

    Raises:
        ConfigurationError: When there is none, one is none, or it names no tool.
    """
    labels = [_read(*each, names) for each in enumerate(_pairs(examples))]
    if not labels:
        msg = "examples is empty: give pairs of a query and the name of its tool"
        raise ConfigurationError(msg)
    found: dict[str, Label] = {}
    for label in labels:
        before = found.setdefault(normal(label.query), label)
        if before.tool != label.tool:
            msg = (
                f"an example is labeled twice, with {before.tool!r} and with "
                f"{label.tool!r}: keep the right one"
            )
            raise ConfigurationError(msg)
    return tuple(found.values())


def _pairs(examples: LabelsLike) -> Iterable[Any]:
    if isinstance(examples, str) or not isinstance(examples, Iterable):
        kind = type(examples).__name__
        msg = f"examples must be pairs of a query and the name of a tool, got {kind}"
        raise ConfigurationError(msg)
    if not isinstance(examples, Mapping):
        return examples
    pairs: list[Any] = []
    for key, value in examples.items():
        if value is None or isinstance(value, str):
            pairs.append((key, value))
        elif isinstance(value, Iterable):
            pairs.extend((query, key) for query in value)
        else:
            kind = type(value).__name__
            msg = f"examples must map a name to a list of queries, got {kind}"
            raise ConfigurationError(msg)
    return pairs


def _read(number: int, pair: Any, names: Collection[str]) -> Label:
    # The query itself may be private: the message says where it is, not what.
    if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != _PAIR:
        kind = type(pair).__name__
        msg = (
            f"example {number} must be a pair of a query and the name of its tool, got "
            f"{kind}"
        )
        raise ConfigurationError(msg)
    query, tool = pair
    if not isinstance(query, str) or not query.strip():
        msg = f"the query of example {number} must be a text that is not blank"
        raise ConfigurationError(msg)
    check_tool(f"example {number}", tool, names)
    return Label(query.strip().encode("utf-8", "replace").decode(), tool)


def check_tool(owner: str, tool: object, names: Collection[str]) -> None:
    """Refuse a label that names no tool.

    Raises:
        ConfigurationError: When it is neither the name of a tool nor `None`.
    """
    if tool is not None and not (isinstance(tool, str) and tool in names):
        msg = (
            f"{owner} is labeled {tool!r}, but the tools are {list(names)}; None says "
            "that no tool fits"
        )
        raise ConfigurationError(msg)
