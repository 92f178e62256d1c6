"""Compress what was retrieved by the question: verbatim quotes under a token budget.

```python
retriever = CompressingRetriever(vector_store.as_retriever(), token_budget=500)
context = format_citations(retriever.invoke("Who scored the first goal?"))
```
"""

from langchain_prodpatterns.compression.citations import (
    SCORE_KEY,
    SPANS_KEY,
    TOKENS_IN_KEY,
    TOKENS_OUT_KEY,
    Citation,
    Reference,
    find_citations,
    format_citations,
    resolve_citation,
)
from langchain_prodpatterns.compression.compressing_retriever import (
    CompressingRetriever,
)
from langchain_prodpatterns.compression.context_compressor import ContextCompressor
from langchain_prodpatterns.compression.inputs import CompressInput
from langchain_prodpatterns.compression.passages import Passage
from langchain_prodpatterns.compression.picking import (
    Candidates,
    PickRequest,
    PickVerdict,
)
from langchain_prodpatterns.compression.scorer import EvidenceScorer, Scorer
from langchain_prodpatterns.compression.segmenters import (
    BlingfireSentences,
    PysbdSentences,
)
from langchain_prodpatterns.compression.splitter import (
    MarkdownSplitter,
    Span,
    Splitter,
)
from langchain_prodpatterns.compression.summarizer import (
    SOURCES_KEY,
    EvidenceSummarizer,
    Statement,
    Summary,
    SummaryRequest,
)
from langchain_prodpatterns.compression.vectors import VectorCache

__all__ = [
    "SCORE_KEY",
    "SOURCES_KEY",
    "SPANS_KEY",
    "TOKENS_IN_KEY",
    "TOKENS_OUT_KEY",
    "BlingfireSentences",
    "Candidates",
    "Citation",
    "CompressInput",
    "CompressingRetriever",
    "ContextCompressor",
    "EvidenceScorer",
    "EvidenceSummarizer",
    "MarkdownSplitter",
    "Passage",
    "PickRequest",
    "PickVerdict",
    "PysbdSentences",
    "Reference",
    "Scorer",
    "Span",
    "Splitter",
    "Statement",
    "Summary",
    "SummaryRequest",
    "VectorCache",
    "find_citations",
    "format_citations",
    "resolve_citation",
]
