import sys

import openai
import pytest

from langchain_prodpatterns.demo.errors import DemoError
from langchain_prodpatterns.demo.providers import open_models


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def _said() -> str:
    with pytest.raises(DemoError) as raised, open_models(None):
        pass
    return str(raised.value)


@pytest.mark.parametrize("named", ["localhost:11434", "ftp://x", " http://x"])
def test_an_address_without_its_scheme_is_told(
    monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", named)

    said = _said()

    assert said == f"OPENAI_BASE_URL is {named!r}: begin it with http:// or https://"


def test_an_empty_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "")

    assert _said() == "OPENAI_BASE_URL is empty: unset it, or give it an address"


@pytest.mark.parametrize("variable", ["ALL_PROXY", "OPENAI_PROXY"])
def test_a_socks_proxy_without_its_package_is_told(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "socks5://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setattr(openai.resources.Models, "list", lambda self: [])

    assert _said() == (
        "cannot use the OpenAI API: a SOCKS proxy is set, and needs: pip install socksio"
    )


def test_a_proxy_of_no_known_kind_is_told_without_its_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALL_PROXY", "gopher://user:secret@127.0.0.1:9")

    assert _said() == "cannot use the OpenAI API: ValueError"
