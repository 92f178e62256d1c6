"""A router's vectors, labels and fit in one file: npz with a JSON header, no pickle."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from langchain_prodpatterns.arrays import DAMAGED, write_arrays
from langchain_prodpatterns.errors import ConfigurationError, StoreError
from langchain_prodpatterns.fingerprints import fingerprint_of
from langchain_prodpatterns.routing.decision import RouteDecision
from langchain_prodpatterns.routing.fitting import Fitted, Proof, scorer_of
from langchain_prodpatterns.routing.index import RouteIndex, RouteMatrix
from langchain_prodpatterns.routing.knowledge import Course, View
from langchain_prodpatterns.routing.labels import Label, Lesson, check_tool
from langchain_prodpatterns.routing.selector import FEATURES, WEIGHTS, Selector

VERSION = 1
"""The version of the file's format."""

_FORMAT = "langchain-prodpatterns router"
_LARGEST = 2**31
"""Bytes that an array of a file may have: a file is not to be trusted with memory."""

Arrays = Mapping[str, npt.NDArray[Any]]


def write_state(path: Path, index: RouteIndex, view: View) -> None:
    """Write a router's state, whole or not at all.

    Args:
        path: The file.
        index: Its routes and memory.
        view: What decides.

    Raises:
        StoreError: When it cannot be written.
    """
    memory = index.knowledge.memory
    # Not the memory's latest: what the view was made of, so that it is made again.
    header = {
        "format": _FORMAT,
        "version": VERSION,
        "embedder": fingerprint_of(index.embeddings).name,
        "routes": _texts_of(index),
        "suspended": view.suspended,
        "decisions": {
            key: decision.model_dump() for key, decision in memory.decisions().items()
        },
        "view_learned": _labels(view.learned),
        "learned": _labels(memory.learned()),
        "course": _course(view.course),
    }
    arrays = {"vectors": view.base.known.rows}
    arrays |= _rows("view_learned", view.learned) | _rows("learned", memory.learned())
    if view.course is not None and view.fitted is not None:
        arrays |= _rows("course", view.course.lesson) | _fit_arrays(view.fitted)
    try:
        write_arrays(path, {"header": np.array(json.dumps(header)), **arrays})
    except OSError as error:
        msg = f"the router cannot be saved to {path.name!r}: {error.strerror or error}"
        raise StoreError(msg) from error


