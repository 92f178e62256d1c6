"""Read a folder of text and markdown into sections that can be cited."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from langchain_core.documents import Document

from langchain_prodpatterns.demo.errors import DemoError

SUFFIXES = (".md", ".txt")


def load_pages(folder: Path) -> list[Document]:
    """Read every page of a folder and of the folders in it; hidden ones are left out.

    Args:
        folder: Where the text and markdown files are.

    Returns:
        One document a file, its name in `metadata["page"]`, its `number` from 1.

    Raises:
        DemoError: When the folder is missing, holds no page with a text, or a page or a
            folder in it is unreadable.
    """
    _check(folder)
    files = sorted(_files(folder))
    if not files:
        msg = f"--docs {folder}: no {' or '.join(SUFFIXES)} file in it"
        raise DemoError(msg)
    pages = [
        Document(
            _read(path), metadata={"page": str(path.relative_to(folder)), "number": at}
        )
        for at, path in enumerate(files, 1)
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


def _check(folder: Path) -> None:
    try:
        is_folder = stat.S_ISDIR(folder.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        msg = f"--docs {folder}: does not exist"
        raise DemoError(msg) from None
    except OSError as error:
        _refuse(error)
    if not is_folder:
        msg = f"--docs {folder}: is a file, not a folder"
        raise DemoError(msg)


def _files(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder, onerror=_refuse):
        # A virtual environment or a repository is full of texts that are no pages.
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(where, name)
            if path.suffix.lower() in SUFFIXES and not name.startswith("."):
                yield path


def _refuse(error: OSError) -> NoReturn:
    msg = f"--docs: cannot read {error.filename}: {error.strerror}"
    raise DemoError(msg) from None


def _read(path: Path) -> str:
    try:
        # Some editors begin a file with a byte order mark.
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        msg = f"--docs: {path} is not UTF-8 text"
        raise DemoError(msg) from None
    except OSError as error:
        _refuse(error)
