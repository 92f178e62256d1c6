"""Routes and labeled queries of the routing benchmarks, embedded once."""

import gzip
import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from shared_data import SHARED

from langchain_prodpatterns.routing import Route

SETS = ("clinc150", "banking77", "unseen", "metatool")
EXAMPLES = {"clinc150": 10, "banking77": 10, "metatool": 5}
SOURCES = {"unseen": "banking77"}

Labels = Sequence[tuple[str, str | None]]


class TableEmbeddings(Embeddings):
    """Vectors that were computed before, so that resamples cost no model."""

    model = "all-MiniLM-L6-v2, looked up"

    def __init__(self, table: dict[str, list[float]]) -> None:
        """Look vectors up in a table."""
        self.table = table

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of texts."""
        return [self.table[text] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of one text."""
        return self.table[text]


@dataclass(frozen=True)
class Problem:
    """Routes and labeled queries."""

    name: str
    """Which set."""
    routes: list[Route]
    """The routes, with their examples."""
    labels: Labels
    """The queries, each once, with the name of the route that fits."""
    embeddings: TableEmbeddings
    """The vectors of all these texts."""

    def halves(self, seed: int) -> tuple[Labels, Labels]:
        """Return what is tuned on and what is reported on, for one resample."""
        order = np.random.default_rng(seed).permutation(len(self.labels)).tolist()
        middle = len(order) // 2
        tuning, reported = order[:middle], order[middle:]
        return [self.labels[at] for at in tuning], [self.labels[at] for at in reported]


def read(name: str, file: str) -> list[dict[str, Any]]:
    """Read one file of a set."""
    path = SHARED / "data" / "routing" / name / f"{file}.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def read_routes(name: str, examples: int | None = None) -> list[Route]:
    """Read the routes of a set with some examples each."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in read(name, "examples"):
        found[row["route"]].append(row["text"])
    described = {}
    if name == "metatool":
        described = {row["name"]: row["description"] for row in read(name, "tools")}
    count = EXAMPLES[name] if examples is None else examples
    chance = random.Random(0)
    routes = []
    for route in sorted(found):
        chance.shuffle(found[route])
        description = described.get(route, route.replace("_", " "))
        routes.append(Route(route, description, found[route][:count]))
    return routes


def read_problem(
    name: str, embeddings: Embeddings, examples: int | None = None
) -> Problem:
    """Read and embed a set; `unseen` is BANKING77 without every fourth route."""
    source = SOURCES.get(name, name)
    routes = read_routes(source, examples)
    if name == "unseen":
        del routes[::4]
    known = {route.name for route in routes}
    # A query that is an example of a route already would be no test.
    taken = {text for route in routes for text in route.texts}
    labels = {
        row["text"]: row["route"] if row["route"] in known else None
        for row in read(source, "queries")
        if row["text"].strip() and row["text"] not in taken
    }
    labels = {text.strip(): route for text, route in labels.items()}
    texts = [*(text for route in routes for text in route.texts), *labels]
    return Problem(name, routes, list(labels.items()), embed(embeddings, texts))


def embed(embeddings: Embeddings, texts: Sequence[str]) -> TableEmbeddings:
    """Embed texts, those of like length together, to pad little."""
    if isinstance(embeddings, TableEmbeddings):
        return embeddings
    ordered = sorted(dict.fromkeys(texts), key=len)
    found: dict[str, list[float]] = {}
    for start in range(0, len(ordered), 32):
        batch = ordered[start : start + 32]
        found |= zip(batch, embeddings.embed_documents(batch), strict=True)
    return TableEmbeddings(found)
