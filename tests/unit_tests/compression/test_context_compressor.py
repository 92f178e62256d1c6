import asyncio
import copy
import logging
import pickle
import re
import threading
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import Embeddings
from langchain_core.load import dumpd
from langchain_core.runnables import (
    ConfigurableField,
    Runnable,
    RunnableLambda,
    RunnablePassthrough,
)
from langchain_core.tracers.base import BaseTracer

from langchain_prodpatterns import track
from langchain_prodpatterns.compression import (
    SCORE_KEY,
    SPANS_KEY,
    TOKENS_IN_KEY,
    TOKENS_OUT_KEY,
    CompressInput,
    ContextCompressor,
    EvidenceScorer,
    MarkdownSplitter,
    VectorCache,
    format_citations,
    resolve_citation,
)
from langchain_prodpatterns.compression.vectors import Embedding
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.testing import LexicalEmbeddings, ScriptedChatModel
from langchain_prodpatterns.tokens import estimate_tokens
from tests.unit_tests.compression.doubles import (
    QUESTION,
    BrokenEmbeddings,
    CountingEmbeddings,
    asked,
    world_cup,
)

GOAL = "Lucien Laurent scored the first goal of the World Cup."


def compressor(**kwargs: Any) -> ContextCompressor:
    settings = {"token_budget": 25, "token_counter": estimate_tokens, **kwargs}
    return ContextCompressor(settings.pop("embeddings", None), **settings)


def texts(documents: list[Document]) -> list[str]:
    return [document.page_content for document in documents]


# What comes out


def test_the_sentence_that_answers_is_quoted() -> None:
    assert texts(compressor().invoke(asked())) == [GOAL]


async def test_async_gives_the_same() -> None:
    for embeddings in (None, LexicalEmbeddings()):
        ours = compressor(embeddings=embeddings, token_budget=40)
        assert await ours.ainvoke(asked()) == ours.invoke(asked())


def test_a_quote_is_a_document_with_spans_into_its_source() -> None:
    [found] = compressor().invoke(asked())
    source = world_cup()[1]
    assert found.id == "cup"
    assert found.metadata[SPANS_KEY] == [[44, 98]]
    assert source.page_content[44:98] == GOAL
    assert found.metadata[SCORE_KEY] == 1
    assert found.metadata[TOKENS_IN_KEY] == estimate_tokens(source.page_content)
    assert found.metadata[TOKENS_OUT_KEY] == estimate_tokens(GOAL)
    assert found.metadata["title"] == "1930 tournament"
    assert type(found) is Document


def test_a_citation_leads_back_to_the_source() -> None:
    found = compressor(token_budget=60).invoke(asked())
    sources = {source.id: source.page_content for source in world_cup()}
    assert found
    for number, quote in enumerate(found, 1):
        document, spans = resolve_citation(number, found)
        source = sources[document.id]
        assert (
            "\n".join(source[start:end] for start, end in spans) == quote.page_content
        )


def test_the_input_is_not_changed() -> None:
    documents = world_cup()
    before = copy.deepcopy(documents)
    found = compressor(token_budget=1_000).invoke(asked(documents))
    assert documents == before
    found[0].metadata["mine"] = True
    assert documents == before


def test_order() -> None:
    by_rank = compressor(token_budget=1_000).invoke(asked())
    by_source = compressor(token_budget=1_000, order="source").invoke(asked())
    assert [each.id for each in by_rank] == ["cup", "laurent", "penguins"]
    assert [each.id for each in by_source] == ["penguins", "cup", "laurent"]


def test_the_best_documents_can_stand_at_both_ends() -> None:
    texts = [f"Goal {number} {'word ' * number}." for number in range(5)]
    documents = [Document(text, id=str(n)) for n, text in enumerate(texts)]
    ranked = compressor(token_budget=1_000).invoke(asked(documents, "Which goal?"))
    edged = compressor(token_budget=1_000, order="edges")
    best, second, third, fourth, worst = (each.id for each in ranked)
    found = edged.invoke(asked(documents, "Which goal?"))
    assert [each.id for each in found] == [best, third, worst, fourth, second]


def test_what_fits_whole_stays_whole() -> None:
    found = compressor(token_budget=1_000, order="source").invoke(asked())
    assert texts(found) == texts(world_cup())


