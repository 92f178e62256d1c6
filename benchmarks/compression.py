"""What is left of the evidence after compression, at the same number of tokens.

Every method gets the same documents, the same token count and the same limit: the
tokens of all documents divided by the ratio, headings included. A cell is
`answer / all`: the share of questions whose answer is still in the context, and whose
supporting passages are all still there (9 of 10 characters of each).

- `ours, words`: `ContextCompressor()`; `ours, MiniLM`: the same with embeddings.
- `sentence cosine`, `sentence BM25`: one part of our score alone, packed by our packer,
  the title in the embedded text: a stronger baseline than sentences without it.
- `documents by cosine`: the rule of LangChain's `EmbeddingsFilter` (the documents
  nearest to the question, whole), written out here, with as many as fit.
- `truncation`: documents in the order of BM25, cut off at the limit.

The defaults were chosen on even rows; this reports odd rows (`--tune` the even ones).
The data is looked for in `PRODPATTERNS_SHARED`, by default `../shared`.
"""

import argparse
import gzip
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from shared_data import SHARED

from langchain_prodpatterns.compression import (
    SPANS_KEY,
    ContextCompressor,
    EvidenceScorer,
    VectorCache,
    format_citations,
)
from langchain_prodpatterns.compression.bm25 import bm25, words
from langchain_prodpatterns.tokens import estimate_tokens

SETS = ("hotpotqa", "musique", "2wiki", "nq_pool20", "xquad_en_pool20")
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
COVERED = 0.9

Kept = list[tuple[int, list[tuple[int, int]]]]
"""What is left: the number of a document and the parts of it."""