def read_state(path: Path, index: RouteIndex) -> None:
    """Read a router's state into an index that has embedded nothing.

    Args:
        path: The file.
        index: The routes and the embeddings it was saved with.

    Raises:
        StoreError: When it cannot be read or does not belong to these.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            _check_sizes(archive.zip)
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(str(arrays["header"]))
        _check_header(path, header, index)
        _restore(header, arrays, index)
    except OSError as error:
        msg = f"the router cannot be read from {path.name!r}: {error.strerror or error}"
        raise StoreError(msg) from error
    except (*DAMAGED, AttributeError, ConfigurationError, IndexError) as error:
        kind = type(error).__name__
        msg = f"{path.name!r} is torn or no saved router ({kind}): save it again"
        raise StoreError(msg) from error


def _check_sizes(archive: zipfile.ZipFile | None) -> None:
    for member in archive.infolist() if archive else ():
        if member.file_size > _LARGEST:
            msg = "an array is too large"
            raise ValueError(msg)


def _check_header(path: Path, header: Any, index: RouteIndex) -> None:
    if header["format"] != _FORMAT:
        msg = "another format"
        raise ValueError(msg)
    if header["version"] != VERSION:
        msg = (
            f"{path.name!r} has version {header['version']!r} of the format, this "
            f"package reads {VERSION}: fit and save again"
        )
        raise StoreError(msg)
    embedder = fingerprint_of(index.embeddings).name
    if header["embedder"] != embedder:
        msg = (
            f"{path.name!r} was saved with {header['embedder']}, these embeddings are "
            f"{embedder}: their vectors cannot be compared"
        )
        raise StoreError(msg)
    if header["routes"] != _texts_of(index):
        names = [name for name, _ in header["routes"]]
        msg = (
            f"{path.name!r} was saved with other tools ({names}) or other texts of "
            "them: load it with those, then add and remove"
        )
        raise StoreError(msg)


def _restore(header: Any, arrays: Arrays, index: RouteIndex) -> None:
    base = RouteMatrix.restored(index.routes, arrays["vectors"])
    decisions = {
        str(key): RouteDecision.model_validate(value)
        for key, value in header["decisions"].items()
    }
    names = {route.name for route in index.routes}
    for decision in decisions.values():
        check_tool("a kept decision", decision.tool, names)
    learned = _lesson(header["view_learned"], arrays.get("view_learned"))
    view = View(base, learned, suspended=str(header["suspended"]))
    course = header["course"]
    if course is not None:
        lesson = _lesson(course["labels"], arrays["course"])
        if lesson is None:
            msg = "a fit without labels"
            raise ValueError(msg)
        given = Course(lesson, float(course["confidence"]), float(course["held_out"]))
        view = View(base, learned, given, _fitted(view, given, arrays))
    memory = index.knowledge.memory
    memory.restore(decisions, _lesson(header["learned"], arrays.get("learned")))
    index.knowledge.restore(view)
    index.restore(base)


def _fitted(view: View, course: Course, arrays: Arrays) -> Fitted:
    labeled = course.lesson.numbered(view.base.names)
    scorer = scorer_of(
        view.matrix.known, labeled, len(view.base.names), held_out=course.held_out
    )
    selector = Selector(arrays["mean"], arrays["scale"], arrays["coefficients"])
    proof = Proof(arrays["scores"], arrays["right"], arrays["hints"])
    _check_fit(arrays)
    return Fitted(scorer, arrays["weights"], selector, proof)


def _check_fit(arrays: Arrays) -> None:
    """Refuse numbers that would only fail, or decide anything, at a call."""
    shapes = {
        "weights": (len(WEIGHTS),),
        "mean": (FEATURES,),
        "scale": (FEATURES,),
        "coefficients": (FEATURES + 1,),
        "right": (len(arrays["scores"]),),
        "scores": (len(arrays["scores"]),),
        "hints": (len(arrays["hints"]),),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
            msg = f"{name} of another shape, or not finite"
            raise ValueError(msg)


def _fit_arrays(fitted: Fitted) -> dict[str, npt.NDArray[Any]]:
    return {
        "weights": fitted.weights,
        "mean": fitted.selector.mean,
        "scale": fitted.selector.scale,
        "coefficients": fitted.selector.coefficients,
        "scores": fitted.proof.scores,
        "right": fitted.proof.right,
        "hints": fitted.proof.hints,
    }


def _course(course: Course | None) -> dict[str, Any] | None:
    if course is None:
        return None
    return {
        "labels": _labels(course.lesson),
        "confidence": course.confidence,
        "held_out": course.held_out,
    }


def _texts_of(index: RouteIndex) -> list[list[Any]]:
    return [[route.name, list(route.texts)] for route in index.routes]


def _labels(lesson: Lesson | None) -> list[list[str | None]]:
    labels = lesson.labels if lesson else ()
    return [[label.query, label.tool] for label in labels]


def _rows(name: str, lesson: Lesson | None) -> dict[str, npt.NDArray[Any]]:
    return {name: lesson.rows} if lesson else {}


def _lesson(labels: Any, rows: npt.NDArray[Any] | None) -> Lesson | None:
    if not labels or rows is None:
        return None
    if len(rows) != len(labels) or not np.isfinite(rows).all():
        msg = "labels and vectors do not match, or these are not finite"
        raise ValueError(msg)
    return Lesson(
        tuple(Label(str(query), tool) for query, tool in labels),
        rows.astype(np.float32),
    )
