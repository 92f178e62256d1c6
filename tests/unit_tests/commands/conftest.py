"""What the tests of the commands share: a cache in a file, and a way to run them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from langchain_prodpatterns.cache.stores import Entry, LocalStore
from langchain_prodpatterns.cache.stores.base import Vector
from langchain_prodpatterns.cli import main
from langchain_prodpatterns.fingerprints import fingerprint_of
from langchain_prodpatterns.testing import LexicalEmbeddings
from langchain_prodpatterns.usage import Usage
from tests.unit_tests.commands import calibrating

EMBEDDINGS = LexicalEmbeddings(dimensions=64)
PRIVATE = "the private answer"


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def record(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]
Calibrate = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command; errors are one line, and no answer is printed unasked."""
    monkeypatch.delenv("PRODPATTERNS_STORE", raising=False)

    def start(*arguments: object) -> Ran:
        capsys.readouterr()
        code = main(["cache", *map(str, arguments)])
        ran = Ran(code, *capsys.readouterr())
        if code:
            assert ran.err.count("\n") >= 1
            assert "Traceback" not in ran.err
        return ran

    return start


def vector_of(text: str) -> Vector:
    vector = np.asarray(EMBEDDINGS.embed_query(text), np.float32)
    return vector / np.float32(np.linalg.norm(vector))


def entry(key: str, text: str | None = None, **changed: Any) -> Entry:
    fields: dict[str, Any] = {
        "key": key,
        "partition": "p",
        "exact": f"exact-{key}",
        "text": text or f"text {key}",
        "value": f'{{"output": "{PRIVATE}"}}',
        "namespace": "default",
        "saved": Usage(1, 20, 30, 0.25, 1.5),
        **changed,
    }
    return Entry(**fields)


def fill(path: Path, *entries: Entry) -> Path:
    """Store entries in a file."""
    store = LocalStore(path)
    store.bind(fingerprint_of(EMBEDDINGS))
    store.add_many((one, vector_of(one.text or "")) for one in entries)
    store.close()
    return path


def keys_in(path: Path) -> list[str]:
    store = LocalStore(path)
    keys = sorted(one.key for one, _ in store.scan())
    store.close()
    return keys


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A cache with three questions of two tenants."""
    return fill(
        tmp_path / "answers.db",
        entry("a", "Can I take my dog on the ferry?", metadata={"page": "dogs"}),
        entry("b", "Can I take my cat on the ferry?", namespace="other", partition="q"),
        entry("c", "What does a kayak cost?", ttl=3_600.0),
    )


@pytest.fixture
def calibrate(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Calibrate:
    monkeypatch.chdir(tmp_path)

    def start(*arguments: object) -> Ran:
        capsys.readouterr()
        code = main(["calibrate", *map(str, arguments)])
        ran = Ran(code, *capsys.readouterr())
        assert "Traceback" not in ran.err
        return ran

    return start


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Pairs of which nearly all have one answer."""
    rows = [calibrating.pair(at, same=bool(at % 40)) for at in range(1, 200)]
    return calibrating.lines(tmp_path / "pairs.jsonl", rows)


def cache(calibrate: Calibrate, *arguments: object) -> Ran:
    return calibrate("cache", *arguments, "--embeddings", calibrating.EMBEDDINGS)