def test_k_is_the_most_documents_of_one_call() -> None:
    found = compressor(token_budget=1_000).invoke(asked(), k=2)
    assert [each.id for each in found] == ["cup", "laurent"]
    assert compressor(token_budget=1_000).bind(k=1).invoke(asked())[0].id == "cup"


# Budgets


def test_500_tokens_by_default() -> None:
    text = " ".join(f"Fact {number} says something new." for number in range(400))
    found = ContextCompressor().invoke(asked([Document(text)]))
    tokens = ContextCompressor().token_budget
    assert tokens == 500
    assert 450 < estimate_tokens(format_citations(found)) <= 500


@pytest.mark.parametrize("ratio", [0.25, 0.5, 1.0])
def test_a_ratio_is_a_share_of_the_input(ratio: float) -> None:
    ours = ContextCompressor(ratio=ratio, token_counter=estimate_tokens)
    whole = estimate_tokens(format_citations(world_cup()))
    found = ours.invoke(asked())
    assert ours.token_budget is None
    assert 0 < estimate_tokens(format_citations(found)) <= ratio * whole


def test_of_budget_and_ratio_the_smaller_holds() -> None:
    for settings in (
        {"token_budget": 25, "ratio": 1.0},
        {"token_budget": 500, "ratio": 0.3},
    ):
        found = compressor(**settings).invoke(asked())
        assert texts(found) == [GOAL]


def test_a_model_can_count() -> None:
    ours = compressor(token_counter=ScriptedChatModel(replies=["x"]))
    assert GOAL in "\n".join(texts(ours.invoke(asked())))


def test_a_counter_of_characters() -> None:
    found = compressor(token_counter=len, token_budget=100).invoke(asked())
    assert texts(found) == [GOAL]
    assert len(format_citations(found)) <= 100


# Nothing to quote

TINY = {"token_budget": 10}


def asked_of_two() -> CompressInput:
    # No sentence of these two fits beside its heading into 10 tokens.
    return asked(world_cup()[1:])


def test_the_best_sentence_is_cut_between_words_when_none_fits() -> None:
    [found] = compressor(**TINY).invoke(asked_of_two())
    assert GOAL.startswith(found.page_content)
    assert GOAL[len(found.page_content)] == " "
    start, end = found.metadata[SPANS_KEY][0]
    assert world_cup()[1].page_content[start:end] == found.page_content
    assert estimate_tokens(format_citations([found])) <= 10


def test_drop() -> None:
    with track() as ledger:
        assert compressor(**TINY, on_empty="drop").invoke(asked_of_two()) == []
    [record] = ledger.to_records()
    assert record.decision == "dropped"
    assert record.reason == "no passage fits the budget"
    assert record.saved_tokens == estimate_tokens(format_citations(world_cup()[1:]))


def test_pass_through() -> None:
    with track() as ledger:
        found = compressor(**TINY, on_empty="passthrough", order="source").invoke(
            asked_of_two()
        )
    assert texts(found) == texts(world_cup()[1:])
    assert [each.metadata[SPANS_KEY] for each in found] == [
        [[0, len(each.page_content)]] for each in found
    ]
    [record] = ledger.to_records()
    assert (record.decision, record.saved_tokens) == ("passed through", 0)


