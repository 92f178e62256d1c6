"""`prodpatterns calibrate guard`: from texts to thresholds."""

import json
from pathlib import Path

import pytest

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.guard import InjectionClassifier
from tests.unit_tests.commands.calibrating import (
    EMBEDDINGS,
    SMALL,
    lines,
    texts,
)
from tests.unit_tests.commands.conftest import Calibrate
from tests.unit_tests.reports.test_pages import read


def test_texts_become_thresholds_that_a_classifier_loads(
    calibrate: Calibrate, tmp_path: Path
) -> None:
    data = lines(tmp_path / "texts.jsonl", texts())

    ran = calibrate("guard", data, "--out", "g.json", "--report", "g.html")

    assert ran.code == 0
    assert "an attack from" in ran.out
    assert "red team" in ran.out
    written = json.loads((tmp_path / "g.json").read_text())
    low, high = written["settings"]["thresholds"]
    classifier = InjectionClassifier.from_calibration("g.json")
    assert (classifier.thresholds.low, classifier.thresholds.high) == (low, high)
    assert written["embedder"] is None
    assert [one["source"] for one in written["shown"]["held_out"]] == [
        *("chat", "mail", "red team", "all")
    ]
    page = (tmp_path / "g.html").read_text("utf-8")
    assert "Attacks found against false positives" in read(page).words
    assert "secret" not in page + (tmp_path / "g.json").read_text()


def test_documents_have_thresholds_of_their_own(
    calibrate: Calibrate, tmp_path: Path
) -> None:
    data = lines(tmp_path / "texts.jsonl", texts())

    record = calibrate("guard", data, "--untrusted", "--json").record

    assert record["settings"]["untrusted"] is not None
    assert "thresholds" not in record["settings"]


def test_too_few_harmless_texts_leave_the_thresholds_as_they_are(
    calibrate: Calibrate, tmp_path: Path
) -> None:
    data = lines(tmp_path / "texts.jsonl", texts(100))

    ran = calibrate("guard", data, "--out", "g.json")

    assert "at least 299 are needed. The classifier's own thresholds stay" in ran.out
    found = InjectionClassifier.from_calibration(tmp_path / "g.json")
    assert found.thresholds == InjectionClassifier().thresholds


def test_with_embeddings_a_head_is_saved_and_loaded(
    calibrate: Calibrate, tmp_path: Path
) -> None:
    data = lines(tmp_path / "texts.jsonl", texts(60))

    ran = calibrate(
        *("guard", data, "--embeddings", EMBEDDINGS, "--out", "g.json", "--save"),
        *("--false-positives", "0.2", "--json"),
    )

    assert ran.code == 0
    assert ran.record["written"] == ["g.npz", "g.json"]
    found = InjectionClassifier.from_calibration("g.json", embeddings=SMALL)
    assert found.head is not None
    assert found.thresholds.high == ran.record["settings"]["thresholds"][1]


def test_thresholds_of_a_head_are_not_loaded_without_it(
    calibrate: Calibrate, tmp_path: Path
) -> None:
    data = lines(tmp_path / "texts.jsonl", texts(60))
    typed = ("guard", data, "--embeddings", EMBEDDINGS, "--false-positives", "0.2")
    told = "from_calibration will miss what --save would have written"
    assert told in calibrate(*typed, "--out", "bare.json").err
    ran = calibrate(*typed, "--out", "whole.json", "--save")
    assert told not in ran.err
    assert "42 harmless texts, each scored by what others taught: an attack" in ran.out

    with pytest.raises(ConfigurationError, match="beside it: calibrate with --save"):
        InjectionClassifier.from_calibration("bare.json")
    with pytest.raises(ConfigurationError, match="beside it: calibrate with --save"):
        InjectionClassifier.from_calibration("bare.json", embeddings=SMALL)
    with pytest.raises(ConfigurationError, match=r"Embeddings\(\): give embeddings="):
        InjectionClassifier.from_calibration("whole.json")
    head = InjectionClassifier.from_calibration("whole.json", embeddings=SMALL).head
    InjectionClassifier.from_calibration("bare.json", embeddings=SMALL, head=head)
