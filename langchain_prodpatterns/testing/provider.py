"""An OpenAI-compatible HTTP server on loopback, that answers by a script."""

import threading
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from langchain_core.embeddings import Embeddings

from langchain_prodpatterns.errors import MissingExtraError
from langchain_prodpatterns.testing.clients import direct
from langchain_prodpatterns.testing.embeddings import LexicalEmbeddings
from langchain_prodpatterns.testing.journal import (
    CHAT_PATH,
    EMBEDDINGS_PATH,
    Journal,
    RequestRecord,
)
from langchain_prodpatterns.testing.replies import Fault
from langchain_prodpatterns.testing.scripting import Respond, Rule, Script, Scripted

try:
    from langchain_prodpatterns.testing.endpoints import Endpoints
    from langchain_prodpatterns.testing.server import BackgroundServer
except ImportError as error:
    _feature = "ScriptedProvider"
    raise MissingExtraError(_feature, "testing") from error

if TYPE_CHECKING:
    from langchain_openai import ChatOpenAI, OpenAIEmbeddings

_ANY_KEY = "scripted"


class ScriptedProvider:
    """An OpenAI-compatible server for tests and offline demos.

    Start it as a context manager and point a real client at `base_url`. It listens on a
    free port of the loopback interface in a thread of its own, so that any number of
    providers can run at once; leaving the context cuts what is still being answered.

    It serves `/v1/chat/completions` (also streamed; tools, `response_format`, `n`,
    `stop`, `max_tokens`), `/v1/embeddings` (floats and base64, `dimensions`) and
    `/v1/models`. Any model name is answered.

    **What is counted.** Every request gets one `RequestRecord`, and every figure is
    computed from the records. Once nothing is pending, each request is exactly one of:
    answered (`calls`, `embedding_calls` or a list of models), `faults`, `rejected`, or
    `abandoned`. A chat request is answered, and its tokens are counted, just before the
    last bytes of its complete HTTP 200 answer go out. A stream that is cut before its
    last event is a fault or abandoned, and counts no tokens. `n` choices are one call
    whose prompt is counted once. Tokens are counted by `count_tokens`.
    """

    def __init__(
        self,
        rules: Sequence[Rule] = (),
        *,
        replies: Sequence[Scripted] | None = None,
        respond: Respond | None = None,
        default: Scripted | None = None,
        cycle: bool = False,
        embeddings: Embeddings | None = None,
        embedding_faults: Sequence[Fault | None] = (),
        models: Sequence[str] = ("scripted-small", "scripted-large"),
        api_key: str | None = None,
    ) -> None:
        """Write the script; the server starts when the context is entered.

        Args:
            rules: Rules, of which the first that fits answers a chat request.
            replies: Answers to successive chat requests that no rule answered.
            respond: A function that answers those requests instead. Functions run in
                threads and may block.
            default: The answer where neither a rule nor `respond` has one.
            cycle: Start `replies` again when they have run out.
            embeddings: What embeds texts; by default `LexicalEmbeddings()`.
            embedding_faults: Faults of the first embedding requests, in order; `None`
                is a request that is answered.
            models: The names that `/v1/models` lists.
            api_key: The key that requests must carry; by default any or none will do.

        Raises:
            ConfigurationError: If the arguments contradict each other.
        """
        script = Script.build(
            rules, replies=replies, respond=respond, default=default, cycle=cycle
        )
        self._required_key = api_key
        self._journal = Journal()
        self._closing = threading.Event()
        self._open_endpoints = partial(
            Endpoints,
            script=script,
            journal=self._journal,
            closing=self._closing,
            embeddings=embeddings or LexicalEmbeddings(),
            embedding_faults=tuple(embedding_faults),
            models=tuple(models),
            api_key=api_key,
        )
        self._server: BackgroundServer | None = None
        self._endpoints: Endpoints | None = None

    def __enter__(self) -> Self:
        if self._server is not None:
            msg = "this ScriptedProvider is already running"
            raise RuntimeError(msg)
        self._closing.clear()
        self._endpoints = self._open_endpoints()
        server = BackgroundServer(self._endpoints.app(), self._closing)
        server.start()
        self._server = server
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        server, endpoints = self._running, self._endpoints
        self._server = self._endpoints = None
        if endpoints is not None:
            endpoints.functions.shutdown(wait=False, cancel_futures=True)
        server.stop()

    @property
    def _running(self) -> BackgroundServer:
        if self._server is None:
            msg = "start the ScriptedProvider first: with ScriptedProvider(...) as p:"
            raise RuntimeError(msg)
        return self._server

    @property
    def base_url(self) -> str:
        """The URL for a client's `base_url`."""
        return f"http://127.0.0.1:{self._running.port}/v1"

    @property
    def api_key(self) -> str:
        """The key for a client's `api_key`."""
        return self._required_key or _ANY_KEY

    def chat_model(self, model: str = "scripted-small", **kwargs: Any) -> "ChatOpenAI":
        """Construct a `ChatOpenAI` that asks this provider, with usage when streaming.

        It passes by the proxies of the environment: none of them reaches loopback.

        Args:
            model: The model's name.
            kwargs: Further arguments of `ChatOpenAI`.

        Raises:
            MissingExtraError: If `langchain_openai` is not installed.
        """
        try:
            from langchain_openai import ChatOpenAI
        except ImportError as error:
            feature = "ScriptedProvider.chat_model"
            raise MissingExtraError(feature, "openai") from error
        defaults: dict[str, Any] = {
            "base_url": self.base_url,
            "api_key": self.api_key,
            "stream_usage": True,
            # Else it warns that a client of one's own passes the proxy by.
            "http_socket_options": (),
            **direct(kwargs),
        }
        return ChatOpenAI(model=model, **(defaults | kwargs))

    def embeddings(
        self, model: str = "scripted-embedding", **kwargs: Any
    ) -> "OpenAIEmbeddings":
        """Construct an `OpenAIEmbeddings` that asks this provider.

        It passes by the proxies of the environment: none of them reaches loopback.

        Args:
            model: The model's name.
            kwargs: Further arguments of `OpenAIEmbeddings`.

        Raises:
            MissingExtraError: If `langchain_openai` is not installed.
        """
        try:
            from langchain_openai import OpenAIEmbeddings
        except ImportError as error:
            feature = "ScriptedProvider.embeddings"
            raise MissingExtraError(feature, "openai") from error
        defaults: dict[str, Any] = {
            "base_url": self.base_url,
            "api_key": self.api_key,
            "check_embedding_ctx_length": False,
            **direct(kwargs),
        }
        return OpenAIEmbeddings(model=model, **(defaults | kwargs))

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """Every request to any path, in the order of arrival."""
        return self._journal.records()

    @property
    def calls(self) -> int:
        """Chat requests that were answered completely."""
        return self._journal.count("answered", CHAT_PATH)

    @property
    def input_tokens(self) -> int:
        """Tokens of the prompts of those calls."""
        return self._journal.tokens(CHAT_PATH)[0]

    @property
    def output_tokens(self) -> int:
        """Tokens of the answers to those calls."""
        return self._journal.tokens(CHAT_PATH)[1]

    @property
    def embedding_calls(self) -> int:
        """Embedding requests that were answered completely."""
        return self._journal.count("answered", EMBEDDINGS_PATH)

    @property
    def embedding_tokens(self) -> int:
        """Tokens of the texts of those calls."""
        return self._journal.tokens(EMBEDDINGS_PATH)[0]

    @property
    def faults(self) -> int:
        """Requests that were ended by a scripted `Fault`."""
        return self._journal.count("fault")

    @property
    def rejected(self) -> int:
        """Requests that were malformed, carried no key or had no scripted answer."""
        return self._journal.count("rejected")

    @property
    def abandoned(self) -> int:
        """Requests whose client went away before the end of the answer."""
        return self._journal.count("abandoned")

    @property
    def pending(self) -> int:
        """Requests that are being answered now."""
        return self._journal.count("pending")

    def wait_idle(self, timeout: float = 5.0) -> bool:
        """Wait until nothing is pending, after a client went away.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            Whether nothing is pending.
        """
        return self._journal.wait_idle(timeout)

    def reset(self) -> None:
        """Forget every request, and begin the script and its numbers anew."""
        self._journal.reset()
