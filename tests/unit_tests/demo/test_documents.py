import os
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document

from langchain_prodpatterns.demo.documents import load_pages, split_sections
from langchain_prodpatterns.demo.errors import DemoError
from langchain_prodpatterns.demo.options import DATA


def test_reads_markdown_and_text_below_a_folder(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.md").write_text("# A", encoding="utf-8")
    (tmp_path / "b.txt").write_text("B", encoding="utf-8")
    (tmp_path / "c.pdf").write_bytes(b"%PDF")

    pages = load_pages(tmp_path)

    assert {page.metadata["page"] for page in pages} == {
        str(Path("inner") / "a.md"),
        "b.txt",
    }


def test_a_missing_folder_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match=r"nowhere: does not exist"):
        load_pages(tmp_path / "nowhere")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text("x", encoding="utf-8")

    with pytest.raises(DemoError, match="is a file, not a folder"):
        load_pages(file)


def test_an_empty_folder_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match=r"no \.md or \.txt file in it"):
        load_pages(tmp_path)


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(DemoError, match=r"page\.md is not UTF-8 text"):
        load_pages(tmp_path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "page.md").symlink_to(tmp_path / "gone")

    with pytest.raises(DemoError, match=r"cannot read .*page\.md: No such file"):
        load_pages(tmp_path)


def test_a_folder_with_the_name_of_a_page_is_none(tmp_path: Path) -> None:
    (tmp_path / "notes.md").mkdir()
    (tmp_path / "notes.md" / "A.MD").write_text("# A", encoding="utf-8")

    (page,) = load_pages(tmp_path)

    assert page.metadata["page"] == str(Path("notes.md") / "A.MD")


def test_a_folder_of_empty_files_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "a.md").touch()
    (tmp_path / "b.txt").write_text(" \n", encoding="utf-8")

    with pytest.raises(DemoError, match="every file in it is empty"):
        load_pages(tmp_path)


def test_sections_carry_page_and_heading() -> None:
    page = Document("# Top\n\nIntro.\n\n## One\n\nText.\n", metadata={"page": "p.md"})

    sections = list(split_sections(page))

    assert [section.metadata["title"] for section in sections] == [
        "p.md: Top",
        "p.md: One",
    ]
    assert sections[1].page_content == "## One\n\nText."


def test_no_line_of_the_handbook_is_lost() -> None:
    for page in load_pages(DATA / "handbook"):
        joined = "\n".join(part.page_content for part in split_sections(page))
        for line in page.page_content.splitlines():
            assert line.strip() in joined


def test_a_byte_order_mark_is_no_part_of_a_page(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"\xef\xbb\xbf# A")

    (page,) = load_pages(tmp_path)

    assert page.page_content == "# A"


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "licence.txt").write_text("no page", encoding="utf-8")
    (tmp_path / "._a.md").write_bytes(b"\xff")
    (tmp_path / "a.md").write_text("# A", encoding="utf-8")

    (page,) = load_pages(tmp_path)

    assert page.metadata["page"] == "a.md"


def test_a_folder_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The tests may run as root, who can read everything.
    inner, scandir = tmp_path / "inner", os.scandir
    inner.mkdir()
    (tmp_path / "a.md").write_text("# A", encoding="utf-8")

    def refusing(path: Any) -> Any:
        if os.fspath(path) == os.fspath(inner):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)

    with pytest.raises(DemoError, match=r"cannot read .*inner: Permission denied"):
        load_pages(tmp_path)


def test_a_folder_below_one_that_is_closed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, **_: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refuse)

    with pytest.raises(DemoError, match=r"cannot read .*: Permission denied"):
        load_pages(tmp_path)
