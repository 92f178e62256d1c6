"""What a semantic cache serves, and how much of that is wrong.

Beside `SemanticJudgeCache` run LangChain's `InMemoryCache` (equal prompts only) and a
cache as they are usually built: the prompt's JSON is embedded, and what is nearer than
a threshold is served.

- `unrelated`: share of unrelated questions served under one 300-word system prompt.
- `flips`: share of one-edit flips served ("2019" for "2020", "not", A to B for B to A).
- `follow-ups`: share of follow-up questions served in another conversation's context.
- `stream`: Quora questions in random order. Precision: the share of served answers that
  are right (a pair without a label counts as wrong); recall: of the questions with an
  earlier duplicate, those served rightly; judged: lookups that asked the judge.
- `lookup`: milliseconds, median and 99th percentile, embedding left out.

The judge is scripted and always right: these are figures of the cache, not of a judge.
The model is all-MiniLM-L6-v2; the data is looked for in `PRODPATTERNS_SHARED`, by
default `../shared`.
"""

import argparse
import gzip
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from langchain_core.caches import BaseCache, InMemoryCache
from langchain_core.embeddings import Embeddings
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, Generation
from shared_data import SHARED

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.questions import SameAnswerRequest
from langchain_prodpatterns.demo.embedding import find_local_embeddings

THRESHOLD = 0.9
BAND = (0.8, 0.98)
SIZES = (1_000, 10_000)
DIMENSIONS = 384
SYSTEM = " ".join(
    f"Rule {number}: be helpful, precise, polite and brief in every answer."
    for number in range(25)
)


class Remembering(Embeddings):
    """Embeds each text once: the systems share the work."""

    def __init__(self, inner: Embeddings) -> None:
        self.inner = inner
        self.vectors: dict[str, list[float]] = {}

    def embed_query(self, text: str) -> list[float]:
        """Embed one text."""
        if text not in self.vectors:
            self.vectors[text] = self.inner.embed_query(text)
        return self.vectors[text]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts."""
        return [self.embed_query(text) for text in texts]


class NaiveCache(BaseCache):
    """Embeds the prompt as LangChain hands it over, and serves above a threshold."""

    def __init__(self, embeddings: Embeddings) -> None:
        self.embeddings = embeddings
        self.rows: dict[str, list[tuple[np.ndarray, Any]]] = {}

    def lookup(self, prompt: str, llm_string: str) -> Any:
        """Serve the nearest prompt's answer."""
        rows = self.rows.get(llm_string)
        if not rows:
            return None
        scores = np.stack([vector for vector, _ in rows]) @ self._embed(prompt)
        best = int(scores.argmax())
        return rows[best][1] if scores[best] >= THRESHOLD else None

    def update(self, prompt: str, llm_string: str, return_val: Any) -> None:
        """Store an answer."""
        row = (self._embed(prompt), return_val)
        self.rows.setdefault(llm_string, []).append(row)

    def clear(self, **kwargs: Any) -> None:
        """Forget every answer."""
        self.rows.clear()

    def _embed(self, prompt: str) -> np.ndarray:
        vector = np.asarray(self.embeddings.embed_query(prompt), np.float32)
        return vector / np.linalg.norm(vector)


@dataclass
class Judge:
    """A judge that knows which questions have the same answer."""

    groups: dict[str, int]
    asked: int = 0

    def __call__(self, request: SameAnswerRequest) -> bool:
        """Judge."""
        self.asked += 1
        new, stored = request.new_question, request.stored_question
        return new in self.groups and self.groups[new] == self.groups.get(stored)


@dataclass
class System:
    """One cache under test."""

    name: str
    make: Callable[[Judge], BaseCache]
    judged: bool = False
    cells: dict[str, str] = field(default_factory=dict)


