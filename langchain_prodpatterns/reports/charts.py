"""Charts as SVG that a browser draws by itself, and that a screen reader can name."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal, TypeAlias

from langchain_prodpatterns.reports.style import COLORS

Point: TypeAlias = tuple[float, float]
"""Where something is, in the units of the axes."""

Style = Literal["line", "dots", "dotted", "level"]
"""A line, one with its points shown, one that is only a bound, or a level."""

WIDTH, HEIGHT = 640, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 74, 18, 14, 58
_TICKS = 5
_DOT = 5
_NOTHING = 1e-9
_BAR = 0.7
_MOST_NAMES = 8
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Series:
    """Points that belong together."""

    label: str
    """What they are, for the legend."""
    points: Sequence[Point]
    """The points, in the order in which they are joined."""
    style: Style = "line"
    """How they are drawn."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A point that was chosen, with how far off the truth may be."""

    label: str
    """What it is, for the legend."""
    at: Point
    """Where it is."""
    bound: float | None = None
    """How high, or how low, it may be in truth."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One of the two axes."""

    label: str
    """What it shows, with its unit."""
    most: float | None = None
    """Where it ends; by default at the highest point."""
    least: float = 0.0
    """Where it begins."""
    percent: bool = True
    """Whether its numbers are shares."""

    def written(self, value: float) -> str:
        """Write a number of this axis."""
        return f"{100 * value:.3g}%" if self.percent else f"{value:.4g}"


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over two axes."""

    title: str
    """What the chart shows."""
    x: Axis
    """From left to right."""
    y: Axis
    """From the bottom up; what is beyond its end is not drawn."""
    series: Sequence[Series]
    """What is drawn, in the order of the legend."""
    marks: Sequence[Mark] = ()
    """The points that were chosen."""


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars beside each other, each of parts on top of each other."""

    title: str
    """What the chart shows."""
    x: Axis
    """What the bars are."""
    y: Axis
    """How high they are."""
    names: Sequence[str]
    """What each bar is."""
    parts: Sequence[tuple[str, Sequence[float]]]
    """A name, and how much of each bar it is."""
    known: Sequence[str] = ()
    """The names in all charts of a page, each of which has one color there; by default
    those of this one."""

    def color(self, name: str) -> int:
        """Return the number of a name's color."""
        known = self.known or [one for one, _ in self.parts]
        return known.index(name) % COLORS


@dataclass(frozen=True, slots=True)
class _Plane:
    """Where numbers are on the drawing."""

    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, point: Point) -> Point:
        left = (point[0] - self.x[0]) / (self.x[1] - self.x[0])
        up = (point[1] - self.y[0]) / (self.y[1] - self.y[0])
        return (
            _LEFT + left * (WIDTH - _LEFT - _RIGHT),
            HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM),
        )


def chart_svg(chart: Chart, name: str) -> str:
    """Draw lines.

    Args:
        chart: The chart.
        name: An id that nothing else of the page has.
    """
    points = [point for one in chart.series for point in one.points]
    points += [mark.at for mark in chart.marks]
    plane = _Plane(
        _ends(chart.x, [x for x, _ in points]), _ends(chart.y, [y for _, y in points])
    )
    parts = [
        *_grid(plane, chart.x, chart.y, _ticks(*plane.x)),
        _inside(_series(one, at, plane) for at, one in enumerate(chart.series)),
        *(_mark(mark, at, plane) for at, mark in enumerate(chart.marks)),
    ]
    return _svg(name, chart.title, f"{chart.y.label} over {chart.x.label}", parts)


def bars_svg(bars: Bars, name: str) -> str:
    """Draw bars.

    Args:
        bars: The chart.
        name: An id that nothing else of the page has.
    """
    heights = [sum(values) for values in zip(*(v for _, v in bars.parts), strict=True)]
    count = max(len(bars.names), 1)
    plane = _Plane((0.0, float(count)), _ends(bars.y, heights))
    parts = [*_grid(plane, bars.x, bars.y, ()), *_names(bars.names, plane)]
    for at in range(len(bars.names)):
        parts.extend(_bar(bars, at, plane))
    return _svg(name, bars.title, f"{bars.y.label} over {bars.x.label}", parts)


def legend(chart: Chart | Bars) -> str:
    """Write what the colors and strokes of a chart mean, as a list."""
    if isinstance(chart, Bars):
        keys = [
            (
                name,
                f'<rect class="f{chart.color(name)}" width="12" height="12" x="8"/>',
            )
            for name, _ in chart.parts
        ]
    else:
        keys = [
            (one.label, _stroke(one, at, [(1.0, 6.0), (27.0, 6.0)], dots=[(14.0, 6.0)]))
            for at, one in enumerate(chart.series)
        ]
        keys += [
            (mark.label, _shape(at, (14.0, 6.0), 4.5))
            for at, mark in enumerate(chart.marks)
        ]
    items = (
        f'<li><svg viewBox="0 0 28 12" aria-hidden="true">{drawn}</svg>'
        f"{escape(label)}</li>"
        for label, drawn in keys
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def _svg(name: str, title: str, what: str, parts: Iterable[str]) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-desc">{escape(what)}. The table beside it has the '
        f"figures.</desc>{''.join(parts)}</svg>"
    )


