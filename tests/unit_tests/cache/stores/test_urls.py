"""Which store a URL names, and what of it may be shown."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.cache.stores import LocalStore
from langchain_prodpatterns.cache.stores.urls import (
    PostgresDatabase,
    SqliteFile,
    masked,
    open_store,
    parse_url,
)
from langchain_prodpatterns.errors import (
    ConfigurationError,
    StoreError,
)

POSTGRES = "langchain_prodpatterns.cache.stores.postgres"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///relative.db", "relative.db"),
        ("sqlite:////tmp/absolute.db", "/tmp/absolute.db"),  # noqa: S108 - no file is made
        ("sqlite:///a%20folder/x.db", "a folder/x.db"),
        ("SQLite:///x.db", "x.db"),
        ("plain/path.db", "plain/path.db"),
        ("with space#and?marks.db", "with space#and?marks.db"),
        ("C:\\answers.db", "C:\\answers.db"),
    ],
)
def test_a_file_is_named_by_a_url_or_by_its_path(url: str, path: str) -> None:
    assert parse_url(url) == SqliteFile(Path(path))


@pytest.mark.parametrize(
    ("url", "dsn", "schema"),
    [
        ("postgresql://h/db", "postgresql://h/db", "prodpatterns"),
        ("postgres://u:p%40ss@h:5/db", "postgres://u:p%40ss@h:5/db", "prodpatterns"),
        (
            "postgresql:///db?host=/tmp&prodpatterns_schema=mine&sslmode=require",
            "postgresql:///db?host=/tmp&sslmode=require",
            "mine",
        ),
        ("postgresql://h/db?prodpatterns_schema=a%20b", "postgresql://h/db", "a b"),
    ],
)
def test_of_a_database_our_own_parameter_is_taken_out(
    url: str, dsn: str, schema: str
) -> None:
    assert parse_url(url) == PostgresDatabase(dsn, schema)


@pytest.mark.parametrize(
    "url",
    [
        "",
        ".",
        ":memory:",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite://host/x.db",
        "sqlite:///x.db?mode=ro",
        "a\0b",
        "mysql://u:secret@h/db",
        "postgresql://u:secret@h/db?prodpatterns_schema=",
        "postgresql://h/db?prodpatterns_schema=a&prodpatterns_schema=b",
    ],
)
def test_what_names_no_store_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_url(url)

    assert "secret" not in str(refused.value)


def test_a_file_is_made_only_when_that_is_wanted(tmp_path: Path) -> None:
    path, empty = tmp_path / "new.db", tmp_path / "empty.db"
    empty.touch()

    for one in (path, empty, tmp_path):
        with pytest.raises(StoreError, match="there is no cache at"):
            open_store(str(one))
    with pytest.raises(StoreError, match="cannot look at"):
        open_store(str(tmp_path / ("x" * 5_000)))

    assert not path.exists()
    assert empty.stat().st_size == 0
    open_store(f"sqlite:///{path}", create=True).close()
    store = open_store(f"sqlite:///{path}")
    assert isinstance(store, LocalStore)
    store.close()


@pytest.mark.parametrize("create", [False, True])
def test_a_database_is_opened_by_its_store(
    monkeypatch: pytest.MonkeyPatch, create: bool
) -> None:
    opened: list[Any] = []
    module = ModuleType(POSTGRES)
    module.PostgresStore = lambda dsn, **how: opened.append((dsn, how))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, POSTGRES, module)

    open_store("postgresql://h/db?prodpatterns_schema=mine", create=create)

    how = {"schema": "mine", "migrate": create, "timeout": 30.0}
    assert opened == [("postgresql://h/db", how)]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:secret@h/db", "postgresql://u:***@h/db"),
        ("postgresql://:secret@h/db", "postgresql://:***@h/db"),
        ("postgresql://h/db?password=secret&x=1", "postgresql://h/db?password=***&x=1"),
        ("h?sslpassword=secret", "h?sslpassword=***"),
        ("host=h password=secret user=u", "host=h password=*** user=u"),
        ("no: mysql://u:secret@h failed", "no: mysql://u:***@h failed"),
        ("postgresql://u@h/db", "postgresql://u@h/db"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_a_password_is_never_shown(text: str, shown: str) -> None:
    assert masked(text) == shown


@given(
    st.text("ab%/@:?&= ", max_size=12),
    st.from_regex(r"[A-Za-z0-9%:.!@/]{6,20}", fullmatch=True),
)
def test_whatever_stands_around_it(around: str, password: str) -> None:
    shown = masked(f"{around} postgresql://user:{password}@host/db?{around}")

    assert f":{password}@" not in shown
