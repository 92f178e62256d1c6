"""A picture a set: coverage against precision, for every method."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from routing_methods import Results


def draw(found: Mapping[str, Mapping[str, Sequence[Results]]], path: Path) -> None:
    """Draw the means over the resamples.

    Args:
        found: The results of each method and set.
        path: The file, whose folder is made if it is not there.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    path.parent.mkdir(parents=True, exist_ok=True)
    sets = list(dict.fromkeys(name for by_set in found.values() for name in by_set))
    figure = Figure(figsize=(4.8 * len(sets), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(sets), squeeze=False)[0]
    for axes, name in zip(panels, sets, strict=True):
        for number, (method, by_set) in enumerate(found.items()):
            if not by_set.get(name):
                continue
            points = [
                (
                    np.mean([each[asked].coverage for each in by_set[name]]),
                    np.mean([each[asked].precision for each in by_set[name]]),
                )
                for asked in by_set[name][0]
            ]
            shown = [point for point in points if point[0] > 0]
            axes.plot(
                [100 * coverage for coverage, _ in shown],
                [100 * precision for _, precision in shown],
                marker="o",
                linewidth=2.5 if method.startswith("ours, f") else 1,
                color=f"C{number}",
                label=method,
            )
        axes.axhline(95, color="grey", linewidth=0.8)
        axes.set(title=name, xlabel="coverage, %", ylabel="precision, %", xlim=(0, 100))
        axes.grid(alpha=0.3)
    panels[0].legend(fontsize=7, loc="lower left")
    figure.savefig(path, dpi=110)
