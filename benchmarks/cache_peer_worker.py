"""One cache of another project, driven by JSON lines; run by that project's own Python.

Each line on standard input is a request, each on standard output its result. The
vectors come with the requests, so that no embedding is in the seconds.
"""

import base64
import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

DIMENSIONS = 384
MOST_ENTRIES = 10_000_000

Request = dict[str, Any]


class GPTCache:
    """GPTCache as LangChain's wrapper has it: one cache for each `llm_string`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.caches: dict[str, Any] = {}
        self.vectors: dict[str, np.ndarray] = {}

    def cache(self, llm: str) -> Any:
        """Return the cache of a model, with SQLite, FAISS and its own defaults."""
        if llm not in self.caches:
            manager = import_module("gptcache.manager")
            distance = import_module("gptcache.similarity_evaluation.distance")
            folder = self.folder / str(len(self.caches))
            folder.mkdir()
            cache = import_module("gptcache").Cache()
            cache.init(
                pre_embedding_func=import_module("gptcache.processor.pre").get_prompt,
                embedding_func=lambda text, **_: self.vectors[text],
                data_manager=manager.get_data_manager(
                    manager.CacheBase("sqlite", sql_url=f"sqlite:///{folder}/rows.db"),
                    manager.VectorBase(
                        "faiss",
                        dimension=DIMENSIONS,
                        index_path=str(folder / "faiss.index"),
                    ),
                    # By default it keeps a thousand.
                    max_size=MOST_ENTRIES,
                ),
                similarity_evaluation=distance.SearchDistanceEvaluation(),
            )
            self.caches[llm] = cache
        return self.caches[llm]

    def lookup(self, request: Request) -> str | None:
        """Return the answer to the nearest prompt, if it is near enough."""
        self.learn(request)
        api = import_module("gptcache.adapter.api")
        found: str | None = api.get(
            request["prompt"], cache_obj=self.cache(request["llm"])
        )
        return found

    def update(self, request: Request) -> None:
        """Store an answer."""
        self.learn(request)
        api = import_module("gptcache.adapter.api")
        cache = self.cache(request["llm"])
        api.put(request["prompt"], request["answer"], cache_obj=cache)

    def fill(self, request: Request) -> None:
        """Store many answers in the fastest way there is."""
        for row in request["rows"]:
            self.learn(row)
        prompts = [row["prompt"] for row in request["rows"]]
        answers = [row["answer"] for row in request["rows"]]
        self.cache(request["llm"]).import_data(prompts, answers)
        self.vectors.clear()

    def learn(self, row: Request) -> None:
        """Take a vector along, so that the cache finds it embedded."""
        raw = base64.b64decode(row["vector"])
        self.vectors[row["prompt"]] = np.frombuffer(raw, np.float32)


class SQLite:
    """LangChain's `SQLiteCache`."""

    def __init__(self, folder: Path) -> None:
        self.module = import_module("langchain_community.cache")
        self.generation = import_module("langchain_core.outputs").Generation
        self.cache = self.module.SQLiteCache(str(folder / "cache.db"))

    def lookup(self, request: Request) -> str | None:
        """Return the answer to an equal prompt."""
        found = self.cache.lookup(request["prompt"], request["llm"])
        return None if found is None else str(found[0].text)

    def update(self, request: Request) -> None:
        """Store an answer."""
        answer = [self.generation(text=request["answer"])]
        self.cache.update(request["prompt"], request["llm"], answer)

    def fill(self, request: Request) -> None:
        """Store many answers in one transaction, which the cache itself cannot."""
        dumps = import_module("langchain_core.load").dumps
        insert = import_module("sqlalchemy").insert(self.module.FullLLMCache)
        rows = [
            {
                "prompt": row["prompt"],
                "llm": request["llm"],
                "idx": 0,
                "response": dumps(self.generation(text=row["answer"])),
            }
            for row in request["rows"]
        ]
        with self.cache.engine.begin() as connection:
            connection.execute(insert, rows)


KINDS: dict[str, Callable[[Path], Any]] = {"GPTCache": GPTCache, "SQLiteCache": SQLite}


def resident() -> int:
    """Return the bytes of memory this process has now."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def answered(peer: Any, request: Request) -> Request:
    """Do what a request asks; say what came of it, and how long it took."""
    if request["op"] == "memory":
        return {"bytes": resident()}
    work = getattr(peer, request["op"])
    wall, cpu = time.perf_counter(), time.process_time()
    text = work(request)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"text": text, "cpu": cpu, "wall": wall}


def main() -> None:
    """Answer requests until there are no more."""
    # Whatever a library prints must not stand between the results.
    results, sys.stdout = sys.stdout, sys.stderr
    peer = KINDS[sys.argv[1]](Path(sys.argv[2]))
    for line in sys.stdin:
        print(json.dumps(answered(peer, json.loads(line))), file=results, flush=True)


if __name__ == "__main__":
    main()
