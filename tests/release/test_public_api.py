"""No public name, signature or attribute changes by accident."""

import pytest

from tests.release.public_api import (
    RECORD,
    difference,
    public_api,
    recorded,
    rendered,
)
from tests.release.source import listed, public_modules

ADVICE = """
`make api` accepts this. What breaks callers needs a deprecation first, or a major
version: CONTRIBUTING.md, "Versions and deprecations".
"""


def test_the_public_api_is_the_one_on_record() -> None:
    changed = difference(recorded(RECORD.read_text("utf-8")), public_api())
    assert not changed, f"the public API has changed\n{changed}\n{ADVICE}"


def test_every_name_that_is_listed_is_on_record() -> None:
    names = set(recorded(RECORD.read_text("utf-8")))
    for module in public_modules():
        assert {f"{module} {name}" for name in listed(module)} <= names


def test_what_is_written_is_read_again() -> None:
    api = public_api()
    read = recorded(rendered(api))
    assert list(read) == list(api)
    assert difference(read, api) == ""


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ({"m a": "(x)"}, {}, "removed (breaking):\n  m a"),
        ({}, {"m a": "(x)"}, "added:\n  m a: (x)"),
        (
            {"m a": "(x,\n    y)"},
            {"m a": "(x)"},
            (
                "changed (breaking where a call of the old form fails):\n"
                "  m a\n    was (x, y)\n    is  (x)"
            ),
        ),
        ({"m a": "(x,\n    y)"}, {"m a": "(x, y)"}, ""),
    ],
)
def test_a_change_is_told(
    before: dict[str, str], now: dict[str, str], told: str
) -> None:
    assert difference(before, now) == told


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("langchain_prodpatterns Budget.__init__", "seconds: float | None = None"),
        ("langchain_prodpatterns CachedRunnable.ainvoke", "async (self, input: In"),
        ("langchain_prodpatterns GuardBlocked.rule", "str"),
        ("langchain_prodpatterns.cache SemanticJudgeCache", "the same as in"),
        ("langchain_prodpatterns.cache CacheStats.hits", "int"),
        ("langchain_prodpatterns.errors JudgeFailureKind", "Literal['timeout'"),
    ],
)
def test_signatures_fields_and_attributes_are_in_it(key: str, part: str) -> None:
    assert part in public_api()[key]
