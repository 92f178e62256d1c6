"""What a compressor is called with: checked, whoever calls."""

from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.documents import Document
from typing_extensions import TypedDict

from langchain_prodpatterns.arguments import check_count


class CompressInput(TypedDict):
    """What a `ContextCompressor` runs on."""

    question: str
    """What the documents were retrieved for."""
    documents: list[Document]
    """What was retrieved, best first."""


def read_input(value: Any) -> tuple[str, list[Document]]:
    """Check the input of one call.

    Args:
        value: What was given.

    Returns:
        The question and the documents.

    Raises:
        TypeError: When it is something else.
    """
    got = type(value).__name__
    if isinstance(value, Mapping):
        missing = [name for name in ("question", "documents") if name not in value]
        got = f"a {got} without {missing[0]!r}" if missing else ""
    if got:
        msg = (
            'a compressor runs on {"question": str, "documents": [Document]}, got '
            f"{got}"
        )
        raise TypeError(msg)
    question, documents = value["question"], value["documents"]
    if not isinstance(documents, Iterable) or isinstance(documents, str | Document):
        kind = type(documents).__name__
        msg = f"the documents must be a list of Document, got {kind}"
        raise TypeError(msg)
    documents = list(documents)
    if not isinstance(question, str):
        msg = f"the question must be a string, got {type(question).__name__}"
        raise TypeError(msg)
    for document in documents:
        if not isinstance(document, Document):
            msg = f"every document must be a Document, got {type(document).__name__}"
            raise TypeError(msg)
    return question, documents


def read_k(kwargs: dict[str, Any]) -> int | None:
    """Read what can be asked of one call: `k`, the documents returned at most.

    Args:
        kwargs: The keywords of the call.

    Returns:
        `k`; `None` when it was not given.

    Raises:
        ConfigurationError: When `k` is no count.
        TypeError: When there is any other keyword.
    """
    k: int | None = kwargs.pop("k", None)
    if kwargs:
        msg = f"a call takes k and nothing else, got {', '.join(sorted(kwargs))}"
        raise TypeError(msg)
    check_count("k", k)
    return k
