"""Tables of plain text."""

from collections.abc import Collection, Sequence
from io import StringIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from langchain_prodpatterns.booking import LedgerSummary

COLUMNS = (
    "pattern",
    "runs",
    "calls",
    "tokens\nin",
    "tokens\nout",
    "usd",
    "seconds",
    "saved\ncalls",
    "saved\ntokens",
    "saved\nusd",
    "saved\nseconds",
)
"""What is told of each pattern in a ledger's table."""
_WIDTH = 140
_SMALLEST = 0.0001


def ledger_table(summary: LedgerSummary) -> str:
    """Render one row a pattern and one of totals."""
    table = Table(box=SIMPLE_HEAD, show_footer=False)
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "pattern" else "right")
    for pattern, group in summary.by_pattern.items():
        table.add_row(Text(pattern), *cells(group))
    table.add_section()
    table.add_row("total", *cells(summary))
    return "\n".join([_plain(table), *notes(summary)])


def plain_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    words: Collection[str] = (),
) -> str:
    """Render rows of figures, and of words.

    Args:
        columns: The names of the columns.
        rows: The cells, shown as they are: brackets in them are no markup.
        words: The columns that hold words, which begin at the left.
    """
    table = Table(box=SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, justify="left" if column in words else "right")
    for row in rows:
        table.add_row(*map(Text, row))
    return _plain(table)


def _plain(table: Table) -> str:
    page = StringIO()
    # In a notebook rich would display the table and leave the page empty.
    console = Console(file=page, width=_WIDTH, color_system=None, force_jupyter=False)
    console.print(table)
    lines = page.getvalue().splitlines()
    return "\n".join(line.rstrip() for line in lines if line.strip())


def cells(group: LedgerSummary) -> tuple[str, ...]:
    """Write sums of the ledger, for all `COLUMNS` but the first."""
    return (
        str(group.decisions),
        str(group.calls),
        str(group.input_tokens),
        str(group.output_tokens),
        money(group.usd, group.known_usd),
        f"{group.seconds:.2f}",
        str(group.saved_calls),
        str(group.saved_tokens),
        money(group.saved_usd, group.known_saved_usd),
        f"{group.saved_seconds:.2f}",
    )


def money(usd: float | None, known: float) -> str:
    """Write money, and as much of it as is known."""
    if usd is None:
        return f">{known:.4f}" if known >= _SMALLEST else "unknown"
    # What is paid for is never shown as nothing.
    return "<0.0001" if 0 < usd < _SMALLEST else f"{usd:.4f}"


def notes(summary: LedgerSummary) -> list[str]:
    """Say what the sums of a ledger leave out."""
    found = []
    if None in {summary.usd, summary.saved_usd}:
        found.append("unknown, or the part after >: calls whose price nobody knows")
    if summary.unmetered_calls:
        calls = _calls(summary.unmetered_calls)
        found.append(f"{calls} sent no usage or broke off: tokens not counted")
    if summary.open_calls:
        calls = _calls(summary.open_calls)
        found.append(f"{calls} not ended, under way or cancelled: not counted")
    if summary.failed_calls:
        found.append(f"{_calls(summary.failed_calls)} failed")
    return found


def _calls(count: int) -> str:
    return f"{count} call" if count == 1 else f"{count} calls"
