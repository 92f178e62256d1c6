"""Compressors of other projects: each in an environment and a process of its own."""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cache_peers import Peer, PeerError
from compression_data import Case, Kept
from langchain_core.embeddings import Embeddings

_WORKER = Path(__file__).with_name("compression_peer_worker.py")

_LANGCHAIN = (
    "langchain-classic>=1,<2",
    "langchain-community>=0.4,<1",
    "langchain-text-splitters",
    "numpy",
)

PEERS = (
    (
        Peer("LangChain", _LANGCHAIN, embeds=True),
        ("LC EmbeddingsFilter", "LC pipeline"),
    ),
    (
        Peer("llama_index", ("llama-index-core", "numpy"), embeds=True),
        ("llama_index",),
    ),
)
"""Environments, and what runs in each."""


@dataclass
class PeerMethod:
    """Another project's compressor at the largest setting that keeps to the limit."""

    name: str
    """Which one."""
    python: Path
    """The Python of its environment."""
    embeddings: Embeddings
    """What all methods embed with."""
    _settings: dict[int, list[Kept]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start its process."""
        self._process = subprocess.Popen(  # noqa: S603 - a script of ours
            [self.python, _WORKER, self.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __call__(self, case: Case, limit: int) -> Kept:
        """Return what it keeps; where no setting is small enough, nothing."""
        if id(case) not in self._settings:
            self._settings[id(case)] = self._run(case)
        sizes = [(case.kept_tokens(kept), kept) for kept in self._settings[id(case)]]
        fitting = [size for size in sizes if size[0] <= limit]
        # A smaller share is not always less: a share of nothing is taken for all.
        return max(fitting, key=lambda size: size[0], default=(0, Kept()))[1]

    def close(self) -> None:
        """End its process."""
        self._process.kill()
        self._process.communicate()

    def _run(self, case: Case) -> list[Kept]:
        texts = [document.page_content for document in case.documents]
        result = self._ask({"question": case.question, "documents": texts})
        while "embed" in result:
            result = self._ask(self.embeddings.embed_documents(result["embed"]))
        return [_located(texts, kept) for kept in result["kept"]]

    def _ask(self, request: Any) -> dict[str, Any]:
        requests, results = self._process.stdin, self._process.stdout
        assert requests is not None  # noqa: S101 - both are pipes
        assert results is not None  # noqa: S101 - as above
        try:
            print(json.dumps(request), file=requests, flush=True)
            result: dict[str, Any] = json.loads(results.readline())
        except (OSError, ValueError) as error:
            msg = f"{self.name} failed"
            raise PeerError(msg) from error
        return result


def _located(texts: list[str], kept: list[tuple[int, str]]) -> Kept:
    """Find quotes in their documents again; one that is altered is no quote."""
    found: Kept = {}
    for number, quote in kept:
        start = texts[number].find(quote)
        if start >= 0:
            found.setdefault(number, []).append((start, start + len(quote)))
    return found
