"""A retriever whose documents come back as quotes that fit the window."""

from collections.abc import Callable
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config, patch_config

from langchain_prodpatterns.arguments import check_count
from langchain_prodpatterns.callables import check_takes_one, either_way
from langchain_prodpatterns.compression.context_compressor import ContextCompressor
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.judging import is_language_model


class CompressingRetriever(BaseRetriever):
    """Retrieves, then quotes only what answers the question.

    ```python
    retriever = CompressingRetriever(store.as_retriever(search_kwargs={"k": 20}))
    retriever.invoke("Who scored the first goal?")
    ```

    Let the inner retriever fetch more than fits, such as 20 documents: the compressor
    spends the budget on the sentences that matter.

    In a conversation the last message is rarely a question that stands alone:
    `question` makes one of whatever comes in.

    ```python
    standalone = condense_prompt | llm | StrOutputParser()
    retriever = CompressingRetriever(store.as_retriever(), question=standalone)
    retriever.invoke({"history": history, "input": "And who won it?"})
    ```
    """

    retriever: Runnable[str, list[Document]]
    """Fetches the documents."""
    compressor: BaseDocumentCompressor | Runnable[Any, Any]
    """Quotes from them."""
    k: int | None
    """Documents returned at most."""
    question: Runnable[Any, str] | None
    """Makes a question that stands alone of what comes in."""

    def __init__(
        self,
        retriever: Runnable[str, list[Document]],
        compressor: BaseDocumentCompressor | Runnable[Any, Any] | None = None,
        *,
        token_budget: int | None = None,
        ratio: float | None = None,
        embeddings: Embeddings | None = None,
        k: int | None = None,
        question: Runnable[Any, str] | Callable[[Any], Any] | None = None,
        name: str | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Put a compressor behind a retriever.

        Args:
            retriever: Any retriever, or a runnable from a question to documents.
            compressor: A `ContextCompressor`, another `BaseDocumentCompressor`, or a
                runnable from `{"question", "documents"}` to documents. By default
                `ContextCompressor(embeddings, token_budget=..., ratio=...)`.
            token_budget: Tokens of the result; 500 when there is no ratio either.
            ratio: The share of the tokens retrieved that may stay, such as 0.25.
            embeddings: Embeds question and passages; without, only words are compared.
            k: The documents that are returned at most: those with the best passages.
                How many are fetched is the inner retriever's own setting. `invoke`
                takes it too.
            question: A function or a runnable from the input of this retriever, such as
                messages or a dict, to the question that is searched for and quoted by.
                Without, the input is the question.
            name: The name of the run in traces.
            tags: Tags of the retriever's own run.
            metadata: Metadata of the retriever's own run.

        Raises:
            ConfigurationError: When an argument cannot work, or when both `compressor`
                and an argument of the default one are given.
        """
        if not isinstance(retriever, Runnable):
            msg = (
                f"retriever must be a Runnable, got {type(retriever).__name__}: give a "
                "vector store's `as_retriever()`, a function in a `RunnableLambda`"
            )
            raise ConfigurationError(msg)
        if compressor is None:
            compressor = ContextCompressor(
                embeddings, token_budget=token_budget, ratio=ratio
            )
        elif (token_budget, ratio, embeddings) != (None, None, None):
            msg = (
                "token_budget, ratio and embeddings configure the default compressor: "
                "give them to your own compressor instead"
            )
            raise ConfigurationError(msg)
        if is_language_model(compressor):
            msg = (
                f"a {type(compressor).__name__} is no compressor: let it choose what "
                "is quoted, ContextCompressor(judge=llm)"
            )
            raise ConfigurationError(msg)
        if not isinstance(compressor, BaseDocumentCompressor | Runnable):
            msg = (
                "compressor must be a ContextCompressor, another "
                f"BaseDocumentCompressor or a Runnable, got {type(compressor).__name__}"
            )
            raise ConfigurationError(msg)
        super().__init__(
            retriever=retriever,
            compressor=compressor,
            k=_checked(k),
            question=_runnable(question),
            name=name,
            tags=tags,
            metadata=metadata,
        )

    @property
    def InputType(self) -> Any:  # noqa: N802 - LangChain's name
        """A text, unless `question` makes one."""
        return str if self.question is None else self.question.InputType

    def invoke(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> list[Document]:
        """Retrieve and compress.

        Args:
            input: The question, or what `question` makes one of.
            config: The config of the run.
            **kwargs: `k`.

        Returns:
            The quotes.

        Raises:
            TypeError: When the question is no text, or what `question` makes is none.
        """
        if self.question is None:
            _text(input)
        config = ensure_config(config)
        return super().invoke(input, config, around=config, **kwargs)

    async def ainvoke(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> list[Document]:
        """Retrieve and compress, natively async.

        Args:
            input: The question, or what `question` makes one of.
            config: The config of the run.
            **kwargs: `k`.

        Returns:
            The quotes.

        Raises:
            TypeError: When the question is no text, or what `question` makes is none.
        """
        if self.question is None:
            _text(input)
        config = ensure_config(config)
        return await super().ainvoke(input, config, around=config, **kwargs)

    def _get_relevant_documents(
        self,
        query: Any,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        around: RunnableConfig | None = None,
        k: int | None = None,
    ) -> list[Document]:
        k = self.k if k is None else _checked(k)
        if self.question is not None:
            asking = patch_config(around, callbacks=run_manager.get_child("question"))
            query = _made(self.question.invoke(query, asking))
        fetching = patch_config(around, callbacks=run_manager.get_child("retrieve"))
        documents = self.retriever.invoke(query, fetching)
        child = run_manager.get_child("compress")
        if isinstance(self.compressor, Runnable):
            found = self.compressor.invoke(
                {"question": query, "documents": documents},
                patch_config(around, callbacks=child),
                **self._kwargs(k),
            )
        else:
            found = self.compressor.compress_documents(documents, query, child)
        return list(found)[:k]

    async def _aget_relevant_documents(
        self,
        query: Any,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        around: RunnableConfig | None = None,
        k: int | None = None,
    ) -> list[Document]:
        k = self.k if k is None else _checked(k)
        if self.question is not None:
            asking = patch_config(around, callbacks=run_manager.get_child("question"))
            query = _made(await self.question.ainvoke(query, asking))
        fetching = patch_config(around, callbacks=run_manager.get_child("retrieve"))
        documents = await self.retriever.ainvoke(query, fetching)
        child = run_manager.get_child("compress")
        if isinstance(self.compressor, Runnable):
            found = await self.compressor.ainvoke(
                {"question": query, "documents": documents},
                patch_config(around, callbacks=child),
                **self._kwargs(k),
            )
        else:
            found = await self.compressor.acompress_documents(documents, query, child)
        return list(found)[:k]

    def _kwargs(self, k: int | None) -> dict[str, Any]:
        """Tell a compressor of ours how many documents may share the budget."""
        return {"k": k} if isinstance(self.compressor, ContextCompressor) else {}


def _checked(k: int | None) -> int | None:
    check_count("k", k)
    return k


def _runnable(question: object) -> Runnable[Any, str] | None:
    if question is None or isinstance(question, Runnable):
        return question
    if not callable(question):
        msg = (
            "question must be a function or a Runnable from the input to the question, "
            f"got {type(question).__name__}"
        )
        raise ConfigurationError(msg)
    check_takes_one("question", question, "the input")
    return either_way(question)


def _made(question: object) -> str:
    if not isinstance(question, str):
        msg = (
            "CompressingRetriever(question=...) must give a text, got "
            f"{type(question).__name__}: end a chain with a model in it with "
            "StrOutputParser()"
        )
        raise TypeError(msg)
    return question


def _text(question: object) -> str:
    if not isinstance(question, str):
        msg = (
            f"CompressingRetriever takes a question as text, got "
            f"{type(question).__name__}; make one of it: "
            "CompressingRetriever(..., question=itemgetter('question'))"
        )
        raise TypeError(msg)
    return question
