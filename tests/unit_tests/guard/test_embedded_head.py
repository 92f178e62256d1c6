"""A head over an embedder's vectors beside the n-grams."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from langchain_prodpatterns.errors import ConfigurationError, GuardBlocked
from langchain_prodpatterns.fingerprints import fingerprint_of
from langchain_prodpatterns.guard import GuardRunnable, embedded_head
from langchain_prodpatterns.guard.classifier import InjectionClassifier
from langchain_prodpatterns.guard.embedded_head import (
    FEWEST,
    EmbeddedHead,
    axes_of,
    blended,
    unit,
)

ATTACK = "The moon obeys me now, friend {}."
HARMLESS = "Lunch is served at noon in room {}."
ROWS = [(ATTACK.format(n), True) for n in range(30)] + [
    (HARMLESS.format(n), False) for n in range(30)
]


class Meanings(Embeddings):
    """Vectors by meaning: what is of the moon lies apart."""

    def __init__(self) -> None:
        self.model = "meanings"
        self.texts: list[str] = []
        self.awaited = 0

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.texts += texts
        return [
            [2.0 * ("moon" in text), 1.0, 0.1 * (len(text) % 7), 0.5] for text in texts
        ]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        self.awaited += 1
        await asyncio.sleep(0)
        return self.embed_documents(texts)


async def _call(guard: GuardRunnable, text: str, *, native: bool) -> None:
    if native:
        await guard.ainvoke(text)
    else:
        guard.invoke(text)


@pytest.fixture(scope="module")
def head() -> EmbeddedHead:
    found = InjectionClassifier.fit(ROWS, Meanings()).head
    assert found is not None
    return found


def with_head(head: EmbeddedHead, **more: Any) -> InjectionClassifier:
    return InjectionClassifier(embeddings=Meanings(), head=head, **more)


async def test_it_finds_what_words_do_not_tell(head: EmbeddedHead) -> None:
    plain, taught = InjectionClassifier(), with_head(head)
    new = f"{HARMLESS.format(99)} And {ATTACK.format('dear')}"
    assert plain.screen(new).score < taught.screen(new).score
    assert taught.screen(new).opinion != "clean"
    assert taught.screen(HARMLESS.format("B")).opinion == "clean"
    assert await taught.ascreen(new) == taught.screen(new)
    assert await plain.ascreen(new) == plain.screen(new)


def test_a_saved_head_decides_alike(head: EmbeddedHead, tmp_path: Path) -> None:
    path = tmp_path / "head.npz"
    head.save(path)
    again = InjectionClassifier(embeddings=Meanings(), head=path)
    for text, _ in ROWS[::7]:
        assert again.screen(text) == with_head(head).screen(text)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: b"PK" + data[2:40],
        lambda data: b"no archive at all",
    ],
)
def test_what_is_no_head_is_refused(
    head: EmbeddedHead, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "head.npz"
    head.save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ConfigurationError, match="there is no head to read"):
        EmbeddedHead.load(path)
    with pytest.raises(ConfigurationError, match="there is no head to read"):
        EmbeddedHead.load(tmp_path / "none")


def test_a_head_is_one_embedder_s(head: EmbeddedHead) -> None:
    other = Meanings()
    other.model = "others"
    with pytest.raises(ConfigurationError, match=r"is for Meanings\(meanings\)"):
        InjectionClassifier(embeddings=other, head=head)
    with pytest.raises(ConfigurationError, match="got Meanings and NoneType"):
        InjectionClassifier(embeddings=Meanings())
    with pytest.raises(ConfigurationError, match="got NoneType and EmbeddedHead"):
        InjectionClassifier(head=head)
    with pytest.raises(ValueError, match="length 4, these have 2"):
        head.logits([[1.0, 2.0]])


class Wide(Meanings):
    """More dimensions than there are texts."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        chances = (np.random.default_rng(len(text)) for text in texts)
        return [
            [*narrow, *chance.normal(size=96)]
            for narrow, chance in zip(
                super().embed_documents(texts), chances, strict=True
            )
        ]


