"""Where a command may write."""

import os
from pathlib import Path

import pytest

from langchain_prodpatterns.commands.targets import check_targets
from langchain_prodpatterns.errors import ConfigurationError


def test_new_files_and_old_ones_are_fine(tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    old.touch()

    check_targets(
        {"--out": str(old), "--report": f"{tmp_path}/new.html", "--save": None},
        [tmp_path / "data.jsonl"],
    )


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("data.jsonl", "is what is read, and would be lost"),
        ("./link.jsonl", "is what is read, and would be lost"),
        ("hard.jsonl", "is what is read, and would be lost"),
        ("page.html", "is that of --report, and would be lost"),
        ("", "is a folder: name a file"),
        ("nowhere/out.json", "is in no folder that there is"),
        ("data.jsonl/out.json", "is in no folder that there is"),
    ],
)
def test_what_would_be_lost_or_cannot_be_is_refused(
    tmp_path: Path, out: str, message: str
) -> None:
    data = tmp_path / "data.jsonl"
    data.touch()
    (tmp_path / "link.jsonl").symlink_to(data)
    (tmp_path / "hard.jsonl").hardlink_to(data)

    with pytest.raises(ConfigurationError, match=message):
        check_targets(
            {"--report": f"{tmp_path}/page.html", "--out": f"{tmp_path}/{out}"}, [data]
        )


def test_what_one_may_not_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may write everywhere.
    monkeypatch.setattr(os, "access", lambda path, mode: False)

    with pytest.raises(ConfigurationError, match=r"out.json' cannot be written"):
        check_targets({"--out": f"{tmp_path}/out.json"}, [])
