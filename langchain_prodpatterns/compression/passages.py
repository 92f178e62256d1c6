"""What a scorer ranks and a packer packs: the passages of all documents together."""

from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.documents import Document

from langchain_prodpatterns.compression.splitter import Splitter, read_spans


@dataclass(frozen=True, slots=True)
class Passage:
    """A quotable part of one document."""

    document: int
    """Which of the documents, counted from 0 in the order of retrieval."""
    start: int
    """Offset of its first character in the document."""
    end: int
    """Offset behind its last character."""
    text: str
    """The part itself, verbatim."""
    title: str = ""
    """The title of the document."""
    section: str = ""
    """The headings above the passage."""
    header: tuple[int, int] | None = None
    """A part of the document that has to be quoted with it."""
    relevance: float | None = None
    """How well the document as a whole answers, by another's judgment."""

    @property
    def titled(self) -> str:
        """The passage as it is embedded: what it is about, then what it says."""
        about = ": ".join(filter(None, (self.title, self.section)))
        return f"{about}: {self.text}" if about else self.text


def cut_passages(
    documents: Sequence[Document],
    splitter: Splitter,
    relevance: Sequence[float] | None = None,
) -> list[Passage]:
    """Split all documents into passages, in order.

    Args:
        documents: What was retrieved.
        splitter: How to split.
        relevance: What another said of each document as a whole, if anything.

    Returns:
        The passages of the first document, then those of the second, and so on.
    """
    told = [None] * len(documents) if relevance is None else relevance
    found: list[Passage] = []
    for number, document in enumerate(documents):
        text = document.page_content
        title = plain_title(document.metadata.get("title"))
        found += [
            Passage(
                document=number,
                start=span.start,
                end=span.end,
                text=text[span.start : span.end],
                title=title,
                section=span.title,
                header=span.header,
                relevance=told[number],
            )
            for span in read_spans(splitter, text)
        ]
    return found


_LONGEST_TITLE = 120


def plain_title(value: object) -> str:
    """Make one short line of a title, which may be anything; "" without one."""
    if not isinstance(value, str):
        return ""
    # A title of a megabyte is not worth splitting into words.
    return " ".join(value[: 4 * _LONGEST_TITLE].split())[:_LONGEST_TITLE].rstrip()
