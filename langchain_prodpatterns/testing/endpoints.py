"""The provider's HTTP endpoints: authenticate, read, look up the answer, send it."""

import asyncio
import hmac
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any, TypeVar

from langchain_core.embeddings import Embeddings
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from langchain_prodpatterns.testing.completion import complete, deltas, interrupted
from langchain_prodpatterns.testing.journal import (
    CHAT_PATH,
    EMBEDDINGS_PATH,
    MODELS_PATH,
    Journal,
)
from langchain_prodpatterns.testing.replies import Answer, Fault, Gate, Reply, to_text
from langchain_prodpatterns.testing.scripting import (
    Rule,
    Script,
    ScriptedRequest,
    ScriptError,
)
from langchain_prodpatterns.testing.wire import (
    DONE,
    BadRequestError,
    closing_events,
    completion_body,
    delta_event,
    embedding_body,
    error_body,
    fault_headers,
    models_body,
    opening_events,
    parse_body,
    parse_chat,
    parse_embedding,
    without_keys,
)

_POLL_SECONDS = 0.002
_MAX_FUNCTIONS = 64
_OK = 200
_JSON = (b"content-type", b"application/json")
_EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")
_T = TypeVar("_T")


class GoneError(Exception):
    """Raised when an answer has nobody to go to, or is to be cut off.

    Raised through an ASGI application whose response has begun, it makes uvicorn close
    the connection.
    """


@dataclass(frozen=True)
class Exchange:
    """One request that is being answered."""

    key: int
    """The key of its record."""
    number: int
    """Its number among those to the same path."""
    request: Request
    """What the client sent."""
    send: Send
    """Where the answer goes."""

    async def respond(self, response: Response) -> None:
        """Send a whole answer."""
        await response(self.request.scope, self.request.receive, self.send)

    async def begin(self, *headers: tuple[bytes, bytes]) -> None:
        """Send the status and headers of an answer whose body follows."""
        start = {"type": "http.response.start", "status": _OK, "headers": headers}
        await self.send(start)

    async def write(self, body: bytes, *, more: bool = True) -> None:
        """Send a part of the body."""
        await self.send({"type": "http.response.body", "body": body, "more_body": more})


