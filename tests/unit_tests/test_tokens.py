"""Counting tokens: a stated estimate wherever nothing better is on disk."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages.utils import count_tokens_approximately

from langchain_prodpatterns import tokens
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.testing import ScriptedChatModel
from langchain_prodpatterns.tokens import estimate_tokens, token_counter


class CountingModel(ScriptedChatModel):
    """A model with a counter of its own, which may be broken."""

    works: bool = True
    asked: list[str] = []  # noqa: RUF012 - pydantic copies the default

    def get_num_tokens(self, text: str) -> int:
        self.asked.append(text)
        if not self.works:
            raise OSError(f"cannot download an encoding for {text}")
        return len(text.split())


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No encoding on disk, whatever there is elsewhere."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    tokens._local_tiktoken.cache_clear()
    yield
    tokens._local_tiktoken.cache_clear()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", 0), ("a", 1), ("four", 1), ("fives", 2), ("x" * 400, 100), ("日本語", 3)],
)
def test_the_estimate(text: str, expected: int) -> None:
    assert estimate_tokens(text) == expected


def test_other_scripts_count_a_token_a_character() -> None:
    assert estimate_tokens("abcdé") == 2
    assert estimate_tokens("ab" + "é" * 5) == 6


@given(st.text(), st.text())
def test_more_text_is_never_fewer_tokens(left: str, right: str) -> None:
    both = estimate_tokens(left + right)

    assert both >= max(estimate_tokens(left), estimate_tokens(right))
    assert both <= estimate_tokens(left) + estimate_tokens(right)
    assert (both == 0) == (left + right == "")


@given(st.text(min_size=1))
def test_a_text_has_at_least_one_token_and_at_most_one_a_character(text: str) -> None:
    assert 1 <= estimate_tokens(text) <= len(text)


def test_lone_surrogates_are_counted() -> None:
    assert estimate_tokens("\ud800") == 1


def test_a_function_counts_as_it_is() -> None:
    assert token_counter(len) is len


@pytest.mark.parametrize("source", [3, "o200k_base", object()])
def test_what_cannot_count_is_refused(source: Any) -> None:
    with pytest.raises(ConfigurationError, match="token_counter must be"):
        token_counter(source)


def test_a_models_own_counter_is_used() -> None:
    model = CountingModel(replies=["?"])

    assert token_counter(model)("three short words") == 3


def test_a_models_broken_counter_is_replaced_with_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = CountingModel(replies=["?"], works=False)
    count = token_counter(model)

    with caplog.at_level(logging.DEBUG):
        found = [count("my secret text"), count("my secret text")]

    assert found == [estimate_tokens("my secret text")] * 2
    assert model.asked == ["my secret text"]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "CountingModel cannot count tokens here (OSError): using an estimate"
    )


def test_an_interrupt_of_a_models_counter_passes() -> None:
    class Interrupted(CountingModel):
        def get_num_tokens(self, text: str) -> int:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        token_counter(Interrupted(replies=["?"]))("text")


def test_without_tiktoken_the_estimate_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "find_spec", lambda name: None)

    assert token_counter() is estimate_tokens


def test_without_an_encoding_on_disk_the_estimate_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Nothing may be downloaded: tiktoken must not even be asked.
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    monkeypatch.setattr(tokens, "find_spec", lambda name: object())

    assert token_counter() is estimate_tokens


def test_with_an_encoding_on_disk_tiktoken_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[tuple[str, Any]] = []

    def encode(text: str, *, disallowed_special: Any) -> list[int]:
        calls.append((text, disallowed_special))
        return [0] * 7

    module: Any = ModuleType("tiktoken")
    module.get_encoding = lambda name: SimpleNamespace(encode=encode)
    monkeypatch.setitem(sys.modules, "tiktoken", module)
    monkeypatch.setattr(tokens, "find_spec", lambda name: object())
    tokens._encoding_file().touch()

    # Text of users may hold what a tokenizer takes for a control token.
    assert token_counter()("<|endoftext|>") == 7
    assert calls == [("<|endoftext|>", ())]


@pytest.mark.parametrize("variable", ["TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"])
def test_the_encoding_is_looked_for_where_tiktoken_keeps_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR")
    monkeypatch.delenv("DATA_GYM_CACHE_DIR", raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "encodings"))

    assert tokens._encoding_file().parent == tmp_path / "encodings"


def test_the_name_of_the_encodings_file_is_tiktokens_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if find_spec("tiktoken") is None:
        pytest.skip("tiktoken is not installed")
    from tiktoken import load

    monkeypatch.setattr(load, "read_file", lambda path: b"")

    load.read_file_cached(tokens._ENCODING_URL)

    assert list(tmp_path.iterdir()) == [tokens._encoding_file()]


def test_a_counter_of_messages_is_refused() -> None:
    # It would take each character for a message, with the tokens of a message.
    assert count_tokens_approximately("a text") > 2 * estimate_tokens("a text")
    with pytest.raises(ConfigurationError, match="counts messages: give estimate"):
        token_counter(count_tokens_approximately)


def test_importing_it_imports_no_tokenizer() -> None:
    code = (
        "import sys, langchain_prodpatterns.tokens; "
        "sys.exit(any(name in sys.modules for name in ('tiktoken', 'transformers')))"
    )

    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own code
