"""`prodpatterns calibrate cache`: from pairs to a band, and from questions to pairs."""

import json
from pathlib import Path

import pytest

from langchain_prodpatterns import SemanticJudgeCache
from tests.unit_tests.commands.calibrating import (
    HERE,
    SMALL,
    WORDS,
    believes,
    lines,
    pair,
)
from tests.unit_tests.commands.conftest import Calibrate, cache
from tests.unit_tests.reports.test_pages import read


def test_pairs_become_a_band_that_a_cache_loads(
    calibrate: Calibrate, pairs: Path, tmp_path: Path
) -> None:
    ran = cache(
        calibrate, pairs, "--delta", "0.2", "--out", "c.json", "--report", "c.html"
    )

    assert ran.code == 0
    assert "chosen on 139 pairs:" in ran.out
    assert "on the other 60 pairs: from" in ran.out
    assert ran.out.endswith("c.json is written\nc.html is written\n")
    written = json.loads((tmp_path / "c.json").read_text())
    assert written["embedder"] == {"name": "LexicalEmbeddings()", "dimensions": 64}
    assert written["date"] == "2026-10-28"
    assert written["rows"] == {
        "used": 199, "chosen_on": 139, "reported_on": 60, "seed": 0, "same": 195,
    }  # fmt: skip
    assert written["shown"]["held_out"]["wrong_at_most"] < 0.3
    loaded = SemanticJudgeCache.from_calibration("c.json", SMALL)
    assert [loaded.stats().promise.lo, loaded.stats().promise.hi] == written[
        "settings"
    ]["band"]
    assert "secret" not in (tmp_path / "c.json").read_text()


def test_the_page_shows_the_plots_and_no_text_of_users(
    calibrate: Calibrate, pairs: Path, tmp_path: Path
) -> None:
    cache(calibrate, pairs, "--delta", "0.2", "--report", "c.html")

    text = (tmp_path / "c.html").read_text("utf-8")
    found = read(text)
    assert "Calibration of a cache" in found.words
    assert "Served share against wrong share" in found.words
    assert "Reliability" in found.words
    assert any(word.startswith("chosen: unjudged from") for word in found.words)
    assert "secret" not in text


def test_where_nothing_is_promised_the_page_asks_for_no_pairs(
    calibrate: Calibrate, pairs: Path, tmp_path: Path
) -> None:
    ran = cache(calibrate, pairs, "--delta", "0", "--report", "c.html")

    assert "nothing is served unjudged, since delta is 0" in ran.out
    words = read((tmp_path / "c.html").read_text("utf-8")).words
    assert "promised share of wrong answers" in words
    assert "near pairs that a band needs" not in words
    assert "None" not in words


def test_the_judges_errors_are_measured_and_loaded(
    calibrate: Calibrate, pairs: Path, tmp_path: Path
) -> None:
    ran = cache(calibrate, pairs, "--judge", f"{HERE}:believes", "--out", "c.json")

    assert ran.code == 0
    assert "the judge accepts 4 of 4 wrong answers" in ran.out
    assert "no cosine keeps delta 0.02 unjudged" in ran.out
    assert "there is no threshold to report on" in ran.out
    written = json.loads((tmp_path / "c.json").read_text())
    assert written["settings"]["judge"] == [0, 4]
    assert written["shown"]["judge"]["accepted_wrongly_at_most"] == 1.0
    assert written["shown"]["pairs_needed_for_a_band"] > 100
    loaded = SemanticJudgeCache.from_calibration("c.json", SMALL, believes)
    assert loaded.stats().promise.judge_error > 0.5


def test_thresholds_are_chosen_without_the_rows_that_they_are_reported_on(
    calibrate: Calibrate, tmp_path: Path
) -> None:
    rows = [pair(at, same=True) for at in range(1, 200)]
    right = lines(tmp_path / "right.jsonl", rows)
    seen = cache(calibrate, right, "--delta", "0.2", "--json").record
    band, reported = seen["settings"]["band"], seen["rows"]["reported_on"]

    ran = cache(
        calibrate, right, "--delta", "0.2", "--json", "--test", "0.6", "--seed", "3"
    )
    assert reported == 60
    assert ran.record["rows"]["reported_on"] == 119
    assert ran.record["rows"]["seed"] == 3
    # All are right: where they are cut does not matter here.
    assert ran.record["settings"]["band"][1] == pytest.approx(band[1], abs=0.06)


