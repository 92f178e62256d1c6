"""What runs on GitHub are the commands of the Makefile, on what is promised."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml  # type: ignore[import-untyped]

from tests.release.source import ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
TARGETS = re.compile(r"^([a-z-]+):", re.MULTILINE)


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def _jobs(path: Path) -> dict[str, Any]:
    jobs = _read(path)["jobs"]
    assert isinstance(jobs, dict)
    return jobs


def _steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in _jobs(path).values():
        yield from job.get("steps", ())


def _targets() -> set[str]:
    return set(TARGETS.findall((ROOT / "Makefile").read_text("utf-8")))


def _pythons(job: dict[str, Any]) -> set[str]:
    matrix = job["strategy"]["matrix"]
    more = {each["python"] for each in matrix.get("include", ())}
    return {*matrix.get("python", ()), *more}


def _promised() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    versions = (
        re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line)
        for line in project["classifiers"]
    )
    return {found[1] for found in versions if found is not None}


def test_the_workflows_are_found() -> None:
    assert {path.name for path in WORKFLOWS} == {
        "ci.yml",
        "nightly.yml",
        "release.yml",
    }


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_command_is_a_target_of_the_makefile(path: Path) -> None:
    named = {
        word
        for step in _steps(path)
        for words in re.findall(r"^make ([a-z -]+)", step.get("run", ""), re.MULTILINE)
        for word in words.split()
    }
    for job in _jobs(path).values():
        named |= set(job.get("strategy", {}).get("matrix", {}).get("target", ()))

    assert named
    assert named - _targets() == set()


def test_ci_runs_what_has_to_hold_before_a_change_lands() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    needed = set(re.findall(r"^step make ([a-z-]+)$", script, re.MULTILINE))
    jobs = _jobs(GITHUB / "workflows" / "ci.yml")

    assert needed - {"test", *jobs["checks"]["strategy"]["matrix"]["target"]} == set()


def test_ci_runs_every_python_and_system_that_is_promised() -> None:
    job = _jobs(GITHUB / "workflows" / "ci.yml")["test"]
    matrix = job["strategy"]["matrix"]
    systems = {*matrix["os"], *(each["os"] for each in matrix["include"])}

    assert set(matrix["python"]) == _promised()
    assert systems == {"ubuntu-latest", "macos-latest", "windows-latest"}
    for system in systems - set(matrix["os"]):
        pythons = {each["python"] for each in matrix["include"] if each["os"] == system}
        assert pythons == {min(_promised(), key=_number), max(_promised(), key=_number)}


def _number(version: str) -> int:
    return int(version.partition(".")[2])


def test_every_night_has_the_oldest_and_the_newest_python_and_the_audit() -> None:
    jobs = _jobs(GITHUB / "workflows" / "nightly.yml")

    assert _pythons(jobs["newest"]) == {
        min(_promised(), key=_number),
        max(_promised(), key=_number),
    }
    assert [step for step in jobs["audit"]["steps"] if step.get("run") == "make audit"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_do_no_more_than_it_must(path: Path) -> None:
    assert _read(path)["permissions"] == {"contents": "read"}
    for name, job in _jobs(path).items():
        more = {
            "publish": {"id-token": "write"},
            "announce": {"contents": "write"},
            "pages": {"id-token": "write", "pages": "write"},
        }
        assert job.get("permissions", {}) == more.get(name, {})


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_an_action_is_pinned_and_no_expression_is_in_a_command(path: Path) -> None:
    for step in _steps(path):
        assert "${{" not in step.get("run", "")
        action = step.get("uses")
        assert action is None or re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action)


def test_a_release_is_published_after_its_checks_and_without_a_token() -> None:
    jobs = _jobs(GITHUB / "workflows" / "release.yml")

    assert jobs["build"]["needs"] == "ci"
    assert jobs["publish"]["needs"] == "build"
    assert "secrets." not in (GITHUB / "workflows" / "release.yml").read_text("utf-8")


def test_the_site_is_where_the_package_says_that_it_is() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    owner, name = urlsplit(project["urls"]["Repository"]).path.strip("/").split("/")
    jobs = _jobs(GITHUB / "workflows" / "release.yml")
    built = [step.get("run") for step in jobs["site"]["steps"]]

    assert project["urls"]["Documentation"] == f"https://{owner}.github.io/{name}/"
    assert "make docs" in built
    assert jobs["pages"]["needs"] == ["site", "publish"]


def test_dependabot_looks_after_both() -> None:
    updates = _read(GITHUB / "dependabot.yml")["updates"]

    assert {each["package-ecosystem"] for each in updates} == {"pip", "github-actions"}


@pytest.mark.parametrize("name", ["bug", "idea"])
def test_a_form_for_issues_asks_for_something(name: str) -> None:
    form = _read(GITHUB / "ISSUE_TEMPLATE" / f"{name}.yml")

    assert {"name", "description", "body"} <= form.keys()
    assert any(field.get("validations", {}).get("required") for field in form["body"])


def test_the_makefile_has_what_contributing_and_the_template_name() -> None:
    for path in (ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "README.md"):
        named = re.findall(r"`make ([a-z -]+)", path.read_text("utf-8"))
        assert {word for words in named for word in words.split()} - _targets() == set()
