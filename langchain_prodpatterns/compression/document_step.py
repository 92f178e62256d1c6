"""A step from documents to documents by a question, in pipes and in retrievers."""

from collections.abc import Sequence
from typing import ClassVar

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.runnables import RunnableConfig

from langchain_prodpatterns.compression.inputs import CompressInput
from langchain_prodpatterns.runnable import PatternRunnable


class DocumentStep(
    PatternRunnable[CompressInput, list[Document]], BaseDocumentCompressor
):
    """A Runnable on `{"question", "documents"}`, and a `BaseDocumentCompressor`."""

    pattern: ClassVar[str] = "compression"

    def compress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,
    ) -> list[Document]:
        """Compress documents as LangChain's retrievers ask for it.

        Args:
            documents: What was retrieved.
            query: The question.
            callbacks: The callbacks of the retriever's run.

        Returns:
            What is made of them.
        """
        return self.invoke(
            {"question": query, "documents": list(documents)}, _config(callbacks)
        )

    async def acompress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,
    ) -> list[Document]:
        """Compress documents as LangChain's retrievers ask for it, natively async.

        Args:
            documents: What was retrieved.
            query: The question.
            callbacks: The callbacks of the retriever's run.

        Returns:
            What is made of them.
        """
        return await self.ainvoke(
            {"question": query, "documents": list(documents)}, _config(callbacks)
        )


def _config(callbacks: Callbacks | None) -> RunnableConfig:
    return {"callbacks": callbacks} if callbacks is not None else {}
