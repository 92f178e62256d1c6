"""A report: headings, words, tables and charts, as one HTML file."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TypeAlias

from langchain_prodpatterns._version import __version__
from langchain_prodpatterns.reports.charts import (
    Bars,
    Chart,
    bars_svg,
    chart_svg,
    legend,
)
from langchain_prodpatterns.reports.style import STYLE

# Nothing is loaded, run or sent, whatever a name in the page may hold.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'"


@dataclass(frozen=True, slots=True)
class Cards:
    """The figures that matter most, in large."""

    figures: Sequence[tuple[str, str]]
    """What it is, and how much."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of figures and words."""

    caption: str
    """What the rows are."""
    columns: Sequence[str]
    """The names of the columns."""
    rows: Sequence[Sequence[str]]
    """The cells."""
    words: Collection[str] = ()
    """The columns that hold words."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart, and the figures that are in it."""

    chart: Chart | Bars
    """The chart."""
    table: Table
    """Its figures."""


Block: TypeAlias = str | Cards | Table | Figure
"""What a section is made of; a text is a paragraph."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report."""

    title: str
    """Its heading; empty for what stands first."""
    blocks: Sequence[Block]
    """What is in it."""


def page(title: str, sections: Sequence[Section]) -> str:
    """Write a report.

    Args:
        title: The heading of the whole.
        sections: Its parts. All words in it are shown as they are, never as HTML.

    Returns:
        The HTML.
    """
    body = "\n".join(_section(one, f"s{at}") for at, one in enumerate(sections))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<main>\n<h1>{escape(title)}</h1>\n{body}\n</main>\n"
        f'<footer class="faint"><p>langchain-prodpatterns {__version__}</p></footer>\n'
        "</body>\n</html>\n"
    )


def write_page(text: str, path: str | Path) -> None:
    """Write a report to a file, in the one encoding that it declares.

    Args:
        text: The HTML.
        path: The file; one that is there is replaced.

    Raises:
        OSError: When it cannot be written.
    """
    # A lone surrogate in a name is no reason to have no report.
    Path(path).write_bytes(text.encode("utf-8", "replace"))


def _section(section: Section, name: str) -> str:
    heading = f"<h2>{escape(section.title)}</h2>\n" if section.title else ""
    blocks = [_block(one, f"{name}b{at}") for at, one in enumerate(section.blocks)]
    return "\n".join([f"<section>\n{heading}", *blocks, "</section>"])


def _block(block: Block, name: str) -> str:
    if isinstance(block, str):
        return f"<p>{escape(block)}</p>"
    if isinstance(block, Cards):
        cards = (
            f"<div><dt>{escape(what)}</dt><dd>{escape(much)}</dd></div>"
            for what, much in block.figures
        )
        return f'<dl class="cards">{"".join(cards)}</dl>'
    if isinstance(block, Table):
        return _table(block)
    chart = block.chart
    drawn = bars_svg(chart, name) if isinstance(chart, Bars) else chart_svg(chart, name)
    return (
        f"<figure>\n<figcaption>{escape(chart.title)}</figcaption>\n"
        f"<div>{drawn}\n{legend(chart)}</div>\n{_table(block.table)}\n</figure>"
    )


def _table(table: Table) -> str:
    kinds = [' class="word"' if name in table.words else "" for name in table.columns]
    head = "".join(
        f'<th scope="col"{kind}>{escape(name)}</th>'
        for name, kind in zip(table.columns, kinds, strict=True)
    )
    rows = "\n".join(
        "<tr>"
        + "".join(
            f"<td{kind}>{escape(cell)}</td>"
            for cell, kind in zip(row, kinds, strict=True)
        )
        + "</tr>"
        for row in table.rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" '
        f'aria-label="{escape(table.caption)}">\n<table>\n'
        f"<caption>{escape(table.caption)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n</div>"
    )