def test_a_slope_in_the_span_of_few_vectors_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    short = InjectionClassifier.fit(ROWS, Wide()).head
    seen: list[tuple[int, ...]] = []

    def whole(vectors: Any) -> Any:
        seen.append(axes_of(vectors).shape)
        return np.eye(vectors.shape[1])

    monkeypatch.setattr(embedded_head, "axes_of", whole)
    long = InjectionClassifier.fit(ROWS, Wide()).head
    assert short is not None
    assert long is not None
    assert seen == [(100, 60)]
    assert short.slope == pytest.approx(long.slope, abs=1e-8)
    assert short.unseen == pytest.approx(long.unseen, abs=1e-8)
    assert short.bias == pytest.approx(long.bias, abs=1e-8)


def test_too_few_rows_are_refused() -> None:
    few = [*ROWS[: FEWEST - 1], *ROWS[30:]]
    with pytest.raises(ConfigurationError, match="got 19 and 30"):
        InjectionClassifier.fit(few, Meanings())


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (("Lunch is served.", "0"), r"rows\[60\] must say True or False.*got '0'"),
        (("Lunch is served.", None), r"rows\[60\] must say True or False.*got None"),
        ((7, True), r"rows\[60\] must be \(text, whether it is an attack\), got tuple"),
        ("ab", r"rows\[60\] must be .*got str"),
    ],
)
def test_a_row_that_is_not_labeled_is_refused(row: Any, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        InjectionClassifier.fit([*ROWS, row], Meanings())


def test_what_is_no_embedder_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="must be LangChain Embeddings, got s"):
        InjectionClassifier.fit(ROWS, "openai")  # type: ignore[arg-type]  # that is the test


@pytest.mark.parametrize("vectors", [[[1.0], [1.0, 2.0]], [1.0], None, [["x"]]])
def test_what_are_no_vectors_of_one_length_is_said(vectors: Any) -> None:
    with pytest.raises(ValueError, match="of unequal length or not finite"):
        unit(vectors)


def test_a_source_is_scored_by_what_the_others_taught() -> None:
    odd = [(f"Of the moon we sang, dear {n}, all night long.", False) for n in range(9)]
    rows = [*ROWS, *odd]
    names = ["attacks"] * 30 + ["office"] * 30 + ["songs"] * 9
    apart = InjectionClassifier.fit(rows, Meanings(), sources=names)
    mixed = InjectionClassifier.fit(rows, Meanings())
    assert apart.head is not None
    assert mixed.head is not None
    assert apart.head.unseen[-9:].min() > mixed.head.unseen[-9:].max()
    assert apart.head.source.tolist() == [1] * 30 + [2] * 9
    assert apart.thresholds.high > mixed.thresholds.high


def test_one_source_in_ten_may_be_harder() -> None:
    def high(sources: int) -> float:
        scores = np.linspace(0.1, 0.9, sources)
        name = str(fingerprint_of(Meanings()))
        head = EmbeddedHead(np.ones(4), 0.0, scores, np.arange(sources), name)
        return with_head(head).thresholds.high

    assert high(9) == pytest.approx(0.9)
    assert high(10) == pytest.approx(np.linspace(0.1, 0.9, 10)[-2])


def test_a_large_hard_source_leaves_low_below_high() -> None:
    scores = np.array([0.1] * 9 + [0.9] * 41)
    source = np.array([*range(9), *[9] * 41])
    name = str(fingerprint_of(Meanings()))
    bars = with_head(EmbeddedHead(np.ones(4), 0.0, scores, source, name)).thresholds
    assert bars.low == bars.high == pytest.approx(0.1)


def test_a_head_whose_scores_are_of_no_source_is_refused(
    head: EmbeddedHead, tmp_path: Path
) -> None:
    path = tmp_path / "head.npz"
    replace(head, source=head.source[1:]).save(path)
    with pytest.raises(ConfigurationError, match="there is no head to read"):
        EmbeddedHead.load(path)


def test_sources_that_can_not_be_left_out_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="each of 60 rows, got 2"):
        InjectionClassifier.fit(ROWS, Meanings(), sources=["a", "b"])
    with pytest.raises(ConfigurationError, match="in at least two sources"):
        InjectionClassifier.fit(ROWS, Meanings(), sources=["all"] * 60)