def test_no_room_for_a_single_word_is_said_aloud(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with track() as ledger, caplog.at_level(logging.WARNING):
        assert compressor(token_budget=1).invoke(asked()) == []
    assert "a budget of 1 tokens is too small" in caplog.text
    assert ledger.to_records()[0].decision == "empty"


def test_min_score_is_a_share_of_the_best() -> None:
    found = compressor(token_budget=1_000, min_score=0.9).invoke(asked())
    assert texts(found) == [GOAL]


def test_neighbors_fill_what_a_least_score_leaves_over() -> None:
    settings = {"token_budget": 1_000, "min_score": 0.9}
    found = compressor(**settings, neighbors=1).invoke(asked())
    assert texts(found) == [world_cup()[1].page_content]
    # Nor do they cost the passages that are worth quoting their place.
    settings = {"token_budget": 25, "min_score": 0.9}
    assert texts(compressor(**settings, neighbors=1).invoke(asked())) == [GOAL]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_question_that_nothing_is_near_to_is_not_answered(
    *, asynchronous: bool
) -> None:
    class Near(Embeddings):
        """Finds every passage 0.6 near."""

        def embed_query(self, text: str) -> list[float]:
            return [0.6, 0.8]

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [[1.0, 0.0] for _ in texts]

    async def run(least: float, policy: str) -> tuple[list[Document], str]:
        ours = compressor(embeddings=Near(), min_similarity=least, on_empty=policy)
        with track() as ledger:
            found = (
                await ours.ainvoke(asked()) if asynchronous else ours.invoke(asked())
            )
        return found, ledger.to_records()[0].reason

    assert texts((await run(0.59, "drop"))[0]) == [GOAL]
    found, reason = await run(0.61, "drop")
    assert found == []
    assert reason == "no passage is as near to the question as min_similarity"
    assert texts((await run(0.61, "keep_best"))[0]) == [GOAL]
    assert len((await run(0.61, "passthrough"))[0]) == 3


def test_nobody_abstains_for_want_of_an_embedder(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = BrokenEmbeddings(RuntimeError("down"))
    ours = compressor(embeddings=broken, min_similarity=0.9, on_empty="drop")
    assert texts(ours.invoke(asked())) == [GOAL]
    assert "BrokenEmbeddings failed" in caplog.text


UNRELATED = "xyzzy plugh"


@pytest.mark.parametrize(
    ("policy", "decision", "count"),
    [
        ("keep_best", "kept best", 1),
        ("drop", "dropped", 0),
        ("passthrough", "passed through", 3),
    ],
)
def test_no_passage_reaches_min_score(policy: str, decision: str, count: int) -> None:
    ours = compressor(min_score=0.1, on_empty=policy, token_budget=1_000)
    with track() as ledger:
        assert len(ours.invoke(asked(question=UNRELATED))) == count
    [record] = ledger.to_records()
    assert record.decision == decision
    assert record.reason.startswith("no passage reaches min_score")


def test_nothing_in_nothing_out() -> None:
    with track() as ledger:
        assert compressor().invoke(asked([])) == []
    [record] = ledger.to_records()
    assert (record.decision, record.reason) == ("empty", "no documents came in")


@pytest.mark.parametrize("policy", ["keep_best", "drop"])
def test_documents_without_text(policy: str) -> None:
    with track() as ledger:
        assert (
            compressor(on_empty=policy).invoke(asked([Document(" \n"), Document("")]))
            == []
        )
    assert ledger.to_records()[0].reason == "the documents hold no text"


# Bad input


@pytest.mark.parametrize(
    "text",
    [
        "x" * 1_000_000,
        "word " * 200_000,
        "." * 1_000_000,
        "No sentence at all, no mark either",
        "😀" * 50,
        "e\u0301" * 2_000,
        "\ud800 goal \udfff" * 500,
        "\x00\x01 goal",
        "```\n" + "goal\n" * 5_000 + "```",
    ],
)
@pytest.mark.parametrize("embeddings", [None, LexicalEmbeddings()])
def test_strange_texts(text: str, embeddings: LexicalEmbeddings | None) -> None:
    source = Document(text, metadata={"page": 3, "tags": ["a"], "title": 7})
    found = compressor(embeddings=embeddings, token_budget=400).invoke(asked([source]))
    assert len(found) == 1
    assert estimate_tokens(format_citations(found)) <= 400
    spans = found[0].metadata[SPANS_KEY]
    assert "\n".join(text[start:end] for start, end in spans) == found[0].page_content
    assert not found[0].page_content.startswith("\u0301")


async def test_code_of_others_does_not_block_the_event_loop() -> None:
    threads: set[int] = set()

    class Scores:
        def score(self, question: str, passages: Any, similarity: Any) -> Any:
            threads.add(threading.get_ident())
            return EvidenceScorer().score(question, passages, similarity)

    class Splits:
        def split(self, text: str) -> Any:
            threads.add(threading.get_ident())
            return MarkdownSplitter().split(text)

    def count(text: str) -> int:
        threads.add(threading.get_ident())
        return len(text)

    for part in (
        {"scorer": Scores()},
        {"splitter": Splits()},
        {"token_counter": count, "token_budget": 99},
    ):
        threads.clear()
        await compressor(**part).ainvoke(asked())
        assert threads
        assert threading.get_ident() not in threads


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("a question", 'runs on {"question": str, "documents"'),
        ({"query": "x", "documents": []}, "got a dict without 'question'"),
        ({"question": "x"}, "got a dict without 'documents'"),
        ({"question": 7, "documents": []}, "the question must be a string, got int"),
        ({"question": "x", "documents": ["text"]}, "must be a Document, got str"),
    ],
)
def test_wrong_input(value: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        compressor().invoke(value)


def test_wrong_keywords() -> None:
    with pytest.raises(TypeError, match="takes k and nothing else, got top_k"):
        compressor().invoke(asked(), top_k=3)
    with pytest.raises(
        ConfigurationError, match="k must be a whole number, at least 1, or None, got 0"
    ):
        compressor().invoke(asked(), k=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"token_budget": 0},
            "token_budget must be a whole number, at least 1, or None, got 0",
        ),
        ({"ratio": 4}, "for four times less pass 0.25"),
        ({"ratio": 0}, "above 0 and at most 1, got 0"),
        ({"min_score": float("nan")}, "min_score must be a finite number"),
        ({"order": "best"}, "order must be one of rank, source, edges, got 'best'"),
        ({"on_empty": "raise"}, "on_empty must be one of keep_best, drop, passthrough"),
        ({"neighbors": -1}, "neighbors must be a whole number, at least 0, got -1"),
        ({"judge_timeout": 0}, "judge_timeout must be a number of seconds"),
        ({"neighbors": True}, "neighbors must be a whole number, at least 0, got True"),
        (
            {"min_similarity": 0.5},
            "min_similarity is a cosine and needs embeddings; by words alone use",
        ),
        (
            {"min_similarity": 40, "embeddings": LexicalEmbeddings()},
            "min_similarity must be a number from -1 to 1, got 40",
        ),
        ({"embeddings": "minilm"}, "embeddings must be an Embeddings, got str"),
        ({"splitter": "nltk"}, "splitter must be a Splitter, got str"),
        ({"scorer": 1}, "scorer must be a Scorer, got int"),
        ({"vectors": {}}, "vectors must be a VectorCache, got dict"),
        ({"token_counter": "tiktoken"}, "token_counter must be a function"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ContextCompressor(**settings)


def test_an_unknown_setting_is_an_error() -> None:
    with pytest.raises(TypeError, match="top_n"):
        ContextCompressor(top_n=3)  # type: ignore[call-arg]  # what is tested


@pytest.mark.parametrize("scores", [[1.0], [[1.0]] * 8, [float("nan")] * 8, 1.0])
def test_wrong_scores_are_refused(scores: Any) -> None:
    class Wrong:
        def score(self, question: str, passages: Any, similarity: Any) -> Any:
            return scores

    with pytest.raises(ConfigurationError, match="Wrong must return 8 finite scores"):
        compressor(scorer=Wrong()).invoke(asked())


# Embeddings


def test_sentences_are_embedded_once_and_with_their_title() -> None:
    embeddings = CountingEmbeddings()
    ours = compressor(embeddings=embeddings)
    ours.invoke(asked())
    ours.invoke(asked(question="Where do penguins live?"))
    assert embeddings.queries == [QUESTION, "Where do penguins live?"]
    assert len(embeddings.texts) == 8
    assert "1930 tournament: " + GOAL in embeddings.texts


def test_a_shared_cache_keeps_two_models_apart() -> None:
    class Model(LexicalEmbeddings):
        """Two models of one class that see the world the other way round."""

        model_id: str
        axis: list[float]

        def embed_query(self, text: str) -> list[float]:
            return self.axis

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [self.axis if "netted" in t else self.axis[::-1] for t in texts]

    vectors = VectorCache()
    wanted = asked([Document("Skies stayed grey. He netted it.")], "Who scored?")
    for embeddings in (
        Model(model_id="a", axis=[1.0, 0.0]),
        Model(model_id="b", axis=[0.0, 1.0]),
    ):
        ours = compressor(embeddings=embeddings, vectors=vectors, token_budget=7)
        assert texts(ours.invoke(wanted)) == ["He netted it."]


def test_a_cache_can_be_shared() -> None:
    embeddings, vectors = CountingEmbeddings(), VectorCache()
    for budget in (25, 60):
        ours = compressor(embeddings=embeddings, token_budget=budget, vectors=vectors)
        ours.invoke(asked())
    assert len(embeddings.texts) == len(vectors) == 8


async def test_async_embeds_natively() -> None:
    embeddings = CountingEmbeddings()
    await compressor(embeddings=embeddings).ainvoke(asked())
    assert embeddings.sync_calls == 0
    assert embeddings.threads == {threading.get_ident()}


def test_a_meaning_beats_a_shared_word() -> None:
    class Knows(LexicalEmbeddings):
        def embed_query(self, text: str) -> list[float]:
            return [1.0, 0.0]

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [[1.0, 0.0] if "unpaid" in text else [0.0, 1.0] for text in texts]

    scorer = EvidenceScorer(dense=5)
    [found] = compressor(embeddings=Knows(), scorer=scorer, token_budget=15).invoke(
        asked()
    )
    assert found.page_content == "He took unpaid leave."


FAILURES = [
    BrokenEmbeddings(RuntimeError("refused: the penguin text")),
    BrokenEmbeddings(answer=[]),
    BrokenEmbeddings(answer=[[float("nan")]] * 8),
    BrokenEmbeddings(answer=[[1.0, 2.0, 3.0]] * 8),
    BrokenEmbeddings(answer=None),
]


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("embeddings", FAILURES)
async def test_when_the_embedder_fails_words_decide(
    embeddings: BrokenEmbeddings,
    caplog: pytest.LogCaptureFixture,
    *,
    asynchronous: bool,
) -> None:
    ours = compressor(embeddings=embeddings)
    with track() as ledger, caplog.at_level(logging.WARNING):
        found = await ours.ainvoke(asked()) if asynchronous else ours.invoke(asked())
    assert texts(found) == [GOAL]
    assert len(caplog.records) == 1
    assert "BrokenEmbeddings failed" in caplog.text
    assert "penguin" not in caplog.text
    assert ledger.to_records()[0].reason.endswith("embedder failed, by words")
    assert len(ours.vectors) == 0


async def test_interrupts_are_no_failures() -> None:
    with pytest.raises(KeyboardInterrupt):
        compressor(embeddings=BrokenEmbeddings(KeyboardInterrupt())).invoke(asked())
    with pytest.raises(asyncio.CancelledError):
        await compressor(embeddings=BrokenEmbeddings(asyncio.CancelledError())).ainvoke(
            asked()
        )


# The ledger and traces


class Runs(BaseTracer):
    """Keeps finished root runs."""

    def __init__(self) -> None:
        super().__init__()
        self.roots: list[Any] = []

    def _persist_run(self, run: Any) -> None:
        self.roots.append(run)


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_one_decision_and_one_run_tree(*, asynchronous: bool) -> None:
    ours, runs = compressor(embeddings=LexicalEmbeddings()), Runs()
    config: Any = {"callbacks": [runs]}
    with track() as ledger:
        if asynchronous:
            found = await ours.ainvoke(asked(), config)
        else:
            found = ours.invoke(asked(), config)
    [record] = ledger.to_records()
    whole = estimate_tokens(format_citations(world_cup()))
    assert (record.pattern, record.decision) == ("compression", "compressed")
    assert record.saved_tokens == whole - estimate_tokens(format_citations(found))
    assert record.calls == 0
    [root] = runs.roots
    assert root.name == "ContextCompressor"
    assert [child.name for child in root.child_runs] == [
        "compression:embed_query",
        "compression:embed_documents",
    ]
    facts = root.metadata
    assert facts["prodpatterns.tokens_in"] == whole
    assert facts["prodpatterns.passages"] == 8
    assert facts["prodpatterns.embedding_failures"] == 0


def test_nothing_saved_is_unchanged() -> None:
    with track() as ledger:
        compressor(token_budget=1_000).invoke(asked())
    [record] = ledger.to_records()
    assert (record.decision, record.saved_tokens) == ("unchanged", 0)
    assert record.reason == "8 of 8 passages from 3 of 3 documents"


# Composition


def test_inside_langchains_own_retrievers() -> None:
    ours = compressor()
    assert isinstance(ours, BaseDocumentCompressor)
    found = ours.compress_documents(tuple(world_cup()), QUESTION)
    assert texts(found) == [GOAL]


async def test_inside_langchains_own_retrievers_async() -> None:
    runs = Runs()
    found = await compressor().acompress_documents(world_cup(), QUESTION, [runs])
    assert texts(found) == [GOAL]
    assert [run.name for run in runs.roots] == ["ContextCompressor"]


def test_in_a_pipe() -> None:
    retriever: Runnable[str, list[Document]] = RunnableLambda(
        lambda _question: world_cup()
    )
    chain = (
        {"question": RunnablePassthrough(), "documents": retriever}
        | compressor()
        | format_citations
    )
    expected = f"[1] 1930 tournament\n{GOAL}"
    assert chain.invoke(QUESTION) == expected
    assert list(chain.stream(QUESTION)) == [expected]
    assert chain.batch([QUESTION, QUESTION]) == [expected] * 2


def test_configurable_and_copied() -> None:
    ours = compressor(embeddings=LexicalEmbeddings()).configurable_fields(
        token_budget=ConfigurableField("budget")
    )
    config: Any = {"configurable": {"budget": 1_000}}
    assert len(ours.invoke(asked(), config)) == 3
    assert len(ours.invoke(asked())) == 1


def test_pickle_deepcopy_and_dumpd() -> None:
    ours = compressor(embeddings=LexicalEmbeddings())
    expected = ours.invoke(asked())
    for other in (pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours)):  # noqa: S301 - our own bytes
        assert other.invoke(asked()) == expected
        assert len(other.vectors) == 8
    assert dumpd(ours)["type"] == "not_implemented"


