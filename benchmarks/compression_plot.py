"""A picture a set: what is left of the evidence against the ratio, by method."""

from collections.abc import Mapping
from pathlib import Path

from compression_data import Recall

Curves = Mapping[str, Mapping[str, Mapping[float, Recall]]]
"""Of a set and a method: the recall at each ratio."""


def draw(curves: Curves, path: Path) -> None:
    """Draw the share of supporting passages that is left.

    Args:
        curves: What was measured.
        path: The file, whose folder is made if it is not there.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    path.parent.mkdir(parents=True, exist_ok=True)
    columns = min(3, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(4.8 * columns, 3.8 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in panels[len(curves) :]:
        axes.set_axis_off()
    for axes, (name, methods) in zip(panels, curves.items(), strict=False):
        for number, (method, points) in enumerate(methods.items()):
            ratios = sorted(points)
            axes.plot(
                ratios,
                [points[ratio].support for ratio in ratios],
                marker=".",
                linewidth=2.5 if method.startswith("ours") else 1,
                color=f"C{number}",
                label=method,
            )
        axes.set_xscale("log")
        axes.set_xticks(ratios, [f"{ratio:g}x" for ratio in ratios], minor=False)
        axes.minorticks_off()
        axes.set_title(name)
        axes.set(xlabel="times smaller", ylabel="supporting passages left, %")
        axes.grid(alpha=0.3)
    panels[0].legend(fontsize=7, loc="lower left")
    figure.savefig(path, dpi=110)
