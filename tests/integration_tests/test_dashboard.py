"""The dashboard and the alerts load, and ask for what the exporter really tells."""

import contextlib
import io
import json
import re
import runpy
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

COOKBOOK = Path(__file__).parents[2] / "cookbook"
FILE = COOKBOOK / "grafana" / "prodpatterns-cache.json"
ALERTS = COOKBOOK / "prometheus" / "alerts.yml"
OF_PROMETHEUS = {"instance", "job", "le"}
"""The labels that Prometheus adds, or that a histogram has."""
ONLY_A_FORM = {"definition"}
"""What Grafana writes for its own editor, and does not read."""
COLUMNS = 24

_LABELS = re.compile(r"\{([^{}]*)\}|\b(?:by|without)\s*\(([^()]*)\)")
_LABEL = re.compile(r"([a-z_]+)\s*(?:=~|!~|!=|=|,|$)")
_METRIC = re.compile(r"\bprodpatterns_\w+")
_LINE = re.compile(r"^(prodpatterns_\w+)(?:\{([^}]*)\})? ", re.MULTILINE)


@pytest.fixture(scope="module")
def page() -> str:
    """What the recipe reads of its own metrics over HTTP."""
    with contextlib.redirect_stdout(io.StringIO()):
        return str(runpy.run_path(str(COOKBOOK / "telemetry.py"))["page"])


@pytest.fixture(scope="module")
def told(page: str) -> tuple[set[str], set[str]]:
    """The names of the metrics on that page, and of their labels."""
    lines = _LINE.findall(page)
    labels = {label for _, given in lines for label in re.findall(r"(\w+)=", given)}
    return {name for name, _ in lines}, labels


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    return dict(json.loads(FILE.read_text("utf-8")))


def expressions(dashboard: dict[str, Any]) -> Iterator[str]:
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def metrics_in(expression: str) -> set[str]:
    return set(_METRIC.findall(_LABELS.sub("", expression)))


def labels_in(expression: str) -> set[str]:
    parts = (part for found in _LABELS.findall(expression) for part in found)
    bare = (re.sub(r'"[^"]*"', "", part) for part in parts)
    return {label for part in bare for label in _LABEL.findall(part.strip())}


def test_grafanas_own_classes_read_it_and_lose_nothing(
    dashboard: dict[str, Any],
) -> None:
    register_default_plugins()

    read = Dashboard.from_json(dashboard)

    written = json.loads(json.dumps(read, cls=JSONEncoder))
    assert list(_lost(dashboard, written)) == []


def _lost(given: Any, written: Any, path: str = "") -> Iterator[str]:
    if isinstance(given, dict):
        for name, value in given.items():
            if name not in ONLY_A_FORM:
                yield from _lost(value, written.get(name), f"{path}.{name}")
    elif isinstance(given, list):
        assert len(given) == len(written)
        for number, (one, other) in enumerate(zip(given, written, strict=True)):
            yield from _lost(one, other, f"{path}[{number}]")
    elif given != written:
        yield path


def test_it_is_of_a_schema_that_grafana_migrates_from(
    dashboard: dict[str, Any],
) -> None:
    assert dashboard["schemaVersion"] >= 36
    assert dashboard["uid"] == "prodpatterns-cache"
    assert "id" not in dashboard


def test_its_panels_have_ids_of_their_own_and_do_not_overlap(
    dashboard: dict[str, Any],
) -> None:
    panels = dashboard["panels"]
    places = [panel["gridPos"] for panel in panels]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    assert all(place["x"] + place["w"] <= COLUMNS for place in places)
    for one, other in combinations(places, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)


def test_every_panel_asks_the_data_source_that_is_chosen(
    dashboard: dict[str, Any],
) -> None:
    source = {"type": "prometheus", "uid": "${datasource}"}
    variables = {one["name"]: one for one in dashboard["templating"]["list"]}

    assert variables["datasource"]["type"] == "datasource"
    assert variables["job"]["datasource"] == source
    for panel in dashboard["panels"]:
        assert panel["datasource"] == source
        assert {json.dumps(one["datasource"]) for one in panel["targets"]} == {
            json.dumps(source)
        }
        assert len({one["refId"] for one in panel["targets"]}) == len(panel["targets"])
    assert all('job=~"$job"' in one for one in expressions(dashboard))


def test_it_shows_what_an_operator_asks_for(dashboard: dict[str, Any]) -> None:
    titles = {panel["title"] for panel in dashboard["panels"]}
    stacked = next(p for p in dashboard["panels"] if p["title"] == "Lookups by outcome")

    assert {"Hit rate", "Judged share", "Bound and promise", "Saved", "Errors"} < titles
    assert stacked["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"
    assert {"histogram_quantile(0.5", "histogram_quantile(0.99"} <= {
        one.partition(",")[0] for one in expressions(dashboard)
    }


def test_it_asks_only_for_what_the_exporter_tells(
    dashboard: dict[str, Any], told: tuple[set[str], set[str]]
) -> None:
    names, labels = told
    variable = dashboard["templating"]["list"][1]["query"]["query"]

    for expression in (*expressions(dashboard), variable):
        assert metrics_in(expression)
        assert metrics_in(expression) <= names, expression
        assert labels_in(expression) <= labels | OF_PROMETHEUS, expression
    legends = {
        label
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
    }
    assert legends <= labels


def test_so_do_the_alerts(told: tuple[set[str], set[str]]) -> None:
    names, labels = told

    assert len(alerts()) == 5
    for rule in alerts():
        assert metrics_in(rule["expr"]) <= names, rule["alert"]
        assert labels_in(rule["expr"]) <= labels | OF_PROMETHEUS, rule["alert"]
        assert {"summary", "description"} == set(rule["annotations"])


def test_prometheus_reads_the_alerts() -> None:
    config = yaml.safe_load((ALERTS.parent / "prometheus.yml").read_text("utf-8"))

    assert config["rule_files"] == [ALERTS.name]
    assert config["scrape_configs"][0]["static_configs"][0]["targets"]


@pytest.mark.parametrize(
    ("expression", "metrics", "labels"),
    [
        (
            'sum by (le, a_b) (rate(prodpatterns_x_bucket{job=~"$job", c="prodpatterns_y"}[5m]))',
            {"prodpatterns_x_bucket"},
            {"le", "a_b", "job", "c"},
        ),
        (
            "prodpatterns_x > prodpatterns_y",
            {"prodpatterns_x", "prodpatterns_y"},
            set(),
        ),
    ],
)
def test_the_names_in_an_expression_are_found(
    expression: str, metrics: set[str], labels: set[str]
) -> None:
    assert metrics_in(expression) == metrics
    assert labels_in(expression) == labels
