"""Pictures, where the extra for them is installed."""

from typing import TYPE_CHECKING

from langchain_prodpatterns.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(owner: str, width: float, height: float) -> "Figure":
    """Return an empty picture that needs no display.

    Args:
        owner: What draws it, for the error: `Calibration.plot`.
        width: Inches.
        height: Inches.

    Returns:
        The picture.

    Raises:
        MissingExtraError: When matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(owner, "plots") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
