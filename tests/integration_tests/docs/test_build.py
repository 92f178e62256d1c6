"""A page that promises what is not there ends the build."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="`make docs` installs what builds the site")

ROOT = Path(__file__).parents[3]
CONFIG = """
site_name: probe
strict: true
theme: {{ name: null, custom_dir: {theme} }}
hooks: [{hooks}]
validation: {{ anchors: warn }}
use_directory_urls: false
plugins: []
"""
THEME = "<p id=top></p>{{ page.content }}"


def build(folder: Path, page: str) -> subprocess.CompletedProcess[str]:
    """Build a site of one page with the hooks of the documentation."""
    for name in ("docs", "theme"):
        (folder / name).mkdir()
    (folder / "theme" / "main.html").write_text(THEME)
    (folder / "docs" / "index.md").write_text(page)
    hooks = ROOT / "docs" / "making" / "hooks.py"
    config = CONFIG.format(theme=folder / "theme", hooks=hooks)
    (folder / "mkdocs.yml").write_text(config)
    return subprocess.run(  # noqa: S603 - mkdocs, and our own page
        [sys.executable, "-m", "mkdocs", "build", "-f", folder / "mkdocs.yml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_page_is_built_with_what_draws_diagrams(tmp_path: Path) -> None:
    run = build(tmp_path, "# A page\n\n<!-- errors -->\n\n[x](https://example.com/x)\n")

    site = tmp_path / "site"
    assert run.returncode == 0, run.stderr
    assert "StoreUnavailable" in (site / "index.html").read_text("utf-8")
    assert (site / "assets" / "mermaid.min.js").stat().st_size > 1_000_000
    assert (site / "external_links.txt").read_text() == "https://example.com/x\n"


@pytest.mark.parametrize(
    ("page", "wrong"),
    [
        ("<!-- knobs: cache.NoSuchClass -->", "NoSuchClass"),
        ("[x](repo:no/such/file.md)", "no/such/file.md"),
        ("[x](#nowhere)\n\n![y](https://example.com/y.png)", "without a network"),
    ],
)
def test_a_page_that_is_wrong_ends_the_build(
    tmp_path: Path, page: str, wrong: str
) -> None:
    run = build(tmp_path, f"# A page\n\n{page}\n")

    assert run.returncode != 0
    assert wrong in run.stderr
