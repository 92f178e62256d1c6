"""The site in a real browser, from the file system and without a network."""

import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

SITE = os.environ.get("PRODPATTERNS_SITE", "")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
ALONE = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # No name is ever resolved.
    "--host-resolver-rules=MAP * ~NOTFOUND",
    # What the page waits for is there at once.
    "--virtual-time-budget=20000",
    "--dump-dom",
)
PAGES = sorted(Path(SITE).rglob("*.html")) if SITE else []
DRAWN = [page for page in PAGES if 'class="diagram"' in page.read_text("utf-8")]

pytestmark = [
    pytest.mark.skipif(not SITE, reason="`make docs` builds the site for this"),
    pytest.mark.skipif(not BROWSER, reason="neither chromium nor google-chrome"),
]


def seen(profile: Path, page: Path, query: str = "") -> str:
    """Open a page, and return it as it is when its scripts have run."""
    run = subprocess.run(  # noqa: S603 - a browser, and our own page
        [
            str(BROWSER),
            *ALONE,
            f"--user-data-dir={profile}",
            page.resolve().as_uri() + query,
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return unescape(run.stdout)


@pytest.mark.parametrize("page", DRAWN, ids=lambda page: str(page.relative_to(SITE)))
def test_every_diagram_is_drawn(page: Path, tmp_path: Path) -> None:
    wanted = page.read_text("utf-8").count('class="diagram"')

    found = seen(tmp_path, page)

    assert found.count('class="diagram drawn"') == wanted
    assert len(re.findall(r"<svg[^>]+aria-roledescription=", found)) == wanted
    # It scrolls on a phone, where it would otherwise be too small to read.
    assert len(re.findall(r"<svg[^>]+min-width: [1-9]", found)) == wanted
    assert "Syntax error" not in found


def test_the_search_finds_without_a_server(tmp_path: Path) -> None:
    found = seen(tmp_path, Path(SITE) / "index.html", "?q=ladder")

    assert "md-search-result__item" in found
    assert "structured.html" in found.partition("md-search-result__list")[2]


def test_pages_with_diagrams_are_found() -> None:
    assert len(DRAWN) > 5
