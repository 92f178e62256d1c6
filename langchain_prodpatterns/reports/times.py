"""Times in equal steps, few enough to be bars beside each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

_MOST = 31
_UNITS = (
    ("minute", 60, "%H:%M"),
    ("hour", 3_600, "%m-%d %H:00"),
    ("day", 86_400, "%Y-%m-%d"),
    ("week", 7 * 86_400, "%Y-%m-%d"),
)
# The epoch was a Thursday: weeks begin on Mondays.
_MONDAY = 4 * 86_400


@dataclass(frozen=True, slots=True)
class Period:
    """A time in steps."""

    unit: str
    """What a step is, such as `day`."""
    start: float
    """When the first begins, in seconds since the epoch."""
    seconds: float
    """How long each is."""
    names: tuple[str, ...]
    """When each begins, in UTC."""

    def place(self, at: float) -> int:
        """Return the number of the step that a moment is in."""
        return min(int((at - self.start) // self.seconds), len(self.names) - 1)


def period_of(times: Sequence[float]) -> Period:
    """Choose the finest steps of which not too many cover some moments.

    Args:
        times: At least one moment, in seconds since the epoch.
    """
    first, last = min(times), max(times)
    unit, seconds, form = next(
        (step for step in _UNITS if (last - _start(first, step[1])) / step[1] < _MOST),
        _UNITS[-1],
    )
    start = _start(first, seconds)
    count = int((last - start) // seconds) + 1
    # Of many years the steps are of several weeks.
    several = -(-count // _MOST)
    moments = [start + at * seconds * several for at in range(-(-count // several))]
    names = tuple(datetime.fromtimestamp(at, UTC).strftime(form) for at in moments)
    if several > 1:
        unit = f"{several} {unit}s"
    return Period(unit, start, seconds * several, names)


def _start(first: float, seconds: int) -> float:
    shift = _MONDAY if seconds > 86_400 else 0  # noqa: PLR2004 - a day
    return (first - shift) // seconds * seconds + shift
