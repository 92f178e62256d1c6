"""Caches of other projects: each in an environment and a process of its own."""

import base64
import json
import subprocess
import tempfile
import venv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from cache_data import answer
from langchain_core.caches import BaseCache
from langchain_core.embeddings import Embeddings

_WORKER = Path(__file__).with_name("cache_peer_worker.py")
_FILLED_AT_ONCE = 1_000


@dataclass(frozen=True)
class Peer:
    """A cache that cannot live in this environment."""

    name: str
    """What the worker and the table call it."""
    packages: tuple[str, ...]
    """What its environment needs."""
    embeds: bool
    """Whether it compares by meaning."""


PEERS = (
    Peer("GPTCache", ("gptcache", "faiss-cpu", "sqlalchemy"), embeds=True),
    # At its import it warns, which is an error in this project's environment.
    Peer("SQLiteCache", ("langchain-community>=0.4,<1", "numpy"), embeds=False),
)


class PeerError(Exception):
    """Raised when a peer's environment cannot be made, or its process fails."""


def made(peer: Peer, folder: Path) -> Path:
    """Return the Python of a peer's environment, made with pip if it is not there.

    Raises:
        PeerError: When it cannot be made.
    """
    home = folder / peer.name.lower()
    python = home / "bin" / "python"
    ready = home / "ready"
    if ready.is_file():
        return python
    try:
        venv.create(home, with_pip=True, clear=True)
        install = [str(python), "-m", "pip", "install", "--quiet", *peer.packages]
        subprocess.run(install, check=True, capture_output=True)  # noqa: S603 - our own words
    except (OSError, subprocess.SubprocessError) as error:
        msg = f"no environment for {peer.name} could be made ({type(error).__name__})"
        raise PeerError(msg) from error
    ready.touch()
    return python


class PeerCache(BaseCache):
    """Another project's cache behind LangChain's interface."""

    def __init__(self, peer: Peer, python: Path, embeddings: Embeddings) -> None:
        """Start it with an empty folder.

        Args:
            peer: Which one.
            python: The Python of its environment.
            embeddings: What embeds prompts, here: only vectors are handed over.
        """
        self._peer = peer
        self._embeddings = embeddings
        self._folder = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(  # noqa: S603 - a script of ours
            [python, _WORKER, peer.name, self._folder.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.cpu = 0.0
        """Seconds of CPU that the last call took in the other process."""
        self.wall = 0.0
        """Seconds that it took there."""

    def lookup(self, prompt: str, llm_string: str) -> Any:
        """Look for an answer."""
        row = self._row(prompt, self._vector(prompt))
        text = self._ask("lookup", llm=llm_string, **row)["text"]
        return None if text is None else answer(text)

    def update(self, prompt: str, llm_string: str, return_val: Any) -> None:
        """Store an answer."""
        row = self._row(prompt, self._vector(prompt), return_val[0].text)
        self._ask("update", llm=llm_string, **row)

    def warm(self, items: Iterable[tuple[str, str, Any]]) -> float:
        """Store many answers under one `llm_string`; return the seconds it took."""
        seconds = 0.0
        for batch in _batches(items):
            vectors = self._vectors([prompt for prompt, _, _ in batch])
            rows = [
                self._row(prompt, vector, value[0].text)
                for (prompt, _, value), vector in zip(batch, vectors, strict=True)
            ]
            seconds += self._ask("fill", llm=batch[0][1], rows=rows)["wall"]
        return seconds

    def memory(self) -> int:
        """Return the bytes that the other process has in memory."""
        return int(self._ask("memory")["bytes"])

    def clear(self, **kwargs: Any) -> None:
        """Do nothing: every measurement starts a new one."""

    def close(self) -> None:
        """End the process and remove what it stored."""
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _vector(self, prompt: str) -> list[float]:
        return self._embeddings.embed_query(prompt) if self._peer.embeds else []

    def _vectors(self, prompts: list[str]) -> list[list[float]]:
        if not self._peer.embeds:
            return [[] for _ in prompts]
        return self._embeddings.embed_documents(prompts)

    def _row(
        self, prompt: str, vector: list[float], text: str | None = None
    ) -> dict[str, Any]:
        raw = np.asarray(vector, np.float32).tobytes()
        coded = base64.b64encode(raw).decode("ascii")
        return {"prompt": prompt, "vector": coded, "answer": text}

    def _ask(self, op: str, **request: Any) -> dict[str, Any]:
        requests, results = self._process.stdin, self._process.stdout
        assert requests is not None  # noqa: S101 - both are pipes
        assert results is not None  # noqa: S101 - as above
        try:
            print(json.dumps({"op": op, **request}), file=requests, flush=True)
            result: dict[str, Any] = json.loads(results.readline())
        except (OSError, ValueError) as error:
            msg = f"{self._peer.name} failed at {op!r}"
            raise PeerError(msg) from error
        self.cpu, self.wall = result.get("cpu", 0.0), result.get("wall", 0.0)
        return result


def _batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    left = iter(items)
    while batch := list(islice(left, _FILLED_AT_ONCE)):
        yield batch
