"""Checks of the built pages: nothing is fetched, and every link can be followed."""

import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_FETCHED = {"script": "src", "link": "href", "img": "src", "iframe": "src"}
"""What a browser fetches by itself, and the attribute that says from where."""
_FETCHING_LINKS = {"stylesheet", "preload", "prefetch", "preconnect", "icon"}
_STYLE_URL = re.compile(
    r"url\(\s*[\"']?(https?:[^)\"']+)|@import\s+[\"'](https?:[^\"']+)"
)


class _Page(HTMLParser):
    """What a page fetches, where it leads, and the places in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.followed: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.places |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.followed.append(given["href"])
        elif tag in _FETCHED and _FETCHED[tag] in given:
            kinds = set(given.get("rel", "").split())
            if tag != "link" or kinds & _FETCHING_LINKS:
                self.fetched.append(given[_FETCHED[tag]])


def check(site: Path) -> list[str]:
    """Check the pages of a built site.

    Args:
        site: The folder.

    Returns:
        What is wrong, a line each.
    """
    pages = {
        path: _Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")
    }
    wrong = [
        f"{path.relative_to(site)}: {problem}"
        for path, page in pages.items()
        for problem in _problems(path, page, pages)
    ]
    return sorted([*wrong, *_styles(site)])


def external(site: Path) -> list[str]:
    """Return the addresses elsewhere that the pages lead to.

    Args:
        site: The folder of a built site.

    Returns:
        Each address once, in order.
    """
    pages = (_Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html"))
    return sorted({href for page in pages for href in page.followed if _away(href)})


def _problems(path: Path, page: _Page, pages: Mapping[Path, _Page]) -> Iterator[str]:
    for source in page.fetched:
        if _away(source):
            yield f"fetches {source}: a page has to work without a network"
        elif not _target(path, source).exists():
            yield f"fetches {source}, which is not there"
    for href in page.followed:
        if _away(href):
            if not is_address(href):
                yield f"links to {href}, which is no address"
        elif problem := _unfollowed(path, href, pages):
            yield f"links to {href}: {problem}"


def _unfollowed(path: Path, href: str, pages: Mapping[Path, _Page]) -> str | None:
    """Say why a link within the site cannot be followed, if so."""
    target = _target(path, href)
    if not target.is_file():
        return "no such page"
    place = unquote(urlsplit(href).fragment)
    if place and target in pages and place not in pages[target].places:
        return "no such place"
    return None


def _target(path: Path, href: str) -> Path:
    below = unquote(urlsplit(href).path)
    if not below:
        return path
    return (path.parent / below).resolve()


def _away(href: str) -> bool:
    parts = urlsplit(href)
    return bool(parts.scheme or parts.netloc)


def is_address(href: str) -> bool:
    """Whether a link that leads elsewhere is one: https, with a host and no blanks.

    Args:
        href: The link.
    """
    parts = urlsplit(href)
    if parts.scheme == "mailto":
        return "@" in parts.path
    host = parts.hostname or ""
    return parts.scheme == "https" and "." in host and not re.search(r"\s", href)


def _styles(site: Path) -> Iterator[str]:
    for path in site.rglob("*.css"):
        for match in _STYLE_URL.finditer(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(site)}: fetches {match[1] or match[2]}"