@pytest.mark.parametrize("native", [False, True], ids=["sync", "async"])
async def test_a_guard_shows_the_embedder_no_value(
    head: EmbeddedHead, native: bool
) -> None:
    classifier = with_head(head)
    guard = GuardRunnable(classifier=classifier)
    text = f"I am ann@example.com. {ATTACK.format('Bo')}"
    documents = [Document(text), Document(HARMLESS.format("C"))]
    embedder = classifier.embeddings
    assert isinstance(embedder, Meanings)
    if native:
        with pytest.raises(GuardBlocked):
            await guard.ainvoke(text)
        kept = await guard.ainvoke(documents)
        assert embedder.awaited == 3
    else:
        with pytest.raises(GuardBlocked):
            guard.invoke(text)
        kept = guard.invoke(documents)
    assert kept == documents[1:]
    assert "ann@example.com" not in str(embedder.texts)
    assert "[EMAIL]" in str(embedder.texts)


async def test_a_coroutine_embeds_all_texts_of_a_value_in_one_call(
    head: EmbeddedHead,
) -> None:
    classifier = with_head(head)
    embedder = classifier.embeddings
    assert isinstance(embedder, Meanings)
    said: list[BaseMessage] = [HumanMessage(HARMLESS.format(n)) for n in (1, 2, 1)]
    guard = GuardRunnable(classifier=classifier)
    assert await guard.ainvoke(said) == said
    assert embedder.awaited == 1
    assert embedder.texts == [HARMLESS.format(1), HARMLESS.format(2)]
    with pytest.raises(GuardBlocked):
        await guard.ainvoke([*said, HumanMessage(ATTACK.format("Bo"))])
    assert embedder.awaited == 2


async def test_an_embedder_is_not_called_where_nothing_gives_orders(
    head: EmbeddedHead,
) -> None:
    classifier = with_head(head)
    assert isinstance(classifier.embeddings, Meanings)
    system: list[BaseMessage] = [SystemMessage("Be kind.")]
    assert await GuardRunnable(classifier=classifier).ainvoke(system) == system
    assert classifier.embeddings.awaited == 0


@pytest.mark.parametrize("native", [False, True], ids=["sync", "async"])
async def test_an_embedder_that_fails_is_an_error_and_never_clean(
    head: EmbeddedHead, native: bool
) -> None:
    classifier = with_head(head)

    def broken(texts: list[str]) -> list[list[float]]:
        msg = f"cannot embed {texts}"
        raise RuntimeError(msg)

    assert classifier.embeddings is not None
    classifier.embeddings.embed_documents = broken  # type: ignore[method-assign]
    guard = GuardRunnable(classifier=classifier)
    failed = pytest.raises(GuardBlocked, match=r"failed: classifier \(RuntimeError\)")
    with failed as caught:
        await _call(guard, "Hello there", native=native)
    assert "Hello" not in str(caught.value)


def test_vectors_must_be_numbers_of_one_length() -> None:
    for wrong in ([[1.0, float("nan")]], [1.0, 2.0], [[1.0, float("inf")]]):
        with pytest.raises(ValueError, match="not finite"):
            unit(wrong)  # type: ignore[arg-type]  # the point
    assert unit([[3.0, 4.0], [0.0, 0.0]]).tolist() == [[0.6, 0.8], [0.0, 0.0]]
    assert blended(np.array([0.5]), np.array([0.0])).tolist() == [0.5]


@pytest.mark.parametrize("native", [False, True], ids=["sync", "async"])
async def test_every_window_needs_a_vector_of_its_own(
    head: EmbeddedHead, native: bool
) -> None:
    classifier = with_head(head)
    embedder = classifier.embeddings
    assert embedder is not None
    every = embedder.embed_documents
    embedder.embed_documents = lambda texts: every(texts[:1])  # type: ignore[method-assign]
    guard = GuardRunnable(classifier=classifier)
    long = " ".join([HARMLESS.format(1), HARMLESS.format(2), ATTACK.format("Bo")])
    with pytest.raises(ValueError, match="gave 1 vectors for 3 windows"):
        classifier.screen(long)
    with pytest.raises(GuardBlocked, match=r"failed: classifier \(ValueError\)"):
        await _call(guard, long, native=native)
    with pytest.raises(ValueError, match="gave 1 vectors for 60 windows"):
        InjectionClassifier.fit(ROWS, embedder)
