"""Charts as SVG."""

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.reports.charts import (
    HEIGHT,
    WIDTH,
    Axis,
    Bars,
    Chart,
    Mark,
    Series,
    bars_svg,
    chart_svg,
    legend,
)

shares = st.floats(0, 1)
HOSTILE = '</title><script>alert("x")</script>'


def numbers(drawn: str) -> list[float]:
    places = re.findall(r'\b(?:x|y|x1|y1|x2|y2|cx|cy)="([^"]*)"', drawn)
    for points in re.findall(r'points="([^"]*)"', drawn):
        places += points.replace(",", " ").split()
    return [float(place) for place in places]


@given(st.lists(st.tuples(shares, shares), max_size=9), shares, shares)
def test_a_chart_is_whole_and_nothing_is_beside_it(
    points: list[tuple[float, float]], at: float, bound: float
) -> None:
    chart = Chart(
        "t",
        Axis("x"),
        Axis("y", most=0.5),
        [Series("a", points), Series("b", points, "dots"), Series("c", [at_], "level")]
        if (at_ := (0.0, 0.25))
        else [],
        [Mark("chosen", (at, min(at, 0.5)), bound)],
    )

    drawn = chart_svg(chart, "n")

    ET.fromstring(drawn)  # noqa: S314 - what we have drawn
    beside = re.sub("<svg x=.*?</svg>", "", drawn)
    assert all(0 <= place <= max(WIDTH, HEIGHT) for place in numbers(beside))


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40))
def test_bars_are_whole_and_nothing_is_beside_them(heights: list[float]) -> None:
    names = [str(at) for at in range(len(heights))]
    bars = Bars("t", Axis("x"), Axis("y", percent=False), names, [("p", heights)])

    drawn = bars_svg(bars, "n")

    ET.fromstring(drawn)  # noqa: S314 - what we have drawn
    assert all(0 <= place <= max(WIDTH, HEIGHT) for place in numbers(drawn))
    assert drawn.count("<rect") == sum(bool(height) for height in heights)


def test_bars_of_parts_stand_on_each_other() -> None:
    bars = Bars("t", Axis("x"), Axis("y", most=4, percent=False), ["one"], [("a", [1]), ("b", [3])])  # fmt: skip

    lower, upper = re.findall(r'y="([\d.]+)" width="[\d.]+" height="([\d.]+)"', bars_svg(bars, "n"))  # fmt: skip

    assert float(upper[0]) + float(upper[1]) == pytest.approx(float(lower[0]), abs=0.2)
    assert float(upper[1]) == pytest.approx(3 * float(lower[1]), abs=0.5)


def test_a_screen_reader_has_a_name_and_words_are_no_markup() -> None:
    chart = Chart(
        HOSTILE, Axis(HOSTILE), Axis("y"), [Series(HOSTILE, [(0, 0), (1, 1)])]
    )

    drawn = chart_svg(chart, "n") + legend(chart)

    assert 'role="img" aria-labelledby="n-title n-desc"' in drawn
    assert '<title id="n-title">' in drawn
    assert "<script" not in drawn
    assert legend(Bars(HOSTILE, Axis(""), Axis(""), [HOSTILE], [(HOSTILE, [1])])).count("<script") == 0  # fmt: skip


def test_what_is_beyond_an_axis_is_cut_off_and_a_bound_ends_at_its_end() -> None:
    series = Series("a", [(0.1, 0.1), (0.2, 0.9), (0.3, 0.2)])
    mark = Mark("m", (0.2, 0.1), 1.0)
    chart = Chart("t", Axis("x"), Axis("y", most=0.25), [series], [mark])
    drawn = chart_svg(chart, "n")

    outer, _, rest = drawn.partition("<svg x=")
    inner, _, after = rest.partition("</svg>")
    assert "<polyline" in inner
    assert "<polyline" not in outer + after
    assert 'class="whisker"' in after
    assert all(0 <= place <= max(WIDTH, HEIGHT) for place in numbers(outer + after))


def test_the_second_mark_looks_otherwise_than_the_first() -> None:
    marks = [Mark("one", (0.5, 0.5)), Mark("other", (0.6, 0.6))]
    chart = Chart("t", Axis("x", most=1), Axis("y", most=1), [], marks)

    for drawn in (chart_svg(chart, "n"), legend(chart)):
        assert drawn.count('<circle class="mark"') == 1
        assert drawn.count('<rect class="mark"') == 1


def test_axes_have_round_numbers() -> None:
    drawn = chart_svg(
        Chart(
            "t",
            Axis("x", most=1),
            Axis("y", most=30, percent=False),
            [Series("a", [(0, 0)])],
        ),
        "n",
    )

    shown = re.findall(r'class="tick"[^>]*>([^<]*)<', drawn)
    assert shown == ["0", "10", "20", "30", "0%", "20%", "40%", "60%", "80%", "100%"]
