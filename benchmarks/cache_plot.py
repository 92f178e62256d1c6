"""Two pictures: precision against the share served, and the judged share over time."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from cache_promise import DELTAS, THRESHOLDS, Kept

_WINDOW = 150
_LABELLED = (0.7, 0.8, 0.9, 0.95)
_RINGS = (13, 9, 5)
_WIDTHS = (4, 2.5, 1)
_NEXT_TO: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8}


def draw(found: Sequence[Kept], folder: Path) -> Iterator[Path]:
    """Draw what came of the promise; yield the files.

    Args:
        found: A setting each, those of the same traffic one after the other.
        folder: Where to draw, made if it is not there.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    traffics = [
        list(settings)
        for _, settings in groupby(found, lambda one: one.setting.traffic)
    ]
    for name, panel in (("precision", _precision), ("judged", _judged)):
        figure = Figure(figsize=(6.5 * len(traffics), 5), layout="constrained")
        FigureCanvasAgg(figure)
        row = figure.subplots(1, len(traffics), squeeze=False)[0]
        for axes, settings in zip(row, traffics, strict=True):
            panel(axes, settings)
            axes.set_title(settings[0].setting.traffic.name)
            axes.grid(alpha=0.3)
        path = folder / f"cache_{name}.png"
        figure.savefig(path, dpi=110)
        yield path


def _precision(axes: Any, settings: Sequence[Kept]) -> None:
    """Draw thresholds without a judge as a curve, our settings as points."""
    points = np.array(
        [[(p.served, 1 - p.wrong) for p in curve] for curve in settings[0].statics]
    ).mean(axis=0)
    axes.plot(*points.T, color="grey", label="a threshold, no judge")
    for threshold, point in zip(THRESHOLDS, points, strict=True):
        if threshold in _LABELLED:
            axes.plot(*point, ".", color="grey")
            axes.annotate(f"{threshold:g}", point, xytext=(4, 4), **_NEXT_TO)
    for one in settings:
        color = f"C{DELTAS.index(one.setting.delta)}"
        judge = "95% judge" if one.setting.error else "perfect judge"
        axes.plot(
            one.served,
            1 - one.wrong,
            marker="s" if one.setting.error else "o",
            # Rings of their own sizes: where settings agree, all are seen.
            markersize=_RINGS[DELTAS.index(one.setting.delta)],
            markerfacecolor="none",
            markeredgewidth=1.8,
            color=color,
            linestyle="none",
            label=f"ours, {judge}, delta {one.setting.delta:g}",
        )
    for number, delta in enumerate(DELTAS):
        axes.axhline(1 - delta, color=f"C{number}", linewidth=0.8, linestyle=":")
        axes.annotate(
            f"delta {delta:g}",
            (1, 1 - delta),
            xycoords=("axes fraction", "data"),
            xytext=(-2, -2),
            ha="right",
            va="top",
            color=f"C{number}",
            **_NEXT_TO,
        )
    axes.set(
        xlabel="share of the questions served", ylabel="precision of what is served"
    )
    axes.set_xlim(left=-0.01)
    axes.legend(loc="lower left", fontsize=8)


def _judged(axes: Any, settings: Sequence[Kept]) -> None:
    """Draw the judged share of one window of questions after the other."""
    for one in settings:
        flags = np.array([[o.judged for o in run.each] for run in one.shuffles])
        windows = flags.shape[1] // _WINDOW
        cut = flags[:, : windows * _WINDOW].reshape(len(flags), windows, _WINDOW)
        asked = _WINDOW * (np.arange(windows) + 1)
        judge = "95% judge" if one.setting.error else "perfect judge"
        axes.plot(
            asked,
            cut.mean(axis=(0, 2)),
            color=f"C{DELTAS.index(one.setting.delta)}",
            linestyle="--" if one.setting.error else "-",
            linewidth=_WIDTHS[DELTAS.index(one.setting.delta)],
            label=f"{judge}, delta {one.setting.delta:g}",
        )
    axes.set(
        xlabel="questions asked", ylabel=f"judged, of the last {_WINDOW} questions"
    )
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)
