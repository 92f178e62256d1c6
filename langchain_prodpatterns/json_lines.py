"""One line of a file as the JSON object that it should be."""

import json
from typing import Any, NoReturn


def read_object(line: str) -> dict[str, Any] | None:
    """Read a line.

    Args:
        line: As it stands in the file.

    Returns:
        Its fields; `None` where it is no object of plain JSON.
    """
    try:
        given = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    return given if isinstance(given, dict) else None


def _refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and the infinities, which Python takes for JSON, and no one else."""
    raise ValueError(name)
