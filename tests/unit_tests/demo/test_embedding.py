import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from langchain_prodpatterns.demo import embedding


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stand in for fastembed, and note what is loaded."""
    calls: list[dict[str, Any]] = []

    def load(name: str, **where: Any) -> object:
        calls.append(where)
        return object()

    fastembed: Any = ModuleType("fastembed")
    fastembed.TextEmbedding = load
    loguru: Any = ModuleType("loguru")
    loguru.logger = type("Logger", (), {"disable": staticmethod(lambda name: None)})
    monkeypatch.setitem(sys.modules, "fastembed", fastembed)
    monkeypatch.setitem(sys.modules, "loguru", loguru)
    monkeypatch.setattr(embedding, "find_spec", lambda name: object())
    return calls


def _model_below(folder: Path) -> Path:
    model = folder / "models" / "all-MiniLM-L6-v2"
    model.mkdir(parents=True)
    return model


def test_a_folder_of_models_is_only_looked_for_where_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loaded: list[dict[str, Any]]
) -> None:
    _model_below(tmp_path / "shared")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv("PRODPATTERNS_SHARED", raising=False)

    assert embedding.find_local_embeddings() is not None
    assert loaded == [{"local_files_only": True}]


def test_the_folder_that_is_named_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loaded: list[dict[str, Any]]
) -> None:
    model = _model_below(tmp_path)
    monkeypatch.setenv("PRODPATTERNS_SHARED", str(tmp_path))

    embedding.find_local_embeddings()

    assert loaded == [{"local_files_only": True, "specific_model_path": str(model)}]


def test_a_folder_that_is_given_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loaded: list[dict[str, Any]]
) -> None:
    model = _model_below(tmp_path / "given")
    _model_below(tmp_path / "named")
    monkeypatch.setenv("PRODPATTERNS_SHARED", str(tmp_path / "named"))

    embedding.find_local_embeddings(tmp_path / "given")

    assert loaded == [{"local_files_only": True, "specific_model_path": str(model)}]
