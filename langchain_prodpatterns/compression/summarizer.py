"""Saying shortly what quotes say: an extra step, since its words are the model's."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

from langchain_core.documents import Document
from langchain_core.language_models import BaseLanguageModel
from langchain_core.runnables import Runnable
from pydantic import BaseModel, ConfigDict, Field

from langchain_prodpatterns.compression.citations import (
    SPANS_KEY,
    format_citations,
    headline,
    is_quote,
)
from langchain_prodpatterns.compression.document_step import DocumentStep
from langchain_prodpatterns.compression.inputs import (
    CompressInput,
    read_input,
    read_k,
)
from langchain_prodpatterns.compression.threads import off_loop
from langchain_prodpatterns.compression.vectors import without_surrogates
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.judging import (
    BoundJudge,
    JudgeLike,
    Judgement,
    JudgeRequest,
    Verdict,
)
from langchain_prodpatterns.runnable import PatternRun
from langchain_prodpatterns.tokens import TokenCounter
from langchain_prodpatterns.tokens import token_counter as counter_of

SOURCES_KEY = "prodpatterns.sources"
"""Metadata of a summary: `id`, `title` and `spans` of each document it was made of."""

QUESTION = """Say in few words what the numbered documents say that answers the
question, and nothing else. Give each statement the numbers of all documents it rests
on. Answer with no statements when the documents do not answer the question."""


class Statement(BaseModel):
    """One sentence of a summary."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    text: str = Field(description="one or two sentences")
    sources: tuple[int, ...] = Field(description="the numbers of its documents")


class SummaryRequest(JudgeRequest):
    """What a summarizer is asked."""

    question: str
    """What the documents were retrieved for."""
    documents: tuple[str, ...]
    """The documents, each with its title in the first line."""


class Summary(Verdict):
    """What a summarizer answers."""

    statements: tuple[Statement, ...]


class EvidenceSummarizer(DocumentStep):
    """Rewrites quotes as statements that name their sources.

    ```python
    quotes = {"question": RunnablePassthrough(), "documents": retriever} | compressor
    chain = {
        "question": RunnablePassthrough(),
        "documents": quotes,
    } | EvidenceSummarizer(llm)
    ```

    !!! warning
        The words are the model's. `ContextCompressor` quotes and can invent nothing;
        this can be wrong, and code checks only that every statement names documents
        that were there. What names none is left out.

    One call for all documents. What is returned are documents whose title names the
    sources and whose `metadata["prodpatterns.sources"]` holds the id, the title and the
    spans of each. Where the model fails, is late, says nothing that has a source, or
    says it in more tokens, the documents are returned as they came.
    """

    model: JudgeLike
    """Writes the statements."""
    timeout: float | None
    """Seconds for its answer."""
    token_counter: TokenCounter | None
    """Counts tokens."""

    def __init__(
        self,
        model: JudgeLike,
        *,
        timeout: float | None = 30.0,
        token_counter: TokenCounter | BaseLanguageModel[Any] | None = None,
        name: str | None = None,
    ) -> None:
        """Configure the summarizer.

        Args:
            model: A chat model, or a Runnable or callable from `SummaryRequest` to
                `Summary`.
            timeout: Seconds for its answer, a repair of it included; `None` waits.
            token_counter: As for `ContextCompressor`.
            name: The name of the run in traces.

        Raises:
            ConfigurationError: When an argument cannot work.
        """
        if not (callable(model) or isinstance(model, Runnable)):
            msg = (
                "model must be a chat model, or a Runnable or callable from "
                f"SummaryRequest to Summary, got {type(model).__name__}"
            )
            raise ConfigurationError(msg)
        _bound(model, timeout)
        super().__init__(
            model=model,
            timeout=timeout,
            token_counter=None if token_counter is None else counter_of(token_counter),
            name=name,
        )
        _ = self._judge  # two threads must not bind it twice

    @cached_property
    def _judge(self) -> BoundJudge[SummaryRequest, Summary]:
        """The model, bound once: it knows how many of its calls have not come back."""
        return _bound(self.model, self.timeout)

    def _run(
        self, value: CompressInput, run: PatternRun, **kwargs: Any
    ) -> list[Document]:
        k = read_k(kwargs)
        documents, request = _asked(value)
        judgement = None
        if documents:
            child = run.child("summary", hidden=True)
            judgement = self._judge.ask(request, child)
        found, facts = self._settle(documents, judgement, k)
        run.decide(**facts)
        return found

    async def _arun(
        self, value: CompressInput, run: PatternRun, **kwargs: Any
    ) -> list[Document]:
        k = read_k(kwargs)
        documents, request = _asked(value)
        judgement = None
        if documents:
            child = run.child("summary", hidden=True)
            judgement = await self._judge.aask(request, child)
        found, facts = await off_loop(lambda: self._settle(documents, judgement, k))
        await run.adecide(**facts)
        return found

    def _settle(
        self,
        documents: list[Document],
        judgement: Judgement[Summary] | None,
        k: int | None,
    ) -> tuple[list[Document], dict[str, Any]]:
        """Take the summary if it is one, else the documents."""
        count = counter_of(self.token_counter)
        tokens_in = count(format_citations(documents))
        written, unsourced = _written(documents, judgement)
        found = written[:k]
        tokens_out = count(format_citations(found))
        why = _refusal(documents, judgement, found)
        if not why and tokens_out >= tokens_in:
            why = "the summary is no shorter"
        if why:
            found = documents[:k]
            tokens_out = count(format_citations(found))
        return found, {
            "decision": "passed through" if why else "summarized",
            "reason": why or f"{len(found)} of {len(documents)} documents",
            "saved_tokens": max(0, tokens_in - tokens_out),
            "tokens_in": tokens_in,
            "tokens_out": tokens_out,
            "unsourced": unsourced,
        }


