import asyncio
import math
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.embeddings import Embeddings
from langchain_tests.unit_tests import EmbeddingsUnitTests
from pydantic import ValidationError

from langchain_prodpatterns.testing import LexicalEmbeddings
from langchain_prodpatterns.testing import embeddings as module

EMBEDDINGS = LexicalEmbeddings()


class TestStandard(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return LexicalEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, int]:
        return {"dimensions": 64}


def cosine(left: str, right: str) -> float:
    return float(np.dot(EMBEDDINGS.embed_query(left), EMBEDDINGS.embed_query(right)))


@given(st.text(max_size=200), st.sampled_from([16, 100, 512]))
def test_every_text_has_a_unit_vector(text: str, dimensions: int) -> None:
    vector = LexicalEmbeddings(dimensions=dimensions).embed_query(text)
    assert len(vector) == dimensions
    assert all(type(value) is float for value in vector)
    assert math.isclose(np.linalg.norm(vector), 1.0, abs_tol=1e-9)


@pytest.mark.parametrize("text", ["", "  ", "\n\t"])
def test_an_empty_text_has_the_first_unit_vector(text: str) -> None:
    assert EMBEDDINGS.embed_query(text) == [1.0] + [0.0] * 511


def test_features_that_cancel_out_give_the_first_unit_vector(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opposite = np.array([5, 5 + (1 << 31)], dtype=np.uint32)
    monkeypatch.setattr(module, "_features", lambda _: opposite)
    assert EMBEDDINGS.embed_query("x") == [1.0] + [0.0] * 511


def test_marks_alone_are_told_apart() -> None:
    assert cosine("???", "+-*/") < 0.5
    assert EMBEDDINGS.embed_query("???") != EMBEDDINGS.embed_query("")


def test_a_lone_surrogate_is_a_text_too() -> None:
    assert math.isclose(np.linalg.norm(EMBEDDINGS.embed_query("a\ud800b")), 1.0)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Refund, please!", "refund please"),
        ("ＲＥＦＵＮＤ", "refund"),
        ("a  b\nc", "a b c"),
    ],
)
def test_case_forms_marks_and_blanks_do_not_matter(left: str, right: str) -> None:
    assert cosine(left, right) == pytest.approx(1.0)


def test_spelling_is_known_and_meaning_is_not() -> None:
    question = "How long does a refund take?"
    assert cosine(question, "How long do refunds take?") > 0.6
    assert cosine(question, "Is the shop open on Sunday?") < 0.25
    assert cosine("cheap", "inexpensive") < 0.2


def test_the_order_of_words_matters_a_little() -> None:
    assert 0.7 < cosine("dog bites man", "man bites dog") < 0.99


def test_the_vectors_are_the_same_in_every_process() -> None:
    code = (
        "from langchain_prodpatterns.testing import LexicalEmbeddings\n"
        "print(LexicalEmbeddings(dimensions=64).embed_query('Grüße an alle'))"
    )
    outputs = {
        subprocess.run(  # noqa: S603 - own code
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env={"PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
        ).stdout
        for seed in ("1", "2")
    }
    here = LexicalEmbeddings(dimensions=64).embed_query("Grüße an alle")
    assert outputs == {f"{here}\n"}


def test_the_first_components_are_pinned() -> None:
    # A change of the algorithm makes stored vectors useless: it must be seen.
    counts = np.array([-1, 0, -1, 1, 0, 0, 0, -1, 1, 0, 0, -1, 2, -1, 0, -1])
    vector = LexicalEmbeddings(dimensions=16).embed_query("refund")
    assert vector == pytest.approx(counts / np.linalg.norm(counts))


def test_long_words_are_embedded_without_being_remembered() -> None:
    module._cached.cache_clear()
    EMBEDDINGS.embed_query("x" * 10_000)
    assert module._cached.cache_info().currsize == 0
    EMBEDDINGS.embed_query("short words")
    assert module._cached.cache_info().currsize == 2


def test_documents_are_embedded_as_queries_are() -> None:
    texts = ["one", "two words", ""]
    assert EMBEDDINGS.embed_documents(texts) == [
        EMBEDDINGS.embed_query(t) for t in texts
    ]
    assert EMBEDDINGS.embed_documents([]) == []


async def test_async_gives_the_same() -> None:
    texts = ["one", "two words"]
    assert await EMBEDDINGS.aembed_documents(texts) == EMBEDDINGS.embed_documents(texts)
    assert await EMBEDDINGS.aembed_query("one") == EMBEDDINGS.embed_query("one")


@pytest.mark.parametrize(
    ("texts", "inline"), [(["short"], True), (["long "] * 5000, False)]
)
async def test_only_large_batches_go_to_a_thread(
    texts: list[str], inline: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[threading.Thread] = set()

    def spy(self: LexicalEmbeddings, texts: list[str]) -> list[list[float]]:
        threads.add(threading.current_thread())
        return [[0.0]]

    monkeypatch.setattr(LexicalEmbeddings, "embed_documents", spy)
    await EMBEDDINGS.aembed_documents(texts)
    assert (threads == {threading.current_thread()}) is inline


def test_threads_agree() -> None:
    texts = [f"text number {i} of many" for i in range(50)]
    expected = EMBEDDINGS.embed_documents(texts)
    module._cached.cache_clear()

    async def main() -> list[list[list[float]]]:
        calls = [asyncio.to_thread(EMBEDDINGS.embed_documents, texts) for _ in range(6)]
        return await asyncio.gather(*calls)

    assert all(vectors == expected for vectors in asyncio.run(main()))


@pytest.mark.parametrize("dimensions", [0, -1, 15, 65_537])
def test_impossible_dimensions_are_refused(dimensions: int) -> None:
    with pytest.raises(ValidationError):
        LexicalEmbeddings(dimensions=dimensions)


def test_an_unknown_argument_is_refused() -> None:
    with pytest.raises(ValidationError):
        LexicalEmbeddings(dimension=64)  # type: ignore[call-arg]  # that is the test


def test_it_is_a_value() -> None:
    assert LexicalEmbeddings() == LexicalEmbeddings(dimensions=512)
    assert LexicalEmbeddings() != LexicalEmbeddings(dimensions=64)
    assert repr(LexicalEmbeddings()) == "LexicalEmbeddings(dimensions=512)"
    assert len({LexicalEmbeddings(), LexicalEmbeddings()}) == 1
    assert pickle.loads(pickle.dumps(EMBEDDINGS)) == EMBEDDINGS  # noqa: S301 - own bytes
    with pytest.raises(ValidationError):
        LexicalEmbeddings().dimensions = 64  # type: ignore[misc]  # that is the test
