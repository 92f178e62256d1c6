"""One file, several processes, and a sudden death."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from langchain_core.outputs import Generation

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.testing import LexicalEmbeddings

WRITER = textwrap.dedent(
    """
    import sys
    from langchain_core.outputs import Generation
    from langchain_prodpatterns.cache import SemanticJudgeCache
    from langchain_prodpatterns.testing import LexicalEmbeddings

    path, name, count = sys.argv[1:]
    cache = SemanticJudgeCache(
        LexicalEmbeddings(dimensions=64), band=(0.8, 0.99), path=path
    )
    for number in range(int(count)):
        prompt = f"{name} asks number {number}"
        cache.update(prompt, "llm", [Generation(text=prompt)])
        assert cache.stats().errors == 0
        print(number, flush=True)
    """
)


def _writer(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-c", WRITER, str(path), name, str(count)],
        stdout=subprocess.PIPE,
        text=True,
    )


def _open(path: Path) -> SemanticJudgeCache:
    return SemanticJudgeCache(
        LexicalEmbeddings(dimensions=64), band=(0.8, 0.99), path=path
    )


def _has(cache: SemanticJudgeCache, prompt: str) -> bool:
    return cache.lookup(prompt, "llm") == [Generation(text=prompt)]


@pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL here")
@pytest.mark.parametrize("after", [1, 25, 60])
def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, after: int) -> None:
    path = tmp_path / "cache.db"
    writer = _writer(path, "a", 100_000)
    assert writer.stdout is not None
    with writer:
        acknowledged = [int(writer.stdout.readline()) for _ in range(after)]
        writer.send_signal(signal.SIGKILL)

    with _open(path) as cache:
        assert all(_has(cache, f"a asks number {n}") for n in acknowledged)
        entries = cache.stats().entries
        assert entries >= after
        # The index is rebuilt from the table: each entry is in both or in none.
        near = cache.explain(f"a asks number {acknowledged[-1]}!", "llm")
        assert near.similarity == pytest.approx(1.0, abs=1e-5)
        cache.update("one more", "llm", [Generation(text="one more")])
        assert cache.stats().entries == entries + 1
        assert cache.stats().quarantined == 0


def test_two_processes_write_to_one_file(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    writers = [_writer(path, name, 100) for name in ("a", "b")]
    with _open(path) as cache:
        for writer in writers:
            assert len(writer.communicate(timeout=120)[0].split()) == 100
            assert writer.returncode == 0

        assert cache.stats().entries == 200
        assert all(
            _has(cache, f"{name} asks number {n}") for name in "ab" for n in range(100)
        )
        assert cache.explain("b asks number 99!", "llm").similarity is not None
        assert cache.stats().quarantined == cache.stats().errors == 0
