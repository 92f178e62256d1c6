"""What the report of a ledger shows, and what it never does."""

import re
from pathlib import Path
from uuid import UUID

import pytest

from langchain_prodpatterns.ledger import Decision, Ledger
from langchain_prodpatterns.ledger_lines import Books
from langchain_prodpatterns.usage import ModelCall, Usage
from tests.unit_tests.reports.test_pages import read

DAY = 86_400.0
START = 1_700_049_600.0
USED = Usage(calls=1, input_tokens=100, output_tokens=10, usd=0.25, seconds=1.0)


def call(number: int, **fields: object) -> ModelCall:
    given: dict[str, object] = {
        "run_id": UUID(int=number),
        "pattern": None,
        "owner": None,
        "model": "gpt",
        "usage": USED,
        "name": "answer",
        "prompt": "d1",
        "at": START,
        **fields,
    }
    return ModelCall(**given)  # type: ignore[arg-type]  # fields by name


def ledger_of(*heard: ModelCall, made: tuple[Decision, ...] = ()) -> Ledger:
    ledger = Ledger()
    ledger._calls = {one.run_id: one for one in heard}
    ledger._decisions = {one.run_id: one for one in made}
    return ledger


def decision(pattern: str, name: str, run: str, **fields: object) -> Decision:
    given: dict[str, object] = {"run_id": run, "at": START, **fields}
    return Decision(pattern, name, **given)  # type: ignore[arg-type]  # fields by name


def words(ledger: Ledger) -> list[str]:
    return [one for one in read(ledger.to_html()).words if one.strip()]


def table(found: list[str], caption: str, columns: int) -> list[list[str]]:
    """The rows of a table, its head first."""
    start = found.index(caption) + 1
    cells = found[start:]
    return [cells[at : at + columns] for at in range(0, len(cells), columns)]


def test_all_figures_are_of_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = ledger_of(call(1))
    books = ledger._books

    def copied() -> Books:
        found = books()
        ledger.observe(call(2))
        return found

    monkeypatch.setattr(ledger, "_books", copied)

    found = words(ledger)
    assert found[found.index("model calls") + 1] == "1"
    assert "Of 1 prompts, the dearest" in found
    assert any(one.startswith("1 decisions from") for one in found)


def test_a_pattern_has_one_color_in_all_charts() -> None:
    saves = decision("cache", "hit", "r", saved_calls=1, saved_usd=0.5)

    text = ledger_of(call(1), made=(saves,)).to_html()

    # What is spent is the model's, what is saved is the cache's.
    assert re.findall(r'<rect class="f(\d)" width="12".*?</svg>(\w+)</li>', text) == [
        ("1", "model"),
        ("0", "cache"),
    ]
    assert len(re.findall(r'<rect class="f1" x=', text)) == 1
    assert len(re.findall(r'<rect class="f0" x=', text)) == 1


def test_an_empty_ledger_has_a_report() -> None:
    found = words(Ledger())

    assert "0 decisions." in found
    assert "Over time" not in found
    assert "The most expensive prompts" not in found


def test_sums_are_those_of_the_ledger() -> None:
    ledger = ledger_of(call(1), call(2))
    found = words(ledger)

    assert found[found.index("usd spent") + 1] == "0.5000"
    assert found[found.index("tokens") + 1] == "220"
    assert "2 decisions from 2023-11-15 12:00 to 2023-11-15 12:00 (UTC)." in found


def test_the_ten_dearest_prompts_are_named_by_run_and_digest() -> None:
    heard = [
        call(n, prompt=f"d{n}", usage=Usage(1, 5, 5, usd=n / 100)) for n in range(1, 13)
    ]
    again = call(20, prompt="d1", usage=Usage(1, 5, 5, usd=1.0))
    unknown = call(21, prompt="free", usage=Usage(1, 900, 5, usd=None))
    failed = call(22, prompt="failed", usage=Usage(), error="ValueError")

    found = words(ledger_of(*heard, again, unknown, failed))
    _, *rows = table(found, "Of 13 prompts, the dearest", 8)

    assert rows[0] == ["model", "answer", "gpt", "d1", "2", "10", "10", "1.0100"]
    assert [row[3] for row in rows[1:10]] == [f"d{n}" for n in range(12, 3, -1)]
    assert "free" not in found
    assert "failed" not in found


def test_what_has_no_price_is_ordered_by_tokens() -> None:
    few = call(1, prompt="few", usage=Usage(1, 5, 5, usd=None))
    many = call(2, prompt="many", usage=Usage(1, 500, 5, usd=None))

    found = words(ledger_of(few, many))
    _, *rows = table(found, "Of 2 prompts, the dearest", 8)

    assert [row[3] for row in rows[:2]] == ["many", "few"]
    assert rows[0][7] == "unknown"
    assert "Model calls (not every price is known), by minute" in found


def test_time_shows_what_each_pattern_spent_and_saved() -> None:
    saving = decision("cache", "exact", "c", saved_calls=1, saved_usd=0.5)
    ledger = ledger_of(call(1), call(2, at=START + 9 * DAY), made=(saving,))

    found = words(ledger)

    spent = table(found, "usd by day and pattern", 2)
    assert spent[:3] == [
        ["day", "model"],
        ["2023-11-15", "0.25"],
        ["2023-11-24", "0.25"],
    ]
    assert "Saved, by day" in found


def test_decisions_are_counted_by_kind() -> None:
    made = (
        decision("cache", "exact", "1", saved_calls=2, saved_tokens=30),
        decision("cache", "exact", "2"),
        decision("cache", "judged hit", "3"),
        decision("structured", "valid", "4", counts={"rung 0": 2, "rung 1": 1}),
        decision("structured", "valid", "5", counts={"rung 0": 1, "given": 1}),
        decision("refine", "target", "6", counts={"rounds": 3}),
        decision("refine", "target", "7", counts={"rounds": 2}),
        decision("refine", "patience", "8", counts={"rounds": 1}),
        decision("guard", "blocked", "9", counts={"blocked card": 2}),
        decision("guard", "clean", "10"),
        decision("routing", "distance", "11"),
    )
    found = words(ledger_of(made=made))

    assert table(found, "3 decisions", 5)[1:3] == [
        ["exact", "2", "66.7%", "2", "30"],
        ["judged hit", "1", "33.3%", "0", "0"],
    ]
    assert table(found, "5 attempts", 2)[1:4] == [
        ["0", "3"],
        ["1", "1"],
        ["given", "1"],
    ]
    assert table(found, "Refinements", 4)[1:3] == [
        ["target", "2", "5", "2.5"],
        ["patience", "1", "1", "1.0"],
    ]
    assert table(found, "2 blocked values and texts", 2)[1] == ["card", "2"]
    assert "What the router decided by" in found


def test_what_the_sums_leave_out_is_said() -> None:
    found = words(ledger_of(call(1, usage=Usage(), error="TimeoutError")))

    assert "1 call failed." in found


def test_it_is_written_where_it_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "ledger.html"

    assert Ledger().to_html(path) == path.read_text("utf-8")
