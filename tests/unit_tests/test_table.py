"""The ledger's table."""

from typing import Any

import pytest
import rich.console

from langchain_prodpatterns._table import ledger_table, plain_table
from langchain_prodpatterns.ledger import LedgerSummary

GROUP = LedgerSummary(
    decisions=2,
    calls=3,
    input_tokens=120,
    output_tokens=45,
    usd=0.0123,
    seconds=1.5,
    saved_calls=1,
    saved_tokens=99,
    saved_usd=0.5,
    saved_seconds=2.25,
)


def summary(group: LedgerSummary = GROUP, **more: object) -> LedgerSummary:
    fields = {name: getattr(group, name) for name in LedgerSummary.__dataclass_fields__}
    return LedgerSummary(**{**fields, "by_pattern": {"cache": group}, **more})


def test_a_row_a_pattern_and_one_of_totals() -> None:
    lines = ledger_table(summary()).splitlines()
    cells = ["2", "3", "120", "45", "0.0123", "1.50", "1", "99", "0.5000", "2.25"]
    assert lines[0].split() == ["tokens"] * 2 + ["saved"] * 4
    assert lines[1].split() == [
        *("pattern", "runs", "calls", "in", "out", "usd", "seconds"),
        *("calls", "tokens", "usd", "seconds"),
    ]
    assert lines[3].split() == ["cache", *cells]
    assert lines[-1].split() == ["total", *cells]


def test_plain_text_without_colors_or_trailing_space(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "20")
    text = ledger_table(summary())
    assert "\x1b" not in text
    assert all(line == line.rstrip() and line for line in text.splitlines())
    assert len(text.splitlines()) == 5


def test_a_notebook_gets_the_text_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    assert "cache" in ledger_table(summary())


def test_an_unknown_price_is_unknown_and_not_zero() -> None:
    group = LedgerSummary(calls=1, usd=None, saved_usd=None)
    lines = ledger_table(summary(group)).splitlines()
    for row in (lines[3], lines[4]):
        assert row.split().count("unknown") == 2
    assert lines[5].startswith("unknown, or the part after >")


def test_of_a_sum_with_an_unknown_part_the_known_part_is_shown() -> None:
    group = LedgerSummary(calls=2, usd=None, known_usd=0.25)
    row = ledger_table(summary(group)).splitlines()[3]
    assert ">0.2500" in row.split()


@pytest.mark.parametrize(
    ("usd", "shown"),
    [(0.0, "0.0000"), (0.00001, "<0.0001"), (0.0001, "0.0001"), (12.5, "12.5000")],
)
def test_small_money_is_not_shown_as_nothing(usd: float, shown: str) -> None:
    row = ledger_table(summary(LedgerSummary(usd=usd))).splitlines()[-1]
    assert row.split()[5] == shown


@pytest.mark.parametrize(
    ("counts", "notes"),
    [
        ({}, []),
        (
            {"unmetered_calls": 1},
            ["1 call sent no usage or broke off: tokens not counted"],
        ),
        ({"failed_calls": 2}, ["2 calls failed"]),
        (
            {"open_calls": 1},
            ["1 call not ended, under way or cancelled: not counted"],
        ),
        (
            {"unmetered_calls": 2, "failed_calls": 1},
            ["2 calls sent no usage or broke off: tokens not counted", "1 call failed"],
        ),
    ],
)
def test_what_is_not_in_the_sums_is_said(
    counts: dict[str, Any], notes: list[str]
) -> None:
    plain = ledger_table(summary()).splitlines()
    text = ledger_table(summary(**counts))
    assert text.splitlines()[len(plain) :] == notes


def test_a_name_with_brackets_is_no_markup() -> None:
    summary = LedgerSummary(by_pattern={"[/red]": LedgerSummary()})

    assert "[/red]" in ledger_table(summary)


def test_an_empty_ledger_has_a_table_of_zeros() -> None:
    lines = ledger_table(LedgerSummary()).splitlines()
    assert lines[-1].split()[:3] == ["total", "0", "0"]


def test_cells_are_shown_as_they_are_and_words_begin_at_the_left() -> None:
    text = plain_table(("name", "n"), [("[b]x[/c]", "1"), ("y", "22")], words=("name",))

    assert [line.split() for line in text.splitlines()] == [
        ["name", "n"],
        [text.splitlines()[1].strip()],
        ["[b]x[/c]", "1"],
        ["y", "22"],
    ]
    assert text.splitlines()[3].startswith("  y ")
