"""By how many bytes an entry a process grows that opens a file and searches in it."""

import sys
from pathlib import Path

from cache_peer_worker import resident
from cache_speed import BAND, LLM, Drawn, Questions, prompt

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.stores import LocalStore


def searched(path: Path | None, questions: Questions) -> SemanticJudgeCache:
    """Open a file and search in it."""
    store = LocalStore(path)
    cache = SemanticJudgeCache(Drawn(questions.seed), band=BAND, store=store)
    store.wait_until_indexed()
    for text in questions.near():
        cache.lookup(prompt(text), LLM)
    return cache


def main() -> None:
    """Print the bytes an entry."""
    path, size, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    questions = Questions(size, seed)
    # What the code itself takes is there with no entry, too.
    with searched(None, questions) as small:
        small.warm([next(questions.items())])
        small.lookup(prompt(questions.near()[0]), LLM)
    before = resident()
    with searched(path, questions):
        print((resident() - before) / size)


if __name__ == "__main__":
    main()