def test_traces_are_labeled_by_the_judge(calibrate: Calibrate, tmp_path: Path) -> None:
    questions = [f"secret bring {one} {one}ish {one}ness {one}" for one in WORDS]
    near = [f"secret fetch {one} {one}ish {one}ness {one}" for one in WORDS]
    rows = [{"question": text} for text in (*questions, *near, questions[0])]
    path = lines(tmp_path / "traces.jsonl", rows)

    ran = cache(calibrate, path, "--judge", f"{HERE}:knows", "--json", "--least", "0.5")

    record = ran.record
    assert ran.code == 0
    assert record["rows"]["questions"] == 21
    assert record["rows"]["repeated"] == 1
    assert 10 <= record["rows"]["used"] == record["rows"]["near"]
    assert record["rows"]["same"] >= 5
    assert record["settings"]["as_traffic"] is True
    assert record["settings"]["judge"] is None
    few = cache(
        calibrate,
        path,
        "--judge",
        f"{HERE}:knows",
        "--json",
        "--least",
        "0.5",
        "--verdicts",
        4,
        "--resume",
    )
    assert few.record["rows"]["used"] == 4


def test_labels_of_a_judge_are_no_more_right_than_it(
    calibrate: Calibrate, tmp_path: Path
) -> None:
    near = [pair(at, same=True) for at in range(40)]
    questions = [one[name] for one in near for name in ("new_question", "stored_question")]  # fmt: skip
    path = lines(tmp_path / "traces.jsonl", [{"question": one} for one in questions])

    ran = cache(calibrate, path, "--judge", f"{HERE}:believes", "--delta", "0.5")

    assert ran.out.endswith("confidence), as far as the judge is right\n")


def test_ctrl_c_keeps_the_verdicts(calibrate: Calibrate, pairs: Path) -> None:
    ran = cache(calibrate, pairs, "--judge", f"{HERE}:stops", "--out", "c.json")

    assert ran.code == 130
    assert "--resume goes on there" in ran.err
    assert not pairs.with_name("c.json").exists()
    assert cache(calibrate, pairs, "--judge", f"{HERE}:knows").code == 0
    again = cache(calibrate, pairs, "--judge", f"{HERE}:knows")
    assert again.code == 2
    assert "go on with --resume, or remove the file" in again.err


def test_without_its_judge_nothing_is_embedded(
    calibrate: Calibrate, pairs: Path
) -> None:
    typed = ("cache", pairs, "--embeddings", f"{HERE}:unreachable", "--judge")

    assert "--judge 'no:where' cannot be had" in calibrate(*typed, "no:where").err
    assert not pairs.with_name("pairs.jsonl.verdicts").exists()
    ran = calibrate(*typed, f"{HERE}:knows")
    assert "--embeddings" in ran.err
    assert cache(calibrate, pairs, "--judge", f"{HERE}:believes").code == 0


def test_verdicts_that_are_missing_are_told_of(
    calibrate: Calibrate, pairs: Path
) -> None:
    ran = cache(calibrate, pairs, "--judge", f"{HERE}:mute_at_red", "--json")

    missing = ran.record["shown"]["judge"]["failures"]
    assert 0 < missing < 199
    assert f"no verdict on {missing} of 199 pairs: --resume asks about these" in ran.err
    again = cache(calibrate, pairs, "--judge", f"{HERE}:mute_at_red", "--resume")
    assert f"no verdict on {missing} of 199 pairs" in again.err


def test_a_judge_without_any_verdict_is_an_error(
    calibrate: Calibrate, pairs: Path
) -> None:
    ran = cache(calibrate, pairs, "--judge", f"{HERE}:mute")

    assert (ran.code, ran.out) == (1, "")
    assert "no verdict on any of 199 pairs" in ran.err


def test_questions_without_labels_need_a_judge_and_near_ones(
    calibrate: Calibrate, tmp_path: Path
) -> None:
    data = lines(tmp_path / "q.jsonl", [{"question": "alpha"}, {"question": "omega"}])

    assert "need a judge that says" in cache(calibrate, data).err
    ran = cache(calibrate, data, "--judge", f"{HERE}:knows")
    assert ran.code == 2
    assert "no two of 2 questions are as near as 0.7" in ran.err
