"""A real embedding model in this process, where one is already on disk."""

import os
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.embeddings import Embeddings
from langchain_core.runnables.config import run_in_executor

if TYPE_CHECKING:
    from fastembed import TextEmbedding

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
# A batch is padded to its longest text; on a CPU small batches waste the least.
BATCH_SIZE = 4


class FastEmbeddings(Embeddings):
    """fastembed behind LangChain's interface."""

    def __init__(self, model: "TextEmbedding", name: str = MODEL) -> None:
        self._model = model
        self.model = name

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts, unit length."""
        return [
            vector.tolist()
            for vector in self._model.embed(texts, batch_size=BATCH_SIZE)
        ]

    def embed_query(self, text: str) -> list[float]:
        """Embed one text, unit length."""
        return self.embed_documents([text])[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts in a thread: the model computes, it does not wait."""
        return await run_in_executor(None, self.embed_documents, texts)

    async def aembed_query(self, text: str) -> list[float]:
        """Embed one text in a thread."""
        return await run_in_executor(None, self.embed_query, text)


def find_local_embeddings(shared: Path | None = None) -> FastEmbeddings | None:
    """Return fastembed's MiniLM if it is installed and on disk; download nothing.

    Args:
        shared: The folder whose `models/all-MiniLM-L6-v2` is looked at before
            fastembed's own cache; by default what `PRODPATTERNS_SHARED` names, if set.
    """
    if find_spec("fastembed") is None:
        return None
    from fastembed import TextEmbedding
    from loguru import logger  # fastembed's own, which would report what is not there

    logger.disable("fastembed")
    load = partial(TextEmbedding, MODEL)
    where: dict[str, Any] = {"local_files_only": True}
    named = os.environ.get("PRODPATTERNS_SHARED")
    shared = shared or (Path(named) if named else None)
    if shared is not None:
        folder = shared / "models" / "all-MiniLM-L6-v2"
        if folder.is_dir():
            where["specific_model_path"] = str(folder)
    try:
        return FastEmbeddings(load(**where))
    except Exception:  # noqa: BLE001 - fastembed raises whatever its hub client raises
        return None