class FastEmbedded(Embeddings):
    """MiniLM as ONNX, without a network."""

    def __init__(self, folder: Path) -> None:
        """Load the model from a folder."""
        from fastembed import TextEmbedding

        self._model = TextEmbedding(MODEL, specific_model_path=str(folder))

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts, those of like length together, to pad little."""
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        vectors = self._model.embed([texts[at] for at in order], batch_size=16)
        found = dict(zip(order, vectors, strict=True))
        return [found[at].tolist() for at in range(len(texts))]

    def embed_query(self, text: str) -> list[float]:
        """Embed one text."""
        return self.embed_documents([text])[0]


@dataclass(frozen=True)
class Case:
    """One question with its documents and what answers it."""

    question: str
    documents: list[Document]
    gold: list[tuple[int, int, int]]
    answers: list[str]

    @property
    def tokens(self) -> int:
        """Tokens of all documents."""
        return estimate_tokens(format_citations(self.documents))

    def has_answer(self, kept: Kept) -> bool:
        """Whether an answer is in what is left."""
        text = "\n".join(
            self.documents[number].page_content[start:end]
            for number, spans in kept
            for start, end in spans
        ).casefold()
        return any(answer.casefold() in text for answer in self.answers)

    def has_all_support(self, kept: Kept) -> bool:
        """Whether all supporting passages are in what is left."""
        spans = dict(kept)
        return all(
            sum(
                max(0, min(end, stop) - max(start, begin))
                for begin, stop in spans.get(number, [])
            )
            >= COVERED * (end - start)
            for number, start, end in self.gold
        )


Method = Callable[[Case, int], Kept]


def read_cases(name: str, rows: int, *, tune: bool) -> list[Case]:
    """Read every second row of a set, its documents shuffled."""
    path = SHARED / "data" / "compress" / f"{name}.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines]
    chosen = found[0 if tune else 1 :: 2]
    return list(filter(None, map(_case, chosen)))[:rows]


def _case(row: dict[str, Any]) -> Case | None:
    shuffled = list(row["docs"])
    random.Random(row["id"]).shuffle(shuffled)
    documents = [
        Document(page_content=each["text"], metadata={"title": each["title"]})
        for each in shuffled
    ]
    gold = [
        (number, start, end)
        for number, each in enumerate(shuffled)
        for start, end in each["gold_spans"]
    ]
    case = Case(row["question"], documents, gold, row["answers"])
    whole: Kept = [(n, [(0, len(d.page_content))]) for n, d in enumerate(documents)]
    return case if gold and case.has_answer(whole) else None


def compressing(embeddings: Embeddings | None, scorer: EvidenceScorer) -> Method:
    """Make a method of our compressor."""
    vectors = VectorCache(max_entries=200_000)

    def method(case: Case, limit: int) -> Kept:
        numbered = [
            Document(page_content=d.page_content, metadata=d.metadata, id=str(number))
            for number, d in enumerate(case.documents)
        ]
        compressor = ContextCompressor(
            embeddings,
            token_budget=limit,
            scorer=scorer,
            token_counter=estimate_tokens,
            vectors=vectors,
        )
        found = compressor.invoke({"question": case.question, "documents": numbered})
        if found and estimate_tokens(format_citations(found)) > limit:
            sys.exit("over budget")
        return [
            (int(d.id or 0), [(start, end) for start, end in d.metadata[SPANS_KEY]])
            for d in found
        ]

    return method


def truncation(case: Case, limit: int) -> Kept:
    """Keep the beginning of the documents in the order of BM25."""
    order = np.argsort(-_bm25(case), kind="stable").tolist()
    return _take(case, order, limit, cut=True)


def whole_documents(embeddings: Embeddings) -> Method:
    """Keep the documents nearest to the question, whole."""
    known: dict[str, list[float]] = {}

    def method(case: Case, limit: int) -> Kept:
        texts = [document.page_content for document in case.documents]
        new = [text for text in texts if text not in known]
        known.update(zip(new, embeddings.embed_documents(new), strict=True))
        matrix = np.array([known[text] for text in texts])
        query = np.array(embeddings.embed_query(case.question))
        lengths = np.linalg.norm(matrix, axis=1)
        order = np.argsort(-(matrix @ query / lengths), kind="stable").tolist()
        return _take(case, order, limit, cut=False)

    return method


def _take(case: Case, order: list[int], limit: int, *, cut: bool) -> Kept:
    kept: Kept = []
    taken: list[Document] = []
    for number in order:
        document = case.documents[number]
        taken.append(document)
        over = estimate_tokens(format_citations(taken)) - limit
        size = len(document.page_content)
        if over <= 0:
            kept.append((number, [(0, size)]))
            continue
        if cut:
            kept.append((number, [(0, max(0, size - 4 * over))]))
        break
    return kept


def _bm25(case: Case) -> np.ndarray[Any, np.dtype[np.float64]]:
    texts = [f"{d.metadata['title']} {d.page_content}" for d in case.documents]
    return bm25(words(case.question), [words(text) for text in texts])


def methods() -> Iterator[tuple[str, Method]]:
    """Name every method that can run here."""
    sparse = EvidenceScorer(document=0, bridge=0)
    yield "truncation, BM25 order", truncation
    yield "sentence BM25", compressing(None, sparse)
    yield "ours, words", compressing(None, EvidenceScorer())
    folder = SHARED / "models" / "all-MiniLM-L6-v2"
    if not folder.is_dir():
        print(f"no model in {folder}: methods that embed are left out")
        return
    try:
        embeddings = FastEmbedded(folder)
    except ImportError:
        print("fastembed is not installed: methods that embed are left out")
        return
    dense = EvidenceScorer(sparse=0, dense=1, document=0, bridge=0)
    yield "documents by cosine", whole_documents(embeddings)
    yield "sentence cosine", compressing(embeddings, dense)
    yield "ours, MiniLM", compressing(embeddings, EvidenceScorer())


def measure(method: Method, cases: list[Case], ratio: float) -> str:
    """Run one method on one set at one ratio."""
    kept = [method(case, int(case.tokens / ratio)) for case in cases]
    pairs = list(zip(cases, kept, strict=True))
    answers = sum(case.has_answer(left) for case, left in pairs) / len(pairs)
    support = sum(case.has_all_support(left) for case, left in pairs) / len(pairs)
    return f"{100 * answers:.0f} / {100 * support:.0f}"


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=60, help="questions a set")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS[:4])
    parser.add_argument("--ratios", nargs="+", type=float, default=[2, 3, 4])
    parser.add_argument("--tune", action="store_true", help="report the even rows")
    args = parser.parse_args()
    if not (SHARED / "data" / "compress").is_dir():
        sys.exit(f"no data in {SHARED / 'data' / 'compress'}: set PRODPATTERNS_SHARED")
    columns = "".join(f"{f'{ratio:g}x':>12}" for ratio in args.ratios)
    running = list(methods())
    for name in args.sets:
        cases = read_cases(name, args.rows, tune=args.tune)
        size = sum(case.tokens for case in cases) // len(cases)
        title = f"{name}, {len(cases)} questions, {size} tokens"
        print(f"\n{title:<44}{columns}{'seconds':>10}")
        for method_name, method in running:
            started = time.perf_counter()
            cells = [measure(method, cases, ratio) for ratio in args.ratios]
            seconds = time.perf_counter() - started
            row = "".join(f"{cell:>12}" for cell in cells)
            print(f"  {method_name:<42}{row}{seconds:>10.1f}", flush=True)
    print("\nanswer / all support kept, % of questions; seconds: all ratios, embedding")


if __name__ == "__main__":
    main()
