"""A ticket desk as a FastAPI service: guarded, cached, streamed.

`POST /ask` answers as server-sent events: `text` for each piece, then `done` with what
the cache decided and how many calls were made, or `error` with the type of a failure.
`GET /health` says how many answers are under way.

The environment has the settings: `FERRY_STORE` (an SQLite file, or the URL of a
PostgreSQL database), `OPENAI_BASE_URL`, `OPENAI_API_KEY` and `OPENAI_MODEL`.
"""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field

from langchain_prodpatterns import (
    GuardBlocked,
    GuardRunnable,
    Ledger,
    SemanticJudgeCache,
)
from langchain_prodpatterns.cache import LocalStore, SameAnswerRequest
from langchain_prodpatterns.cache.stores import CacheStore
from langchain_prodpatterns.guard import InjectionClassifier
from langchain_prodpatterns.testing import LexicalEmbeddings

PROMPT = ChatPromptTemplate(
    [("system", "You answer for Northwater Ferries."), ("human", "{question}")]
)
THINGS = {"bike", "cat", "dog", "kayak", "storm", "ticket"}


class Question(BaseModel):
    """What a client sends."""

    text: str = Field(min_length=1, max_length=2_000)


class Desk:
    """The chain, and the answers that are under way."""

    def __init__(self, chain: Runnable[str, str], cache: SemanticJudgeCache) -> None:
        """Take over from midnight, when nothing is under way."""
        self.chain = chain
        self.cache = cache
        self.running = 0

    async def answer(self, text: str, ledger: Ledger) -> AsyncGenerator[str]:
        """Stream an answer. Who stops reading stops the chain, and the model's call."""
        self.running += 1
        try:
            stream: Any = self.chain.astream(text, {"callbacks": [ledger]})
            async with aclosing(stream) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            self.running -= 1


def create_app() -> FastAPI:
    """Build the service of one worker. What is set wrongly fails here, at the start."""
    desk = open_desk()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        # After the last answer has gone out: uvicorn waits for those under way.
        await asyncio.to_thread(desk.cache.close)
        print(f"closed, {desk.running} under way", flush=True)

    app = FastAPI(lifespan=lifespan)

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "ok", "running": desk.running}

    @app.post("/ask")
    async def ask(question: Question) -> StreamingResponse:
        ledger = Ledger()
        chunks = desk.answer(question.text, ledger)
        try:
            # A status can be sent only before the first piece.
            first = await anext(chunks, "")
        except GuardBlocked as blocked:
            detail = f"blocked: {blocked.rule}"
            raise HTTPException(status_code=400, detail=detail) from None
        return StreamingResponse(
            events(first, chunks, ledger), media_type="text/event-stream"
        )

    return app


def open_desk() -> Desk:
    """Build the chain: a guard on both sides, a cache, a prompt and a model."""
    cache = SemanticJudgeCache(
        LexicalEmbeddings(), judge=same_thing, store=open_store(), judge_timeout=None
    )
    model = ChatOpenAI(model=os.environ["OPENAI_MODEL"], stream_usage=True)
    guard = GuardRunnable(classifier=InjectionClassifier())
    chain = guard.wrap(cache.wrap(PROMPT | model | StrOutputParser()))
    return Desk(chain, cache)


def open_store() -> CacheStore:
    """Open the cache that all workers share."""
    where = os.environ["FERRY_STORE"]
    if "://" not in where:
        return LocalStore(where)
    from langchain_prodpatterns.cache.stores import PostgresStore  # noqa: PLC0415

    return PostgresStore(where)


def same_thing(request: SameAnswerRequest) -> bool:
    """Judge by a rule, in place of a small model: it has to be about one thing."""
    asked = (request.new_question, request.stored_question)
    new, stored = (THINGS & set(text.lower().strip("?").split()) for text in asked)
    return new == stored


async def events(
    first: str, chunks: AsyncGenerator[str], ledger: Ledger
) -> AsyncIterator[str]:
    """Write an answer as server-sent events."""
    async with aclosing(chunks):
        yield event("text", first)
        try:
            async for chunk in chunks:
                yield event("text", chunk)
        except Exception as error:  # noqa: BLE001 - the status is gone, so tell it here
            yield event("error", type(error).__name__)
            return
    yield event("done", booked(ledger))


def booked(ledger: Ledger) -> dict[str, Any]:
    """Say what an answer took."""
    decisions = [row.decision for row in ledger.to_records() if row.pattern == "cache"]
    return {"cache": decisions, "calls": ledger.summary().calls}


def event(name: str, data: Any) -> str:
    """Write one event: JSON, so that a line break in a text breaks nothing."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
