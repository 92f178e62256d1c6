"""`prodpatterns calibrate router`: from labels to a bar."""

import json
from pathlib import Path
from typing import Any

import pytest

from langchain_prodpatterns import ToolRouter
from langchain_prodpatterns.commands.calibrate_router import read_row as read_route
from langchain_prodpatterns.routing.labels import Label
from tests.unit_tests.commands.calibrating import (
    EMBEDDINGS,
    HERE,
    SMALL,
    TOOLS,
    lines,
    routes,
)
from tests.unit_tests.commands.conftest import Calibrate
from tests.unit_tests.reports.test_pages import read


def test_routes_become_a_bar_that_a_router_loads(
    calibrate: Calibrate, tmp_path: Path
) -> None:
    data = lines(tmp_path / "routes.jsonl", routes(wrong=True))
    ran = calibrate(
        *("router", data, "--embeddings", EMBEDDINGS, "--tools", f"{HERE}:TOOLS"),
        *("--precision", "0.9", "--out", "r.json", "--save", "--report", "r.html"),
    )

    assert ran.code == 0
    assert "decides alone from a confidence of" in ran.out
    assert "on the other 48 labels:" in ran.out
    assert "1 rows are left out: the route was not accepted" in ran.err
    written = json.loads((tmp_path / "r.json").read_text())
    assert written["settings"]["bar"] is not None
    assert written["shown"]["held_out"]["precision_at_least"] > 0.8
    assert written["rows"]["no_route"] == 40
    assert "secret" not in (tmp_path / "r.json").read_text()
    router = ToolRouter.from_calibration("r.json", TOOLS, SMALL)
    assert router.precision == 0.9
    assert router.invoke("secret how do I pay for it 7 warm").tool == "pay"
    page = (tmp_path / "r.html").read_text("utf-8")
    assert "Coverage against precision" in read(page).words
    assert "secret" not in page


def test_blanks_around_a_route_are_no_part_of_it() -> None:
    assert read_route({"query": "a ", "route": " pay "}) == Label("a", "pay")
    assert read_route({"query": "a", "route": "None "}) == Label("a", None)


def test_queries_that_rows_do_not_agree_on_are_left_out(
    calibrate: Calibrate, tmp_path: Path
) -> None:
    first, *others = routes()
    other = {"query": first["query"].upper(), "route": "ship"}
    data = lines(tmp_path / "routes.jsonl", [first, *others, other])

    ran = calibrate("router", data, "--embeddings", EMBEDDINGS, "--json")

    assert ran.code == 0
    assert ran.err == "2 rows are left out: another contradicts them\n"
    assert ran.record["rows"]["contradicted"] == 2
    assert ran.record["rows"]["used"] == len(others)
    torn = lines(tmp_path / "torn.jsonl", [first, other])
    alone = calibrate("router", torn, "--embeddings", EMBEDDINGS)
    assert alone.code == 2
    assert "every row is contradicted by another" in alone.err


def test_a_route_that_no_tool_has_is_told_of_before_queries_are_embedded(
    calibrate: Calibrate, tmp_path: Path
) -> None:
    rows = [*routes(), {"query": "secret", "route": "fly"}]
    data = lines(tmp_path / "routes.jsonl", rows)

    ran = calibrate(
        *("router", data, "--embeddings", f"{HERE}:no_queries"),
        *("--tools", f"{HERE}:TOOLS"),
    )

    assert ran.code == 2
    assert "is labeled 'fly', but the tools are ['pay', 'ship']" in ran.err
    assert "secret" not in ran.err


def test_too_few_labels_say_how_many_are_missing(
    calibrate: Calibrate, tmp_path: Path
) -> None:
    data = lines(tmp_path / "routes.jsonl", routes()[:20])

    ran = calibrate("router", data, "--embeddings", EMBEDDINGS, "--report", "r.html")

    assert ran.code == 0
    assert "does not decide alone" in ran.out
    assert "there is no bar to report on" in ran.out
    assert "routes are known by their names alone" in ran.out
    assert "labels missing, about" in read((tmp_path / "r.html").read_text()).words


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"query": "a"}, "no 'route'"),
        ({"query": "a", "route": 3}, "no 'route', or one"),
    ],
)
def test_a_row_without_a_route_is_a_bad_one(
    calibrate: Calibrate, tmp_path: Path, row: dict[str, Any], reason: str
) -> None:
    data = lines(tmp_path / "routes.jsonl", [*routes(), row])

    ran = calibrate("router", data, "--embeddings", EMBEDDINGS, "--json")

    assert ran.record["bad"] == [161]
    assert reason in ran.err
