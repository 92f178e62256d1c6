"""Which models the demo talks to: the user's provider, or the offline one."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel

from langchain_prodpatterns.demo.embedding import find_local_embeddings
from langchain_prodpatterns.demo.errors import DemoError
from langchain_prodpatterns.errors import MissingExtraError

if TYPE_CHECKING:
    from langchain_prodpatterns.testing import ScriptedProvider

EXAMPLE_PRICES: Mapping[str, tuple[float, float]] = {
    "scripted-small": (0.15, 0.60),
    "scripted-large": (2.50, 10.00),
}
"""Invented usd per million tokens, so that the offline ledger has money to count."""


@dataclass(frozen=True)
class Models:
    """What the assistant is built from."""

    small: BaseChatModel
    """The cheap model: first attempts and judges."""
    large: BaseChatModel
    """The strong model: where the cheap one fails, and revisions."""
    embeddings: Embeddings
    """For the documents, the router and the cache."""
    prices: Mapping[str, tuple[float, float]] | None
    """Prices of models that no price list knows."""
    headline: str
    """One line that says who answers."""
    provider: "ScriptedProvider | None" = None
    """The offline provider, whose records are the truth about calls and tokens."""


@contextmanager
def open_models(script: Path | None) -> Iterator[Models]:
    """Choose the provider by the environment, and close it at the end.

    Args:
        script: Scripted answers for the offline provider.

    Yields:
        The models.

    Raises:
        DemoError: When the key is refused or the provider cannot be reached.
    """
    if os.environ.get("OPENAI_API_KEY"):
        yield _online()
        return
    try:
        from langchain_prodpatterns.demo.offline import start_provider

        starting = start_provider(script)
    except MissingExtraError as error:
        raise DemoError(str(error)) from None
    with starting as provider:
        yield _offline(provider)


def _offline(provider: "ScriptedProvider") -> Models:
    local = find_local_embeddings()
    knows = "MiniLM in this process" if local else "spelling only"
    return Models(
        small=provider.chat_model("scripted-small"),
        large=provider.chat_model("scripted-large"),
        embeddings=local or provider.embeddings(),
        prices=EXAMPLE_PRICES,
        headline=(
            "No OPENAI_API_KEY: offline provider. The flow, calls, tokens and timings "
            f"are real; the answers and prices are scripted. Embeddings: {knows}."
        ),
        provider=provider,
    )


def _online() -> Models:
    """Talk to the user's provider, once every model there has answered."""
    try:
        import openai
        from langchain_openai import ChatOpenAI, OpenAIEmbeddings
    except ImportError:
        feature = "talking to an OpenAI-compatible provider"
        raise DemoError(str(MissingExtraError(feature, "openai"))) from None
    small = os.environ.get("OPENAI_MODEL", "gpt-4o-mini")
    large = os.environ.get("OPENAI_STRONG_MODEL", "gpt-4o")
    embedding = os.environ.get("OPENAI_EMBEDDING_MODEL", "text-embedding-3-small")
    where = os.environ.get("OPENAI_BASE_URL", "the OpenAI API")
    try:
        openai.OpenAI(max_retries=0, timeout=20).models.list()
    except openai.AuthenticationError:
        msg = f"{where} refused the key in OPENAI_API_KEY (401)"
        raise DemoError(msg) from None
    # A key that no header can hold is a ValueError.
    except (openai.OpenAIError, ValueError) as error:
        msg = f"cannot use {where}: {type(error).__name__}"
        raise DemoError(msg) from None
    models = Models(
        small=ChatOpenAI(model=small, stream_usage=True),
        large=ChatOpenAI(model=large, stream_usage=True),
        # Servers other than OpenAI's take text, not token ids.
        embeddings=OpenAIEmbeddings(model=embedding, check_embedding_ctx_length=False),
        prices=None,
        headline=f"Answers by {small} and {large} at {where}; embeddings: {embedding}.",
    )
    for name, variable, ask in (
        (small, "OPENAI_MODEL", models.small.invoke),
        (large, "OPENAI_STRONG_MODEL", models.large.invoke),
        (embedding, "OPENAI_EMBEDDING_MODEL", models.embeddings.embed_query),
    ):
        try:
            ask("Hello")
        # A wrong name must be told here: a guard whose judge fails blocks everything.
        except openai.OpenAIError as error:
            kind = type(error).__name__
            msg = f"{where}: no answer from {name!r} ({kind}); {variable} names another"
            raise DemoError(msg) from None
    return models
