"""Files of arrays (npz): no code comes with one, and it is written whole or not."""

import os
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

DAMAGED = (
    BadZipFile, EOFError, KeyError, OSError, RuntimeError, TypeError, ValueError,
    zlib.error,
)  # fmt: skip
"""What reading a file raises that is none of ours, or not all of one."""


def write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write beside the file, then put it in its place.

    Args:
        path: The file; one that is there is replaced.
        arrays: The arrays, by name.

    Raises:
        OSError: When it cannot be written.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            # Nothing here is an object, so that nothing is pickled.
            np.savez(file, **dict[str, Any](arrays))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
