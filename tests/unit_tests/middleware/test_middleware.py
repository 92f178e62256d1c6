"""The public names, and what they cost."""

import subprocess
import sys

import pytest

from langchain_prodpatterns import middleware


def test_every_name_is_there() -> None:
    assert sorted(middleware.__all__) == middleware.__all__ == dir(middleware)
    for name in middleware.__all__:
        assert getattr(middleware, name).__name__ == name


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="Nothing"):
        _ = middleware.Nothing


def test_the_package_alone_does_not_import_langchain() -> None:
    script = (
        "import sys, langchain_prodpatterns.middleware\n"
        "assert 'langchain' not in sys.modules\n"
        "assert 'langgraph' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)  # noqa: S603