def _bound(
    model: JudgeLike, timeout: float | None
) -> BoundJudge[SummaryRequest, Summary]:
    return BoundJudge(
        model,
        question=QUESTION,
        verdict_type=Summary,
        timeout=timeout,
        name="compression:summary",
    )


def _asked(value: CompressInput) -> tuple[list[Document], SummaryRequest]:
    question, documents = read_input(value)
    texts = (f"{headline(each)}\n{each.page_content}".strip() for each in documents)
    request = SummaryRequest(
        question=without_surrogates(question),
        documents=tuple(map(without_surrogates, texts)),
    )
    return documents, request


def _refusal(
    documents: Sequence[Document],
    judgement: Judgement[Summary] | None,
    found: Sequence[Document],
) -> str:
    """Say why the documents stay as they are; nothing where they do not."""
    if judgement is None or not documents:
        return "no documents came in"
    if judgement.failure is not None:
        return f"no summary: {judgement.failure.kind}"
    return "" if found else "the summary says nothing that has a source"


def _written(
    documents: Sequence[Document], judgement: Judgement[Summary] | None
) -> tuple[list[Document], int]:
    """Write one document for the statements of the same sources, and count the rest."""
    if judgement is None or judgement.verdict is None:
        return [], 0
    statements: dict[tuple[int, ...], list[str]] = {}
    unsourced = 0
    for statement in judgement.verdict.statements:
        known = {at for at in statement.sources if 1 <= at <= len(documents)}
        text = " ".join(statement.text.split())
        if known and text:
            statements.setdefault(tuple(sorted(known)), []).append(text)
        else:
            unsourced += 1
    found = [
        _document([documents[number - 1] for number in numbers], " ".join(texts))
        for numbers, texts in statements.items()
    ]
    return found, unsourced


def _document(sources: Sequence[Document], text: str) -> Document:
    names = "; ".join(filter(None, map(headline, sources)))
    listed = [
        {
            "id": source.id,
            "title": headline(source),
            "spans": [list(span) for span in _spans(source)],
        }
        for source in sources
    ]
    title = f"Summary of {names}" if names else "Summary"
    return Document(page_content=text, metadata={"title": title, SOURCES_KEY: listed})


def _spans(source: Document) -> Sequence[Sequence[int]]:
    whole = [(0, len(source.page_content))]
    return source.metadata[SPANS_KEY] if is_quote(source) else whole