@dataclass(frozen=True)
class Endpoints:
    """Everything that the provider serves."""

    script: Script
    """What answers chat requests."""
    journal: Journal
    """What keeps the records."""
    closing: threading.Event
    """Set when the server stops."""
    embeddings: Embeddings
    """What embeds texts."""
    embedding_faults: tuple[Fault | None, ...]
    """Faults of the first embedding requests."""
    models: tuple[str, ...]
    """The names that are listed."""
    api_key: str | None
    """The key that requests must carry, if any."""
    functions: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(_MAX_FUNCTIONS, "scripted-function")
    )
    """Where the script's functions run."""

    def app(self) -> Starlette:
        """Put the endpoints in an ASGI application."""
        return Starlette(
            routes=[
                Route(CHAT_PATH, _Endpoint(self, CHAT_PATH), methods=["POST"]),
                Route(
                    EMBEDDINGS_PATH, _Endpoint(self, EMBEDDINGS_PATH), methods=["POST"]
                ),
                Route(MODELS_PATH, _Endpoint(self, MODELS_PATH), methods=["GET"]),
            ],
            exception_handlers={HTTPException: self._no_such_route},
        )

    async def handle(self, path: str, exchange: Exchange) -> None:
        """Answer a request, and settle its record."""
        try:
            self._authenticate(exchange.request)
            if path == MODELS_PATH:
                await self._list_models(exchange)
            elif path == EMBEDDINGS_PATH:
                await self._embed(exchange)
            else:
                await self._chat(exchange)
        except BadRequestError as error:
            self._reject(exchange.key, error)
            response = JSONResponse(error.body(), status_code=error.status)
            await exchange.respond(response)

    async def _chat(self, exchange: Exchange) -> None:
        body = parse_body(await exchange.request.body())
        self.journal.update(exchange.key, model=body["model"])
        asked = parse_chat(body, exchange.number)
        self.journal.update(
            exchange.key,
            messages=asked.messages,
            params=asked.params,
            streamed=asked.stream,
        )
        answer, rule = await self._look_up(asked)
        self.journal.update(exchange.key, rule=rule.label)
        if isinstance(answer, Fault):
            await self._fail(exchange, answer, asked)
        elif asked.stream:
            await self._stream(exchange, answer, asked)
        else:
            await self._complete(exchange, answer, asked)

    async def _look_up(self, asked: ScriptedRequest) -> tuple[Answer, Rule]:
        """Ask the script, whose functions may block and may fail."""
        loop = asyncio.get_running_loop()
        look_up = partial(self.script.answer, asked, self.journal.use)
        asking = loop.run_in_executor(self.functions, look_up)
        try:
            return await self._unless_closing(asking)
        except GoneError:
            raise
        except ScriptError as error:
            raise BadRequestError(str(error), code="not_scripted") from error
        except Exception as error:  # a user's function may raise anything
            msg = f"the scripted function failed: {type(error).__name__}: {error}"
            raise BadRequestError(msg, code="script_failed") from error

    async def _unless_closing(self, asking: asyncio.Future[_T]) -> _T:
        """Wait for a function, as long as the server runs.

        Raises:
            GoneError: If the server stops; the function goes on, and is not heard.
        """
        while not asking.done():
            if self.closing.is_set():
                asking.cancel()
            await asyncio.wait([asking], timeout=_POLL_SECONDS)
        if asking.cancelled():
            raise GoneError
        return asking.result()

    async def _complete(
        self, exchange: Exchange, reply: Reply, asked: ScriptedRequest
    ) -> None:
        await self._pause(exchange, reply.latency, reply.wait_for)
        completion = complete(asked, reply)
        self._settle(exchange, completion.input_tokens, completion.output_tokens)
        await exchange.respond(JSONResponse(completion_body(asked, completion)))

    async def _stream(
        self, exchange: Exchange, reply: Reply, asked: ScriptedRequest
    ) -> None:
        gate = reply.wait_for
        await self._pause(exchange, reply.latency, None if reply.hold_after else gate)
        completion = complete(asked, reply)
        await exchange.begin(_EVENTS)
        for event in opening_events(asked, completion):
            await exchange.write(event)
        for count, delta in enumerate(deltas(completion, reply.chunk_size)):
            held = gate if count == reply.hold_after else None
            await self._pause(exchange, 0, held)
            await exchange.write(delta_event(asked, delta))
        for event in closing_events(asked, completion):
            await exchange.write(event)
        await self._pause(exchange, 0, gate)
        self._settle(exchange, completion.input_tokens, completion.output_tokens)
        await exchange.write(DONE, more=False)

    async def _embed(self, exchange: Exchange) -> None:
        body = parse_body(await exchange.request.body())
        self.journal.update(exchange.key, model=body["model"], params=body)
        texts = parse_embedding(body)
        fault = dict(enumerate(self.embedding_faults, 1)).get(exchange.number)
        if fault is not None:
            await self._fail(exchange, fault, None)
            return
        response, tokens = await self._vectors(body, texts)
        self._settle(exchange, tokens, 0)
        await exchange.respond(response)

    async def _vectors(
        self, body: Mapping[str, Any], texts: Sequence[str]
    ) -> tuple[JSONResponse, int]:
        """Ask the embeddings, which may fail or give what is no vector of numbers."""
        try:
            vectors = await self.embeddings.aembed_documents(list(texts))
            answer = embedding_body(body, texts, vectors)
            return JSONResponse(answer), answer["usage"]["prompt_tokens"]
        except BadRequestError:
            raise
        except Exception as error:  # a user's embeddings may raise anything
            msg = f"the embeddings failed: {type(error).__name__}: {error}"
            raise BadRequestError(msg, code="script_failed") from error

    async def _list_models(self, exchange: Exchange) -> None:
        self._settle(exchange, 0, 0)
        await exchange.respond(JSONResponse(models_body(self.models)))

    async def _fail(
        self, exchange: Exchange, fault: Fault, asked: ScriptedRequest | None
    ) -> None:
        await self._pause(exchange, fault.latency, fault.wait_for)
        status = {"timeout": None, "status": fault.status}.get(fault.kind, _OK)
        self.journal.update(
            exchange.key, outcome="fault", fault=fault.label, status=status
        )
        if fault.kind == "timeout":
            await self._pause(exchange, None)
        elif fault.kind == "malformed_body":
            body = to_text(fault.content)
            await exchange.respond(Response(body, media_type="application/json"))
        elif fault.kind == "disconnect":
            await self._cut(exchange, fault, asked)
        else:
            await exchange.respond(
                JSONResponse(
                    error_body(fault.message, fault.status, code=fault.code),
                    status_code=fault.status,
                    headers=fault_headers(fault),
                )
            )

    async def _cut(
        self, exchange: Exchange, fault: Fault, asked: ScriptedRequest | None
    ) -> None:
        """Begin an answer, and close the connection before its end."""
        if asked is None or not asked.stream:
            # Announce a longer body than ever comes.
            await exchange.begin(_JSON, (b"content-length", b"1000"))
            await exchange.write(b"{")
            raise GoneError
        completion = complete(asked, Reply(fault.content))
        sent = (delta_event(asked, d) for d in interrupted(completion, fault.after))
        await exchange.begin(_EVENTS)
        for event in chain(opening_events(asked, completion), sent):
            await exchange.write(event)
        raise GoneError

    async def _pause(
        self, exchange: Exchange, seconds: float | None, gate: Gate | None = None
    ) -> None:
        """Wait for a time and for a gate, as long as the client does.

        Waiting polls, since a gate may be an event of another thread or loop.

        Args:
            exchange: Whose client waits.
            seconds: How long to wait; `None` waits until the client goes away.
            gate: An event to wait for.

        Raises:
            GoneError: If the client goes away or the server stops.
        """
        until = float("inf") if seconds is None else time.monotonic() + seconds
        while True:
            if self.closing.is_set() or await exchange.request.is_disconnected():
                raise GoneError
            left = until - time.monotonic()
            if left <= 0 and (gate is None or gate.is_set()):
                return
            await asyncio.sleep(min(_POLL_SECONDS, left) if left > 0 else _POLL_SECONDS)

    def _authenticate(self, request: Request) -> None:
        if self.api_key is None:
            return
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if hmac.compare_digest(given.encode(), self.api_key.encode()):
            return
        msg = "incorrect API key provided" if given else "no API key provided"
        raise BadRequestError(msg, status=401, code="invalid_api_key")

    def _settle(
        self, exchange: Exchange, input_tokens: int, output_tokens: int
    ) -> None:
        self.journal.update(
            exchange.key,
            outcome="answered",
            status=_OK,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
        )

    def _reject(self, key: int, error: BadRequestError) -> None:
        self.journal.update(
            key, outcome="rejected", status=error.status, error=error.message
        )

    async def _no_such_route(self, request: Request, error: Exception) -> Response:
        """Answer a wrong path or method as the API does."""
        status = error.status_code if isinstance(error, HTTPException) else 404
        path = request.url.path
        key, _ = self.journal.open(path, headers=without_keys(request.headers))
        msg = f"invalid URL ({request.method} {path})"
        rejection = BadRequestError(msg, status=status, code="unknown_url")
        self._reject(key, rejection)
        return JSONResponse(rejection.body(), status_code=status)


@dataclass(frozen=True)
class _Endpoint:
    """The ASGI application of one path."""

    endpoints: Endpoints
    path: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        journal = self.endpoints.journal
        headers = without_keys(request.headers)
        key, number = journal.open(self.path, headers=headers)
        with journal.watch(key):
            exchange = Exchange(key, number, request, send)
            await self.endpoints.handle(self.path, exchange)
