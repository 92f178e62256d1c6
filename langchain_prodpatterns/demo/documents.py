"""Read a folder of text and markdown into sections that can be cited."""

from collections.abc import Iterator
from pathlib import Path

from langchain_core.documents import Document

from langchain_prodpatterns.demo.errors import DemoError

SUFFIXES = (".md", ".txt")


def load_pages(folder: Path) -> list[Document]:
    """Read every page of a folder and of the folders in it.

    Args:
        folder: Where the text and markdown files are.

    Returns:
        One document a file, its name in `metadata["page"]`.

    Raises:
        DemoError: When the folder is missing, holds no page with a text, or a page is
            unreadable.
    """
    if not folder.is_dir():
        kind = "is a file, not a folder" if folder.exists() else "does not exist"
        msg = f"--docs {folder}: {kind}"
        raise DemoError(msg)
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.is_dir()
    )
    if not files:
        msg = f"--docs {folder}: no {' or '.join(SUFFIXES)} file in it"
        raise DemoError(msg)
    pages = [
        Document(_read(path), metadata={"page": str(path.relative_to(folder))})
        for path in files
    ]
    if not any(page.page_content.strip() for page in pages):
        msg = f"--docs {folder}: every file in it is empty"
        raise DemoError(msg)
    return pages


def split_sections(page: Document) -> Iterator[Document]:
    """Cut a page at its second-level headings, so that a hit is a section.

    Args:
        page: A page of markdown or text.

    Yields:
        Its sections, with `page` and `title` (`returns.md: Refunds`) in the metadata.
    """
    lines = page.page_content.splitlines(keepends=True)
    heading = next((line.lstrip("# ").strip() for line in lines if line.strip()), "")
    section: list[str] = []
    for line in [*lines, "## "]:
        if line.startswith("## "):
            text = "".join(section).strip()
            if text:
                title = f"{page.metadata['page']}: {heading}"
                yield Document(text, metadata={**page.metadata, "title": title})
            section, heading = [], line.lstrip("# ").strip()
        section.append(line)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        msg = f"--docs: {path} is not UTF-8 text"
        raise DemoError(msg) from None
    except OSError as error:
        msg = f"--docs: cannot read {path}: {error.strerror}"
        raise DemoError(msg) from None