def test_schemas() -> None:
    assert set(ContextCompressor().get_input_jsonschema()["$defs"]) == {
        "CompressInput",
        "Document",
    }
    assert ContextCompressor().get_output_jsonschema()["type"] == "array"
    assert "ContextCompressor" in ContextCompressor().get_graph().draw_mermaid()


def test_parts_of_ones_own() -> None:
    class Last:
        def score(self, question: str, passages: Any, similarity: Any) -> Any:
            assert similarity is None
            return np.arange(len(passages))

    class Words:
        def split(self, text: str) -> list[tuple[int, int]]:
            return [match.span() for match in re.finditer(r"\S+", text)]

    ours = compressor(scorer=Last(), splitter=Words(), token_budget=7)
    assert texts(ours.invoke(asked())) == ["leave."]


def test_threads_share_one_compressor() -> None:
    embeddings = CountingEmbeddings()
    ours = compressor(embeddings=embeddings)
    inputs = [asked(question=f"{QUESTION} {number}") for number in range(16)]
    found = ours.batch(inputs, {"max_concurrency": 16})
    assert [texts(each) for each in found] == [[GOAL]] * 16


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"token_budget": "500"},
            "token_budget must be a whole number, at least 1, or None, got '500'",
        ),
        (
            {"token_budget": 1.5},
            "token_budget must be a whole number, at least 1, or None, got 1.5",
        ),
        (
            {"token_budget": True},
            "token_budget must be a whole number, at least 1, or None, got True",
        ),
        ({"ratio": "0.25"}, "ratio is the share.*got '0.25'"),
        ({"min_score": "x"}, "min_score must be a finite number, got 'x'"),
        ({"splitter": lambda: MarkdownSplitter("9")}, "max_chars must be a whole"),  # type: ignore[arg-type]  # what is refused
        ({"vectors": lambda: VectorCache("9")}, "max_entries must be a whole"),  # type: ignore[arg-type]  # what is refused
        ({"scorer": lambda: EvidenceScorer(sparse="1")}, "sparse must be 0 or more"),  # type: ignore[arg-type]  # what is refused
    ],
)
def test_numbers_that_are_none(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ContextCompressor(
            **{key: v() if callable(v) else v for key, v in settings.items()}
        )


@pytest.mark.parametrize("documents", [None, "text", Document("text"), 3])
def test_documents_that_are_no_list(documents: Any) -> None:
    wrong = {"question": "Who?", "documents": documents}
    with pytest.raises(TypeError, match="the documents must be a list of Document"):
        compressor().invoke(wrong)  # type: ignore[arg-type]  # what is refused


async def test_the_vectors_of_long_documents_are_compared_off_the_event_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: list[int] = []
    similarity = Embedding.similarity

    def noted(self: Embedding, *args: Any) -> Any:
        threads.append(threading.get_ident())
        return similarity(self, *args)

    monkeypatch.setattr(Embedding, "similarity", noted)
    long = [Document("A line of a long text. " * 5_000)]
    ours = compressor(embeddings=LexicalEmbeddings(dimensions=16))
    await ours.ainvoke({"question": "Who?", "documents": long})

    assert threads
    assert threading.get_ident() not in threads
