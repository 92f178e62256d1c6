"""Counting tokens, also where no tokenizer can be downloaded."""

import hashlib
import logging
import math
import os
import tempfile
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseLanguageModel
from langchain_core.messages.utils import count_tokens_approximately

from langchain_prodpatterns.errors import ConfigurationError

logger = logging.getLogger(__name__)

TokenCounter = Callable[[str], int]
"""Tokens of a text."""

_ENCODING = "o200k_base"
_ENCODING_URL = (
    f"https://openaipublic.blob.core.windows.net/encodings/{_ENCODING}.tiktoken"
)
_CHARS_PER_TOKEN = 4.0


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of a text: 4 ASCII characters a token, 1 of any other.

    A stated estimate, not a tokenizer: within about 20% on English prose, more careful
    than exact on other scripts.

    Args:
        text: Any text.

    Returns:
        At least 1 for a text that is not empty.
    """
    ascii_characters = len(text.encode("ascii", "ignore"))
    others = len(text) - ascii_characters
    return math.ceil(ascii_characters / _CHARS_PER_TOKEN + others)


def token_counter(
    source: TokenCounter | BaseLanguageModel[Any] | None = None,
) -> TokenCounter:
    """Choose how to count.

    Args:
        source: A function of a text, or a model whose own counter is used, or `None`
            for tiktoken where its encoding is already on disk and `estimate_tokens`
            elsewhere. Nothing is downloaded.

    Returns:
        The counter. A model's counter that fails is replaced by the estimate, with
        one warning in the log.

    Raises:
        ConfigurationError: When `source` cannot count.
    """
    if source is None:
        return _local_tiktoken() or estimate_tokens
    if isinstance(source, BaseLanguageModel):
        return _ModelCounter(source)
    if source is count_tokens_approximately:
        # It takes each character for a message of its own.
        msg = (
            "token_counter must count a text, and count_tokens_approximately counts "
            "messages: give estimate_tokens, or None"
        )
        raise ConfigurationError(msg)
    if not callable(source):
        msg = (
            "token_counter must be a function of a text, a language model or None, "
            f"got {type(source).__name__}"
        )
        raise ConfigurationError(msg)
    return source


class _ModelCounter:
    """A model's own counter, with the estimate behind it."""

    def __init__(self, model: BaseLanguageModel[Any]) -> None:
        self._model = model
        self._broken = False

    def __call__(self, text: str) -> int:
        if self._broken:
            return estimate_tokens(text)
        try:
            return self._model.get_num_tokens(text)
        except Exception as error:  # noqa: BLE001 - integrations fail in many ways, often offline
            self._broken = True
            logger.warning(
                "%s cannot count tokens here (%s): using an estimate",
                type(self._model).__name__,
                type(error).__name__,
            )
            return estimate_tokens(text)


@lru_cache(maxsize=1)
def _local_tiktoken() -> TokenCounter | None:
    """Return tiktoken's counter if that needs no download."""
    if find_spec("tiktoken") is None or not _encoding_file().is_file():
        return None
    import tiktoken

    encoding = tiktoken.get_encoding(_ENCODING)

    def count(text: str) -> int:
        return len(encoding.encode(text, disallowed_special=()))

    return count


def _encoding_file() -> Path:
    """Where tiktoken keeps the encoding it has downloaded."""
    folder = os.environ.get("TIKTOKEN_CACHE_DIR") or os.environ.get(
        "DATA_GYM_CACHE_DIR"
    )
    name = hashlib.sha1(_ENCODING_URL.encode(), usedforsecurity=False).hexdigest()
    return Path(folder or Path(tempfile.gettempdir()) / "data-gym-cache") / name
