"""A report as one file that asks for nothing else."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from langchain_prodpatterns.booking import DIRECT
from langchain_prodpatterns.reports.charts import Axis, Bars, Chart, Series
from langchain_prodpatterns.reports.pages import (
    Block,
    Cards,
    Figure,
    Section,
    Table,
    page,
    write_page,
)
from langchain_prodpatterns.reports.style import COLORS, STYLE

HOSTILE = '"><img src=x onerror=alert(1)>&amp;'
VOID = {"meta"}


class Reader(HTMLParser):
    """Reads a page, and refuses tags that do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def everything(word: str) -> str:
    table = Table(word, [word, "number"], [[word, "1"]], [word])
    chart = Chart(word, Axis(word), Axis(word), [Series(word, [(0, 0), (1, 1)])])
    bars = Bars(word, Axis(word), Axis(word), [word], [(word, [1.0])])
    blocks: list[Block] = [
        word,
        Cards([(word, word)]),
        table,
        Figure(chart, table),
        Figure(bars, table),
    ]
    return page(word, [Section(word, blocks), Section("", [word])])


def test_words_are_shown_as_they_are_and_never_as_markup() -> None:
    reader = read(everything(HOSTILE))

    assert "img" not in reader.tags
    assert HOSTILE in reader.words


def test_nothing_is_loaded_and_nothing_runs() -> None:
    reader = read(everything("word"))

    assert not {"script", "link", "img", "iframe"} & set(reader.tags)
    names = {name for name, _ in reader.attributes}
    assert not {"src", "href", "srcset", "action"} & names
    assert not [name for name in names if name.startswith("on")]
    policy = dict(reader.attributes)["content"]
    assert "default-src 'none'" in "".join(v or "" for _, v in reader.attributes)
    assert policy is not None
    assert "url(" not in everything("word")
    assert "@import" not in everything("word")


def test_every_color_is_one_of_its_own_in_light_and_dark() -> None:
    for scheme in STYLE.split("@media")[:2]:
        colors = re.findall(r"--c\d: (#[0-9a-f]{6});", scheme)
        assert len(set(colors)) == len(colors) == COLORS
    for at in range(COLORS):
        assert f".f{at} {{" in STYLE
        assert f".s{at} {{" in STYLE
    patterns = ("cache", "structured", "refine", "compression", "guard", "routing")
    assert len(patterns) + len([DIRECT]) <= COLORS


def test_ids_are_unique_and_every_picture_has_a_name() -> None:
    reader = read(everything("word"))

    ids = [value for name, value in reader.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    named = [value for name, value in reader.attributes if name == "aria-labelledby"]
    assert named
    assert {each for value in named for each in (value or "").split()} <= set(ids)


def test_a_row_has_as_many_cells_as_there_are_columns() -> None:
    with pytest.raises(ValueError, match="zip"):
        page("t", [Section("", [Table("c", ["a", "b"], [["1"]])])])


def test_it_is_written_in_the_encoding_that_it_declares(tmp_path: Path) -> None:
    path = tmp_path / "page.html"

    write_page(page("naïve \ud800", []), path)

    assert "naïve ?" in path.read_text("utf-8")