def _ends(axis: Axis, values: Sequence[float]) -> tuple[float, float]:
    most = axis.most
    if most is None:
        most = max(values, default=0.0) * 1.05
    return axis.least, most if most > axis.least + _NOTHING else axis.least + 1.0


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers between two others."""
    raw = (high - low) / _TICKS
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * one for one in _STEPS if unit * one >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _grid(plane: _Plane, x: Axis, y: Axis, ticks: Sequence[float]) -> list[str]:
    (x_low, x_high), (y_low, _) = plane.x, plane.y
    parts = []
    for value in _ticks(*plane.y):
        start, end = plane.at((x_low, value)), plane.at((x_high, value))
        parts.append(_line("grid", start, end))
        place = start[0] - 8, start[1] + 4
        parts.append(_text("tick", place, y.written(value), "end"))
    for value in ticks:
        left, bottom = plane.at((value, y_low))
        parts.append(_text("tick", (left, bottom + 18), x.written(value)))
    parts.append(_line("axis", plane.at((x_low, y_low)), plane.at((x_high, y_low))))
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(_text("label", (middle, HEIGHT - 10), x.label))
    across = (_TOP + HEIGHT - _BOTTOM) / 2
    turn = f' transform="rotate(-90 16 {across:.0f})"'
    parts.append(_text("label", (16, across), y.label, more=turn))
    return parts


def _series(one: Series, at: int, plane: _Plane) -> str:
    if one.style == "level":
        height = one.points[0][1]
        ends = [(plane.x[0], height), (plane.x[1], height)]
        return _stroke(one, at, [plane.at(end) for end in ends])
    places = [plane.at(point) for point in one.points]
    return _stroke(one, at, places, dots=places)


def _inside(drawn: Iterable[str]) -> str:
    """Cut off what is beyond the axes: an `svg` in another one does."""
    x, y = _LEFT - _DOT, _TOP - _DOT
    width = WIDTH - _LEFT - _RIGHT + 2 * _DOT
    height = HEIGHT - _TOP - _BOTTOM + 2 * _DOT
    box = f"{x} {y} {width} {height}"
    return (
        f'<svg x="{x}" y="{y}" width="{width}" height="{height}" viewBox="{box}">'
        f"{''.join(drawn)}</svg>"
    )


def _stroke(
    one: Series, at: int, places: Sequence[Point], dots: Sequence[Point] = ()
) -> str:
    """Draw a line through places of the drawing, and dots if it has such."""
    style = "" if one.style in {"line", "dots"} else f" {one.style}"
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    color = at % COLORS
    drawn = f'<polyline class="line{style} s{color}" points="{path}"/>'
    if one.style == "dots" or len(places) == 1:
        drawn += "".join(
            f'<circle class="f{color}" cx="{x:.1f}" cy="{y:.1f}" r="{_DOT - 1}"/>'
            for x, y in dots
        )
    return drawn


def _mark(mark: Mark, at: int, plane: _Plane) -> str:
    x, y = plane.at(mark.at)
    whisker = ""
    if mark.bound is not None:
        bound = min(max(mark.bound, plane.y[0]), plane.y[1])
        end = plane.at((mark.at[0], bound))
        flat = (end[0] - 7, end[1]), (end[0] + 7, end[1])
        whisker = _line("whisker", (x, y), end) + _line("whisker", *flat)
    return f"{whisker}{_shape(at, (x, y), 6)}"


def _shape(at: int, place: Point, size: float) -> str:
    """Draw a mark: the first is round, the others are not."""
    x, y = place
    if at == 0:
        return f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="{size:g}"/>'
    return (
        f'<rect class="mark" x="{x - size:.1f}" y="{y - size:.1f}" '
        f'width="{2 * size:g}" height="{2 * size:g}"/>'
    )


def _names(names: Sequence[str], plane: _Plane) -> list[str]:
    """Write so many names of bars below them as there is room for."""
    step = math.ceil(len(names) / _MOST_NAMES)
    parts = []
    for at in range(0, len(names), max(step, 1)):
        left, bottom = plane.at((at + 0.5, plane.y[0]))
        parts.append(_text("tick", (left, bottom + 18), names[at]))
    return parts


def _bar(bars: Bars, at: int, plane: _Plane) -> list[str]:
    found, low = [], 0.0
    gap = (1 - _BAR) / 2
    for name, values in bars.parts:
        if not values[at]:
            continue
        left, bottom = plane.at((at + gap, low))
        low += values[at]
        right, top = plane.at((at + 1 - gap, low))
        told = f"{bars.names[at]}, {name}: {bars.y.written(values[at])}"
        found.append(
            f'<rect class="f{bars.color(name)}" x="{left:.1f}" y="{top:.1f}" '
            f'width="{right - left:.1f}" height="{bottom - top:.1f}">'
            f"<title>{escape(told)}</title></rect>"
        )
    return found


def _line(kind: str, start: Point, end: Point) -> str:
    return (
        f'<line class="{kind}" x1="{start[0]:.1f}" y1="{start[1]:.1f}" '
        f'x2="{end[0]:.1f}" y2="{end[1]:.1f}"/>'
    )


def _text(
    kind: str, at: Point, text: str, anchor: str = "middle", more: str = ""
) -> str:
    return (
        f'<text class="{kind}" x="{at[0]:.1f}" y="{at[1]:.1f}" '
        f'text-anchor="{anchor}"{more}>{escape(text)}</text>'
    )
