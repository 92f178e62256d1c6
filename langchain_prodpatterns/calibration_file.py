"""What `prodpatterns calibrate` has found, as a small file of JSON without any text.

```
{
    "format": "prodpatterns-calibration",
    "version": 1,
    "component": "cache",
    "embedder": {"name": "...", "dimensions": 384},
    "date": "2026-10-31",
    "rows": {...},
    "settings": {...},
    "shown": {...},
}
```

Components load `settings`; `rows` and `shown` tell people what stands behind them.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import file_digest
from pathlib import Path
from typing import Any, Literal, TypeAlias

from langchain_core.embeddings import Embeddings

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.fingerprints import Fingerprint, fingerprint_of, length_of

FORMAT = "prodpatterns-calibration"
"""The first word of a calibration."""
VERSION = 1
"""Raised whenever an older release could not read it."""

Component = Literal["cache", "router", "guard"]
"""What a calibration is of."""

CalibrationLike: TypeAlias = str | Path | Mapping[str, Any]
"""A calibration's file, or what stands in it."""


@dataclass(frozen=True, slots=True)
class CalibrationFile:
    """What was found, and on what."""

    component: Component
    """What it is of."""
    embedder: Fingerprint | None
    """The embedding model it holds for; `None` where none is used."""
    settings: Mapping[str, Any]
    """What the component loads."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """How many rows there were, and what became of them."""
    shown: Mapping[str, Any] = field(default_factory=dict)
    """What the rows show of the settings, with bounds."""
    date: str | None = None
    """The day of the latest row, where rows tell it."""
    folder: Path = Path()
    """Where it is: files that it names are beside it."""

    def record(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "component": self.component,
            "embedder": self.embedder and asdict(self.embedder),
            "date": self.date,
            "rows": dict(self.rows),
            "settings": dict(self.settings),
            "shown": dict(self.shown),
        }

    def write(self, path: Path) -> None:
        """Write it, whole or not at all.

        Raises:
            OSError: When it cannot be written.
        """
        # One line a part: short for people, and each change is one of a line.
        lines = (
            f"  {json.dumps(name)}: {json.dumps(value, allow_nan=False)}"
            for name, value in self.record().items()
        )
        text = "{\n" + ",\n".join(lines) + "\n}"
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as page:
                page.write(f"{text}\n")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def check_embeddings(self, embeddings: Embeddings) -> None:
        """Refuse embeddings that it does not hold for.

        Raises:
            ConfigurationError: When they are of another class or model, or say
                beforehand that their vectors have another length.
        """
        if self.embedder is None:
            return
        given = Fingerprint(fingerprint_of(embeddings).name, length_of(embeddings))
        lengths = {self.embedder.dimensions, given.dimensions}
        if self.embedder.name != given.name:
            made_with, these = self.embedder.name, given.name
        elif len(lengths - {None}) > 1:
            made_with, these = str(self.embedder), str(given)
        else:
            return
        msg = (
            f"the calibration is for {made_with}, these embeddings are {these}, whose "
            "cosines differ: calibrate with these"
        )
        raise ConfigurationError(msg)


def read_calibration(given: CalibrationLike, component: Component) -> CalibrationFile:
    """Read a calibration.

    Args:
        given: The file, or what stands in it.
        component: What it has to be of.

    Returns:
        The calibration; its settings are not yet checked.

    Raises:
        ConfigurationError: When it cannot be read, or is none of this component.
    """
    if isinstance(given, Mapping):
        return _read(given, "the mapping", component, Path())
    path = Path(given)
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        msg = f"the calibration {path.name!r} cannot be read: {error.strerror or error}"
        raise ConfigurationError(msg) from error
    except (ValueError, RecursionError):
        found = None
    return _read(found, repr(path.name), component, path.parent)


def _read(found: Any, name: str, component: Component, folder: Path) -> CalibrationFile:
    if not isinstance(found, Mapping) or found.get("format") != FORMAT:
        msg = f"{name} is no calibration: write one with `prodpatterns calibrate --out`"
        raise ConfigurationError(msg)
    if found.get("version") != VERSION:
        msg = (
            f"{name} is a calibration of version {found.get('version')!r}, this "
            f"release reads {VERSION}: calibrate again"
        )
        raise ConfigurationError(msg)
    if found.get("component") != component:
        msg = (
            f"{name} is a calibration of {found.get('component')!r}, not of "
            f"{component!r}: write one with `prodpatterns calibrate {component}`"
        )
        raise ConfigurationError(msg)
    settings = found.get("settings")
    check_setting("settings", isinstance(settings, Mapping))
    embedder = _embedder(found.get("embedder"))
    # A guard's classifier alone may go by words.
    check_setting("embedder", embedder or component == "guard")
    return CalibrationFile(component, embedder, settings or {}, folder=folder)


def _embedder(given: Any) -> Fingerprint | None:
    if given is None:
        return None
    name = given.get("name") if isinstance(given, Mapping) else None
    check_setting("embedder", isinstance(name, str))
    size = given.get("dimensions")
    return Fingerprint(str(name), size if isinstance(size, int) else None)


def check_setting(name: str, is_good: object) -> None:
    """Refuse a calibration that does not hold what it must.

    Args:
        name: What it must hold.
        is_good: Whether it does.

    Raises:
        ConfigurationError: When it does not.
    """
    if not is_good:
        msg = f"the calibration has no {name!r}, or one that is none: calibrate again"
        raise ConfigurationError(msg)


def beside(calibration: CalibrationFile) -> Path | None:
    """Return the file of numbers that a calibration names, if it names one.

    Raises:
        ConfigurationError: When it is not there, or is not the one that was written.
    """
    state = calibration.settings.get("state")
    if state is None:
        return None
    name = state.get("file") if isinstance(state, Mapping) else None
    # A name and no path: what is read is beside the calibration and nowhere else.
    check_setting("state", isinstance(name, str) and Path(name).name == name)
    path = calibration.folder / str(name)
    try:
        found = digest_of(path)
    except OSError as error:
        msg = f"the calibration needs {name!r} beside it: {error.strerror or error}"
        raise ConfigurationError(msg) from error
    if found != state.get("sha256"):
        msg = (
            f"{name!r} is not the file that the calibration was made with: calibrate "
            "again, and keep both together"
        )
        raise ConfigurationError(msg)
    return path


def state_of(path: Path) -> dict[str, str]:
    """Return what a calibration says of the file beside it."""
    return {"file": path.name, "sha256": digest_of(path)}


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        OSError: When it cannot be read.
    """
    with path.open("rb") as page:
        return file_digest(page, "sha256").hexdigest()
