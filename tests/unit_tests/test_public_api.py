"""The public names, and what importing them costs."""

import json
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

import langchain_prodpatterns

EXPECTED_ALL = [
    "Budget",
    "CachedRunnable",
    "CompressingRetriever",
    "ContextCompressor",
    "Criteria",
    "GuardBlocked",
    "GuardRunnable",
    "Judge",
    "Ledger",
    "ProdPatternsError",
    "RefineChain",
    "Route",
    "RouteDecision",
    "Rung",
    "SchemaParser",
    "SemanticJudgeCache",
    "StructuredOutputError",
    "StructuredRetryParser",
    "ToolRouter",
    "YesNoVerdict",
    "__version__",
    "track",
]

HEAVY = {
    "faiss",
    "jsonschema",
    "langchain",
    "langchain_community",
    "langchain_openai",
    "numpy",
    "openai",
    "phonenumbers",
    "rich",
    "tiktoken",
}


def modules_after(code: str) -> set[str]:
    """The top-level modules that are loaded in a fresh process that ran some code."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(  # noqa: S603 - our own interpreter, our own code
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


@cache
def core_modules() -> set[str]:
    return modules_after(
        "import langchain_core.runnables, langchain_core.language_models\n"
        "import langchain_core.tracers.base"
    )


def test_all_is_the_list_we_promise() -> None:
    assert langchain_prodpatterns.__all__ == EXPECTED_ALL
    assert dir(langchain_prodpatterns) == sorted(EXPECTED_ALL)
    assert len(EXPECTED_ALL) <= 24


@pytest.mark.parametrize("name", EXPECTED_ALL)
def test_every_name_is_there(name: str) -> None:
    value = getattr(langchain_prodpatterns, name)
    home = langchain_prodpatterns._HOMES.get(name)
    if home is not None:
        assert getattr(import_module(f"langchain_prodpatterns.{home}"), name) is value
    # Found without asking the module a second time.
    assert name in vars(langchain_prodpatterns)


def test_the_homes_are_those_of_the_names() -> None:
    assert set(langchain_prodpatterns._HOMES) == set(EXPECTED_ALL) - {"__version__"}


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"'langchain_prodpatterns'.*'Nothing'"):
        langchain_prodpatterns.Nothing  # noqa: B018 - asking is the test


def test_star_import_gives_the_public_names() -> None:
    names: dict[str, object] = {}
    exec("from langchain_prodpatterns import *", names)  # noqa: S102 - what is tested
    assert set(EXPECTED_ALL) <= set(names)


def test_importing_the_package_imports_nothing_heavy() -> None:
    loaded = modules_after("import langchain_prodpatterns")
    assert "langchain_prodpatterns" in loaded
    assert not loaded & (HEAVY | {"langchain_core", "pydantic"})


@pytest.mark.parametrize("name", ["Budget", "Judge", "ProdPatternsError", "track"])
def test_the_kernel_imports_nothing_heavy(name: str) -> None:
    """What `langchain_core` loads by itself is its own affair."""
    loaded = modules_after(f"from langchain_prodpatterns import {name}")
    assert not (loaded - core_modules()) & HEAVY


@pytest.mark.parametrize(
    "module", ["cache", "compression", "guard", "refine", "routing", "structured"]
)
def test_no_pattern_imports_a_client_or_the_langchain_package(module: str) -> None:
    loaded = modules_after(f"import langchain_prodpatterns.{module}")
    banned = {"langchain", "langchain_community", "langchain_openai", "openai", "faiss"}
    assert not loaded & banned


def test_the_package_is_typed() -> None:
    folder = langchain_prodpatterns.__path__[0]
    assert (Path(folder) / "py.typed").is_file()
