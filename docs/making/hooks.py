"""What MkDocs calls when it builds the site (`hooks` in `mkdocs.yml`)."""

import hashlib
import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from docs.making import directives, links

logger = logging.getLogger("mkdocs.hooks.making")

MERMAID = "assets/mermaid.min.js"
MERMAID_SHA256 = "74d7c46dabca328c2294733910a8aa1ed0c37451776e8d5295da38a2b758fb9b"
"""The digest of `dist/mermaid.min.js` in the npm package `mermaid` 11.16.0."""


def on_files(files: Files, *, config: Any) -> Files:
    """Add the script that draws diagrams.

    It is 3.5 MB, so it is not kept in the repository. The package `mermaidx` of PyPI,
    a part of the group `docs`, brings the very file that npm has.
    """
    content = _mermaid().read_bytes()
    if hashlib.sha256(content).hexdigest() != MERMAID_SHA256:
        msg = f"{_mermaid().name} of mermaidx is not mermaid 11.16.0: pin mermaidx"
        raise PluginError(msg)
    files.append(File.generated(config, MERMAID, content=content))
    return files


def _mermaid() -> Path:
    found = find_spec("mermaidx")
    if found is None or found.origin is None:
        msg = "the group `docs` of pyproject.toml is not installed: make docs does"
        raise PluginError(msg)
    return Path(found.origin).parent / "assets" / "mermaid.js"


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Replace the directives of a page by what the code says now."""
    try:
        return directives.fill(markdown)
    except (KeyError, AttributeError, FileNotFoundError, TypeError) as error:
        msg = f"{page.file.src_uri}: {error}"
        raise PluginError(msg) from error


def on_post_build(*, config: Any) -> None:
    """Check the pages; what is wrong ends a strict build."""
    site = Path(config["site_dir"])
    # It has absolute links, for a server that has the site at its root.
    (site / "404.html").unlink(missing_ok=True)
    # For who looks whether they are still there: the build asks nobody.
    lines = "".join(f"{address}\n" for address in links.external(site))
    (site / "external_links.txt").write_text(lines, encoding="utf-8")
    for problem in links.check(site):
        logger.warning("%s", problem)
