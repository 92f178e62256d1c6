"""Where a command may write: asked before the work, so that none of it is lost."""

import os
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path

from langchain_prodpatterns.errors import ConfigurationError


def check_targets(targets: Mapping[str, str | None], sources: Iterable[Path]) -> None:
    """Refuse files that cannot be written, or would be written over.

    Args:
        targets: The file of each option, where one is given.
        sources: What the command reads.

    Raises:
        ConfigurationError: When one is no file to write, what is read, or that of
            another option.
    """
    taken = {_place(source): "what is read" for source in sources}
    for option, target in targets.items():
        if target is None:
            continue
        use = taken.setdefault(_place(Path(target)), f"that of {option}")
        if use != f"that of {option}":
            msg = f"{option} {target!r} is {use}, and would be lost: name another"
            raise ConfigurationError(msg)
        _check_writable(option, Path(target))


def _place(path: Path) -> Hashable:
    """Return what is one for all names of a file, such as those in other letters."""
    try:
        found = path.stat()
    except OSError:
        return os.path.realpath(path)
    return found.st_dev, found.st_ino


def _check_writable(option: str, path: Path) -> None:
    if path.is_dir():
        msg = f"{option} {str(path)!r} is a folder: name a file"
    elif not path.parent.is_dir():
        msg = f"{option} {str(path)!r} is in no folder that there is: make it first"
    elif not os.access(path if path.exists() else path.parent, os.W_OK):
        msg = f"{option} {str(path)!r} cannot be written: name another file"
    else:
        return
    raise ConfigurationError(msg)
