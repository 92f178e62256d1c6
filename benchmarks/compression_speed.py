"""What a question takes once vectors are remembered, or without any: CPU time."""

import random
import time
from collections.abc import Sequence

import numpy as np
from compression_data import Case
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langchain_prodpatterns.compression import ContextCompressor
from langchain_prodpatterns.tokens import estimate_tokens

_DOCUMENTS = 20
_MANY = 1_000
_CHARS = 4_000
_BUDGET = 500


class _Timed(Embeddings):
    """Counts the texts that are embedded, and the seconds of CPU that it takes."""

    def __init__(self, embeddings: Embeddings) -> None:
        self.embeddings = embeddings
        self.texts = 0
        self.seconds = 0.0

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts."""
        started = time.process_time()
        found = self.embeddings.embed_documents(texts)
        self.seconds += time.process_time() - started
        self.texts += len(texts)
        return found

    def embed_query(self, text: str) -> list[float]:
        """Embed one text."""
        return self.embed_documents([text])[0]


def question_milliseconds(
    cases: Sequence[Case], embeddings: Embeddings | None
) -> tuple[float, float]:
    """Return the median for 20 documents that were asked before, embedding left out.

    Args:
        cases: Questions.
        embeddings: The embedder, or `None` for words alone.

    Returns:
        Milliseconds of CPU, and texts embedded a question.
    """
    timed = None if embeddings is None else _Timed(embeddings)
    compressor = ContextCompressor(
        timed, token_budget=_BUDGET, token_counter=estimate_tokens
    )
    times: list[float] = []
    texts: list[int] = []
    for case in cases:
        documents = case.documents[:_DOCUMENTS]
        compressor.compress_documents(documents, "first")
        embedding, embedded = (timed.seconds, timed.texts) if timed else (0.0, 0)
        started = time.process_time()
        compressor.compress_documents(documents, case.question)
        seconds = time.process_time() - started
        if timed:
            seconds -= timed.seconds - embedding
            texts.append(timed.texts - embedded)
        times.append(seconds)
    return 1_000 * float(np.median(times)), float(np.mean(texts)) if texts else 0.0


def many_seconds(cases: Sequence[Case]) -> float:
    """Return the seconds of CPU for 1,000 documents of 1,000 tokens, words alone."""
    texts = [d.page_content for case in cases for d in case.documents]
    drawn = random.Random(7)
    documents = []
    for number in range(_MANY):
        text = ""
        while len(text) < _CHARS:
            text += drawn.choice(texts) + "\n\n"
        title = {"title": f"Document {number}"}
        documents.append(Document(page_content=text[:_CHARS], metadata=title))
    compressor = ContextCompressor(token_budget=_BUDGET, token_counter=estimate_tokens)
    started = time.process_time()
    compressor.compress_documents(documents, cases[0].question)
    return time.process_time() - started
