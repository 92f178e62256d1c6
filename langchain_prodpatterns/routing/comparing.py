"""A query beside the tools, or why it could not be compared with them."""

import logging
from typing import NamedTuple

from langchain_prodpatterns.routing.base import Embedded
from langchain_prodpatterns.routing.decision import Standing

logger = logging.getLogger(__name__)


class Compared(NamedTuple):
    """A query beside the tools."""

    standing: Standing
    """How it stands to them."""
    embedded: Embedded | None = None
    """The query as it was compared, if it could be."""


def not_compared(error: Exception) -> Compared:
    """Put down that the embeddings failed, so that the fallback is asked."""
    # The message of an embedder's error may quote the query: only its type is safe.
    kind = type(error).__name__
    logger.warning("routing: the embeddings failed (%s), asking the fallback", kind)
    return Compared(Standing((), f"the query could not be compared ({kind})"))
