"""The reports of calibrations in a real browser."""

import json
from pathlib import Path
from typing import Any

import pytest

from langchain_prodpatterns.cli import main
from tests.integration_tests.reports.browser import dom_of
from tests.unit_tests.commands.calibrating import (
    EMBEDDINGS,
    pair,
    routes,
    texts,
)

DATA: dict[str, tuple[list[dict[str, Any]], tuple[str, ...]]] = {
    "cache": (
        [pair(at, same=bool(at % 40)) for at in range(1, 200)],
        ("Served share against wrong share", "Reliability", "chosen: unjudged from"),
    ),
    "router": (
        routes(),
        ("Coverage against precision", "Reliability", "promised: 90%"),
    ),
    "guard": (
        texts(),
        ("Attacks found against false positives", "By source", "red team"),
    ),
}


@pytest.mark.parametrize("component", DATA)
def test_a_browser_shows_the_report(tmp_path: Path, component: str) -> None:
    rows, expected = DATA[component]
    data, page = tmp_path / "rows.jsonl", tmp_path / "report.html"
    data.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    more = {"cache": ["--delta", "0.2"], "router": ["--precision", "0.9"]}
    arguments = ["calibrate", component, str(data), "--report", str(page)]
    if component != "guard":
        arguments += ["--embeddings", EMBEDDINGS, *more[component]]
    assert main(arguments) == 0

    shown = dom_of(page, tmp_path)

    for text in (f"Calibration of a {component}", *expected):
        assert text in shown
    assert shown.count('role="img"') == 2
    assert shown.count("<polyline") >= 2
    assert shown.count("<table>") >= 2
    assert "secret" not in shown
