"""The table of the cache's benchmark: a figure a row, a cache a column."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from cache_peers import PeerError

_NONE = ""


@dataclass
class Figures:
    """Rows as they are measured, and remarks on them."""

    columns: tuple[str, ...]
    """The caches in their order; those without a figure are left out."""
    rows: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    """A figure, its goal, and what each cache reached."""
    remarks: list[str] = field(default_factory=list)
    """What is printed below."""

    def add(self, figure: str, cells: Mapping[str, str], goal: str = _NONE) -> None:
        """Add a row."""
        self.rows.append((figure, goal, dict(cells)))

    @contextmanager
    def remarking(self) -> Iterator[None]:
        """Turn a peer's failure into a remark: the others' figures are kept."""
        try:
            yield
        except PeerError as error:
            self.remarks.append(str(error))

    def render(self) -> str:
        """Return the table."""
        found = {name for _, _, cells in self.rows for name in cells}
        names = [name for name in self.columns if name in found]
        lines = [["", "goal", *names]]
        lines += [
            [figure, goal, *(cells.get(name, _NONE) for name in names)]
            for figure, goal, cells in self.rows
        ]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = [
            "  ".join(
                [cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])]
            ).rstrip()
            for cells in lines
        ]
        return "\n".join([*table, "", *self.remarks])
