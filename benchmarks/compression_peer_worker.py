"""One compressor of another project, driven by JSON lines; run by its own Python.

Each line on standard input is a question with its documents; the last line written for
it is the result. In between the worker may ask for vectors, so that all methods share
one model: `{"embed": [texts]}`, answered by one line of vectors.
"""

import json
import sys
from importlib import import_module
from typing import Any

SHARES = [each / 20 for each in range(1, 21)]
"""What llama_index may keep of each document."""

KNOWN: dict[str, list[float]] = {}
"""The vectors of one question."""

Texts = list[tuple[int, str]]
"""Quoted texts with the number of their document."""


def ask(texts: list[str]) -> list[list[float]]:
    """Have texts embedded by the other process, each once a question."""
    new = [text for text in dict.fromkeys(texts) if text not in KNOWN]
    if new:
        print(json.dumps({"embed": new}), file=RESULTS, flush=True)
        vectors: list[list[float]] = json.loads(sys.stdin.readline())
        KNOWN.update(zip(new, vectors, strict=True))
    return [KNOWN[text] for text in texts]


def langchain_embeddings() -> Any:
    """Make what LangChain's classes embed with."""

    class Asking(import_module("langchain_core.embeddings").Embeddings):  # type: ignore[misc] # unknown here
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return ask(texts)

        def embed_query(self, text: str) -> list[float]:
            return ask([text])[0]

    return Asking()


def langchain_documents(texts: list[str]) -> list[Any]:
    """Make documents that say which one they are."""
    document = import_module("langchain_core.documents").Document
    return [
        document(page_content=text, metadata={"number": number})
        for number, text in enumerate(texts)
    ]


def compressors() -> Any:
    """Return LangChain's document compressors."""
    return import_module("langchain_classic.retrievers.document_compressors")


def embeddings_filter(question: str, documents: list[str]) -> list[Texts]:
    """Rank whole documents, as `EmbeddingsFilter` does; every k is a prefix."""
    ranking = compressors().EmbeddingsFilter(
        embeddings=langchain_embeddings(), k=len(documents)
    )
    found = ranking.compress_documents(langchain_documents(documents), question)
    ranked = [(each.metadata["number"], each.page_content) for each in found]
    return [ranked[:k] for k in range(1, len(ranked) + 1)]


def pipeline(question: str, documents: list[str]) -> list[Texts]:
    """Run the pipeline of LangChain's documentation, with every k."""
    transformers = import_module("langchain_community.document_transformers")
    splitters = import_module("langchain_text_splitters")
    embeddings = langchain_embeddings()
    steps = [
        splitters.CharacterTextSplitter(
            chunk_size=300, chunk_overlap=0, separator=". "
        ),
        transformers.EmbeddingsRedundantFilter(embeddings=embeddings),
        compressors().EmbeddingsFilter(embeddings=embeddings, k=10_000),
    ]
    running = compressors().DocumentCompressorPipeline(transformers=steps)
    found = running.compress_documents(langchain_documents(documents), question)
    ranked = [(each.metadata["number"], each.page_content) for each in found]
    return [ranked[:k] for k in range(1, len(ranked) + 1)]


def sentence_optimizer(question: str, documents: list[str]) -> list[Texts]:
    """Run `SentenceEmbeddingOptimizer` with every share, without a context window."""
    core = import_module("llama_index.core.postprocessor.optimizer")
    schema = import_module("llama_index.core.schema")
    base = import_module("llama_index.core.embeddings").BaseEmbedding

    class Asking(base):  # type: ignore[misc, valid-type] # unknown here
        def _get_query_embedding(self, query: str) -> list[float]:
            return ask([query])[0]

        def _get_text_embedding(self, text: str) -> list[float]:
            return ask([text])[0]

        def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
            return ask(texts)

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return self._get_query_embedding(query)

    embeddings = Asking(embed_batch_size=2_000)
    results = []
    for share in SHARES:
        optimizer = core.SentenceEmbeddingOptimizer(
            embed_model=embeddings,
            percentile_cutoff=share,
            context_before=0,
            context_after=0,
        )
        kept: Texts = []
        for number, text in enumerate(documents):
            # It may keep every sentence where it means to keep none.
            nodes = [schema.NodeWithScore(node=schema.TextNode(text=text))]
            (node,) = optimizer.postprocess_nodes(
                nodes, query_bundle=schema.QueryBundle(question)
            )
            left = node.node.get_content()
            sentences = optimizer._tokenizer_fn(text)  # noqa: SLF001 - to find them again
            kept += [(number, each) for each in sentences if each in left]
        results.append(kept)
    return results


KINDS = {
    "LC EmbeddingsFilter": embeddings_filter,
    "LC pipeline": pipeline,
    "llama_index": sentence_optimizer,
}


def main() -> None:
    """Answer requests until there are no more."""
    kind = KINDS[sys.argv[1]]
    while line := sys.stdin.readline():
        request = json.loads(line)
        KNOWN.clear()
        found = kind(request["question"], request["documents"])
        print(json.dumps({"kept": found}), file=RESULTS, flush=True)


# Whatever a library prints must not stand between the results.
RESULTS, sys.stdout = sys.stdout, sys.stderr

if __name__ == "__main__":
    main()
