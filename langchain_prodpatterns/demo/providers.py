"""Which models the demo talks to: the user's provider, or the offline one."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel

from langchain_prodpatterns.demo.embedding import find_local_embeddings
from langchain_prodpatterns.demo.errors import DemoError
from langchain_prodpatterns.demo.failures import describe, provider_errors
from langchain_prodpatterns.errors import MissingExtraError

if TYPE_CHECKING:
    from langchain_prodpatterns.testing import ScriptedProvider

EXAMPLE_PRICES: Mapping[str, tuple[float, float]] = {
    "scripted-small": (0.15, 0.60),
    "scripted-large": (2.50, 10.00),
}
"""Invented usd per million tokens, so that the offline ledger has money to count."""


@dataclass(frozen=True)
class Check:
    """A model to ask for a first answer."""

    model: str
    """Its name."""
    variable: str
    """The environment variable that names another."""
    ask: Callable[[str], object]
    """What asks it."""


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
    where: str = "the offline provider"
    """Where the models are."""
    checks: Sequence[Check] = ()
    """What has to answer before the work begins."""

    @property
    def judge(self) -> str:
        """Who judges, and where the user can, how to name another."""
        name = repr(getattr(self.small, "model_name", "the small model"))
        return name if self.provider else f"{name}; OPENAI_MODEL names another"

    def check(self) -> None:
        """Ask every model for a first answer.

        A wrong name must be told here: a guard whose judge fails blocks everything.

        Raises:
            DemoError: When one of them has none.
        """
        for check in self.checks:
            try:
                check.ask("Hello")
            except provider_errors() as error:
                msg = (
                    f"{self.where}: no answer from {check.model!r} "
                    f"({describe(error)}); {check.variable} names another"
                )
                raise DemoError(msg) from None


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
        yield _offline(provider, scripted=script is not None)


def _offline(provider: "ScriptedProvider", *, scripted: bool) -> Models:
    local = find_local_embeddings()
    knows = "MiniLM in this process" if local else "spelling only"
    answers = (
        "the answers and prices are scripted"
        if scripted
        else "an answer is the first extract found, and prices are invented"
    )
    return Models(
        small=provider.chat_model("scripted-small"),
        large=provider.chat_model("scripted-large"),
        embeddings=local or provider.embeddings(),
        prices=EXAMPLE_PRICES,
        headline=(
            "No OPENAI_API_KEY: offline provider. The flow, calls, tokens and timings "
            f"are real; {answers}. Embeddings: {knows}."
        ),
        provider=provider,
    )


def _online() -> Models:
    """Talk to the user's provider, once it has taken the key."""
    try:
        import openai
    except ImportError:
        raise _no_client() from None
    where = _server()
    try:
        openai.OpenAI(max_retries=0, timeout=20).models.list()
        return _clients(where)
    except openai.AuthenticationError:
        msg = f"{where} refused the key in OPENAI_API_KEY (401)"
    # A key that no header can hold, and a proxy of no known kind, are a ValueError.
    except (openai.OpenAIError, ValueError) as error:
        msg = f"cannot use {where}: {describe(error)}"
    # What the HTTP client lacks for a SOCKS proxy.
    except ImportError:
        msg = (
            f"cannot use {where}: a SOCKS proxy is set, and needs: pip install socksio"
        )
    raise DemoError(msg)


def _server() -> str:
    """Name the server that the clients will ask.

    Raises:
        DemoError: When the environment names what is no address.
    """
    named = os.environ.get("OPENAI_BASE_URL")
    if named is None:
        return "the OpenAI API"
    if not named:
        msg = "OPENAI_BASE_URL is empty: unset it, or give it an address"
        raise DemoError(msg)
    if not named.lower().startswith(("http://", "https://")):
        msg = f"OPENAI_BASE_URL is {named!r}: begin it with http:// or https://"
        raise DemoError(msg)
    return named


def _clients(where: str) -> Models:
    """Construct the clients of the user's provider."""
    try:
        from langchain_openai import ChatOpenAI, OpenAIEmbeddings
    except ImportError:
        raise _no_client() from None
    small = os.environ.get("OPENAI_MODEL", "gpt-4o-mini")
    large = os.environ.get("OPENAI_STRONG_MODEL", "gpt-4o")
    embedding = os.environ.get("OPENAI_EMBEDDING_MODEL", "text-embedding-3-small")
    # Without usage, a streamed call could not be booked.
    cheap = ChatOpenAI(model=small, stream_usage=True)
    strong = ChatOpenAI(model=large, stream_usage=True)
    # Servers other than OpenAI's take text, not token ids.
    embeddings = OpenAIEmbeddings(model=embedding, check_embedding_ctx_length=False)
    return Models(
        small=cheap,
        large=strong,
        embeddings=embeddings,
        prices=None,
        headline=f"Answers by {small} and {large} at {where}; embeddings: {embedding}.",
        where=where,
        checks=[
            Check(small, "OPENAI_MODEL", cheap.invoke),
            Check(large, "OPENAI_STRONG_MODEL", strong.invoke),
            Check(embedding, "OPENAI_EMBEDDING_MODEL", embeddings.embed_query),
        ],
    )


def _no_client() -> DemoError:
    feature = "talking to an OpenAI-compatible provider"
    return DemoError(str(MissingExtraError(feature, "openai")))
