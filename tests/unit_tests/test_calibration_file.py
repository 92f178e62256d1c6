"""The file of a calibration: what is written is read, and nothing else is."""

import json
from pathlib import Path
from typing import Any

import pytest

from langchain_prodpatterns.calibration_file import (
    CalibrationFile,
    beside,
    read_calibration,
    state_of,
)
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.fingerprints import Fingerprint
from langchain_prodpatterns.testing import LexicalEmbeddings

WRITTEN = CalibrationFile(
    "cache",
    Fingerprint("LexicalEmbeddings()", 64),
    {"delta": 0.02},
    {"used": 10},
    {"held_out": None},
    "2026-10-31",
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cache.json"

    WRITTEN.write(path)
    found = read_calibration(path, "cache")

    assert json.loads(path.read_text("ascii")) == WRITTEN.record()
    assert (found.component, found.embedder, found.settings, found.folder) == (
        "cache",
        WRITTEN.embedder,
        WRITTEN.settings,
        tmp_path,
    )
    assert read_calibration(WRITTEN.record(), "cache").settings == WRITTEN.settings
    assert [one.name for one in tmp_path.iterdir()] == ["cache.json"]


def test_what_is_no_number_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "cache.json"
    path.write_text("before")

    with pytest.raises(ValueError, match="JSON"):
        CalibrationFile("cache", None, {"delta": float("nan")}).write(path)

    assert path.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["cache.json"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"format": "other"}, "the mapping is no calibration"),
        ({"version": 2}, "a calibration of version 2, this release reads 1"),
        ({"component": "guard"}, "a calibration of 'guard', not of 'cache'"),
        ({"settings": 3}, "no 'settings'"),
        ({"embedder": "x"}, "no 'embedder'"),
        ({"embedder": {"name": 3}}, "no 'embedder'"),
        ({"embedder": None}, "no 'embedder'"),
    ],
)
def test_what_is_none_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_calibration({**WRITTEN.record(), **changed}, "cache")


@pytest.mark.parametrize("text", ["no json", "[]", "3", "[" * 100_000])
def test_a_file_that_is_none_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cache.json"
    path.write_text(text)

    with pytest.raises(ConfigurationError, match=r"'cache.json' is no calibration"):
        read_calibration(path, "cache")


def test_a_file_that_is_not_there_is_an_error_of_the_argument(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"'cache.json' cannot be read: No su"):
        read_calibration(str(tmp_path / "cache.json"), "cache")


def test_other_embeddings_are_refused_by_name() -> None:
    WRITTEN.check_embeddings(LexicalEmbeddings(dimensions=64))
    CalibrationFile("guard", None, {}).check_embeddings(LexicalEmbeddings())

    other = CalibrationFile("cache", Fingerprint("OpenAIEmbeddings(x)"), {})
    with pytest.raises(ConfigurationError, match=r"for OpenAIEmbeddings\(x\), these"):
        other.check_embeddings(LexicalEmbeddings())


def test_vectors_of_another_length_are_refused_where_it_is_known() -> None:
    with pytest.raises(
        ConfigurationError, match=r"dimension 64, these .* dimension 128,"
    ):
        WRITTEN.check_embeddings(LexicalEmbeddings(dimensions=128))
    silent = CalibrationFile("cache", Fingerprint("LexicalEmbeddings()"), {})
    silent.check_embeddings(LexicalEmbeddings())


def test_what_stands_beside_it_is_the_file_that_was_written(tmp_path: Path) -> None:
    state = tmp_path / "router.npz"
    state.write_bytes(b"numbers")
    made = CalibrationFile("router", None, {"state": state_of(state)}, folder=tmp_path)

    assert beside(made) == state
    assert beside(CalibrationFile("router", None, {})) is None

    state.write_bytes(b"others")
    with pytest.raises(ConfigurationError, match=r"'router.npz' is not the file that"):
        beside(made)
    state.unlink()
    with pytest.raises(ConfigurationError, match=r"needs 'router.npz' beside it"):
        beside(made)


@pytest.mark.parametrize(
    "state", ["x", {}, {"file": 3}, {"file": "../x"}, {"file": "/etc/passwd"}]
)
def test_nothing_is_read_from_elsewhere(state: object) -> None:
    with pytest.raises(ConfigurationError, match="no 'state'"):
        beside(CalibrationFile("router", None, {"state": state}))
