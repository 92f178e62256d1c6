"""What an install brings may be used where MIT may, and is told in full."""

import json
import sys
from pathlib import Path

import pytest

from tests.release.environments import Environment, run
from tests.release.source import ROOT

PERMISSIVE = {
    "0BSD",
    "Apache Software License",
    "Apache-2.0",
    "BSD License",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "CNRI-Python",
    "ISC",
    "MIT",
    "MIT License",
    "PSF-2.0",
    "Python Software Foundation License",
    "Unlicense",
    "Zlib",
}
WEAK = {
    # Files of theirs that are changed stay under the same license; ours do not.
    "certifi": {"Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0"},
    "orjson": {"MPL-2.0"},
    # A library that is imported, not changed, and can be replaced by the user.
    "python-stdnum": {
        "GNU Lesser General Public License v2 or later (LGPLv2+)",
        "LGPL-2.1-or-later",
    },
}
"""Whose license asks for more, and why that is no harm here."""
SPLIT = (" AND ", " OR ", "; ")
INSTALLERS = {"pip", "setuptools"}


def _parts(license_name: str) -> set[str]:
    """The licenses that an expression names; each has to be allowed."""
    parts = [license_name.replace("(Apache-2.0 OR MIT)", "Apache-2.0 OR MIT")]
    for mark in SPLIT:
        parts = [piece for part in parts for piece in part.split(mark)]
    return {part.strip() for part in parts}


@pytest.fixture(scope="module")
def written(core: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make sbom` writes."""
    folder = tmp_path_factory.mktemp("sbom")
    tool = ROOT / "tools" / "sbom.py"
    done = run([sys.executable, tool, core.python, folder], ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_license_is_allowed(written: Path) -> None:
    rows = json.loads((written / "licenses.json").read_text("utf-8"))
    unknown = {
        row["Name"]: parts
        for row in rows
        if (parts := _parts(row["License"]) - PERMISSIVE - WEAK.get(row["Name"], set()))
    }

    assert len(rows) > 20
    assert unknown == {}


def test_the_list_and_the_bill_name_what_is_installed(
    core: Environment, written: Path
) -> None:
    done = core.script(
        "from importlib.metadata import distributions as d\n"
        "print(*(each.metadata['Name'].lower().replace('_', '-') for each in d()))"
    )
    installed = set(done.stdout.split()) - INSTALLERS
    rows = json.loads((written / "licenses.json").read_text("utf-8"))
    bill = json.loads((written / "sbom.cdx.json").read_text("utf-8"))
    named = {row["Name"] for row in rows}
    billed = {part["name"] for part in bill["components"]} - INSTALLERS
    root = bill["metadata"]["component"]

    assert {name.lower().replace("_", "-") for name in named} == installed
    assert {name.lower().replace("_", "-") for name in (*billed, root["name"])} == (
        installed
    )


def test_the_bill_names_this_version(written: Path) -> None:
    bill = json.loads((written / "sbom.cdx.json").read_text("utf-8"))
    root = bill["metadata"]["component"]
    version = (ROOT / "langchain_prodpatterns" / "_version.py").read_text("utf-8")

    assert bill["bomFormat"] == "CycloneDX"
    assert root["name"] == "langchain-prodpatterns"
    assert f'"{root["version"]}"' in version
    assert root["purl"] == f"pkg:pypi/langchain-prodpatterns@{root['version']}"


def test_nothing_in_the_bill_tells_of_this_machine(written: Path) -> None:
    text = (written / "sbom.cdx.json").read_text("utf-8")

    assert str(written) not in text
    assert str(Path.home()) not in text
    assert str(ROOT) not in text