def read(name: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a data set."""
    path = SHARED / "data" / "cache" / f"{name}.jsonl.gz"
    if not path.is_file():
        sys.exit(f"no data at {path}: set PRODPATTERNS_SHARED")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def prompt_of(*messages: BaseMessage) -> str:
    """Return what a chat model hands to its cache."""
    return dumps(list(messages))


def answer(text: str) -> list[Generation]:
    """Return an answer that says which question it was given to."""
    return [ChatGeneration(message=AIMessage(text))]


def served_share(cache: BaseCache, pairs: list[tuple[str, str]]) -> str:
    """Store the first of each pair; return how many of the second are served."""
    served = 0
    for number, (stored, asked) in enumerate(pairs):
        llm_string = f"[('model', 'pair {number}')]"
        cache.update(stored, llm_string, answer("stored"))
        served += cache.lookup(asked, llm_string) is not None
    return f"{served / len(pairs):.1%}"


def unrelated(rows: int, rng: random.Random) -> list[tuple[str, str]]:
    """Pair questions at random, under one long system prompt."""
    questions = sorted({row["question_a"] for row in read("qqp_pairs")})
    picked = rng.sample(questions, 2 * rows)
    prompts = [prompt_of(SystemMessage(SYSTEM), HumanMessage(text)) for text in picked]
    return list(zip(prompts[:rows], prompts[rows:], strict=True))


def flips(rows: int, rng: random.Random) -> list[tuple[str, str]]:
    """Return the flips."""
    found = list(read("flip_pairs"))
    return [
        (
            prompt_of(HumanMessage(row["question_a"])),
            prompt_of(HumanMessage(row["question_b"])),
        )
        for row in rng.sample(found, min(rows, len(found)))
    ]


def follow_ups() -> list[tuple[str, str]]:
    """Put each follow-up question into the next conversation."""
    found = list(read("followup_dialogues"))

    def asked(context: dict[str, Any], question: str) -> str:
        history = [HumanMessage(context["u0"]), AIMessage(context["system_q0"])]
        return prompt_of(*history, HumanMessage(question))

    return [
        (asked(row, row["u1"]), asked(found[number - 1], row["u1"]))
        for number, row in enumerate(found)
    ]


def grouped(rows: int, rng: random.Random) -> dict[str, int]:
    """Number questions by the answer they share."""
    groups: dict[str, int] = {}
    members: dict[int, set[str]] = {}
    found = list(read("qqp_pairs"))
    for row in rng.sample(found, min(rows, len(found))):
        for text in (row["question_a"], row["question_b"]):
            if text not in groups:
                groups[text] = len(members)
                members[len(members)] = {text}
        kept, lost = groups[row["question_a"]], groups[row["question_b"]]
        if row["label"] and kept != lost:
            moved = members.pop(lost)
            members[lost] = set()
            members[kept] |= moved
            groups.update(dict.fromkeys(moved, kept))
    return groups


def stream(
    system: System, groups: dict[str, int], order: list[str]
) -> tuple[str, str, str]:
    """Send questions through a cache; return precision, recall and judged share."""
    judge = Judge(groups)
    cache = system.make(judge)
    seen: set[int] = set()
    right = served = repeated = 0
    for text in order:
        repeated += groups[text] in seen
        seen.add(groups[text])
        prompt = prompt_of(HumanMessage(text))
        hit = cache.lookup(prompt, "[]")
        if hit is None:
            cache.update(prompt, "[]", answer(text))
        else:
            served += 1
            right += groups[hit[0].text] == groups[text]
    return (
        f"{right / served:.3f}" if served else "-",
        f"{right / repeated:.3f}" if repeated else "-",
        f"{judge.asked / len(order):.1%}" if system.judged else "-",
    )


class Drawn(Embeddings):
    """Random vectors, and near ones for a text that ends in `?`."""

    def __init__(self) -> None:
        self.noise = np.random.default_rng(7)

    def embed_query(self, text: str) -> list[float]:
        """Draw the vector of a text."""
        seed = int(text.split()[1].rstrip("?"))
        vector = np.random.default_rng(seed).standard_normal(DIMENSIONS)
        if text.endswith("?"):
            vector += 0.1 * self.noise.standard_normal(DIMENSIONS)
        values: list[float] = vector.tolist()
        return values

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Draw vectors."""
        return [self.embed_query(text) for text in texts]


def timed(cache: BaseCache, prompts: list[str]) -> tuple[str, float]:
    """Return median and 99th percentile of lookups, and the share of hits."""
    seconds, hits = [], 0
    for prompt in prompts:
        started = time.perf_counter()
        hit = cache.lookup(prompt, "llm")
        seconds.append(time.perf_counter() - started)
        hits += hit is not None
    ordered = sorted(1000 * value for value in seconds)
    late = ordered[int(0.99 * (len(ordered) - 1))]
    return f"{statistics.median(ordered):.3f} / {late:.3f}", hits / len(prompts)


def latency(size: int) -> Iterator[tuple[str, str]]:
    """Time lookups in a partition of a size."""
    drawn = Remembering(Drawn())
    ours = SemanticJudgeCache(drawn, band=(0.8, 0.9))
    plain = InMemoryCache()
    for number in range(size):
        for cache in (ours, plain):
            cache.update(f"question {number}", "llm", [Generation(text="x")])
    picked = random.Random(7).sample(range(size), 500)
    near = [f"question {number}?" for number in picked]
    near += [f"question {size + number}" for number in picked]
    drawn.embed_documents(near)
    ours.lookup(near[0], "llm")
    exact = [f"question {number}" for number in picked]
    yield (
        f"lookup, exact, {size} entries: LangChain InMemoryCache",
        timed(plain, exact)[0],
    )
    yield f"lookup, exact, {size} entries: ours", timed(ours, exact)[0]
    shown, hits = timed(ours, near)
    yield f"lookup, semantic, {size} entries: ours ({hits:.0%} served)", shown
    ours.close()


def systems(embeddings: Embeddings) -> list[System]:
    """Return the caches under test."""
    return [
        System("LangChain InMemoryCache", lambda _: InMemoryCache()),
        System(f"JSON embedded, cosine {THRESHOLD}", lambda _: NaiveCache(embeddings)),
        System(
            "ours, judge",
            lambda judge: SemanticJudgeCache(embeddings, judge),
            judged=True,
        ),
        System(
            f"ours, judge, band {BAND[0]}-{BAND[1]}",
            lambda judge: SemanticJudgeCache(embeddings, judge, band=BAND),
            judged=True,
        ),
        System(
            f"ours, no judge, band {BAND[0]}-{BAND[1]}",
            lambda _: SemanticJudgeCache(embeddings, band=BAND),
        ),
    ]


def main() -> None:
    """Print one table, and the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=400, help="Quora pairs to stream")
    parser.add_argument("--pairs", type=int, default=60, help="unrelated pairs")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    local = find_local_embeddings(SHARED)
    if local is None:
        sys.exit("no embeddings: install fastembed and set PRODPATTERNS_SHARED")
    rng = random.Random(options.seed)
    columns = {
        "unrelated": unrelated(options.pairs, rng),
        "flips": flips(10_000, rng),
        "follow-ups": follow_ups(),
    }
    groups = grouped(options.rows, rng)
    order = rng.sample(sorted(groups), len(groups))
    names = [*columns, "precision", "recall", "judged"]
    print(f"{len(order)} questions streamed, {options.pairs} unrelated pairs")
    print(f"{'':<34}" + "".join(f"{name:>12}" for name in names))
    for system in systems(Remembering(local)):
        cells = [
            served_share(system.make(Judge({})), pairs) for pairs in columns.values()
        ]
        cells += stream(system, groups, order)
        print(f"{system.name:<34}" + "".join(f"{cell:>12}" for cell in cells))
    print("\nmilliseconds, median / p99, embedding left out")
    for size in SIZES:
        for name, shown in latency(size):
            print(f"{name:<70}{shown:>16}")


if __name__ == "__main__":
    main()
