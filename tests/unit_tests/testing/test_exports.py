import subprocess
import sys

import pytest

from langchain_prodpatterns import testing


def test_every_public_name_resolves_to_itself() -> None:
    for name in testing.__all__:
        assert getattr(testing, name).__name__ == name


def test_names_are_listed_before_they_are_imported() -> None:
    assert set(testing.__all__) <= set(dir(testing))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Scripted'"):
        _ = testing.Scripted


def test_names_are_imported_lazily() -> None:
    code = (
        "import sys, langchain_prodpatterns.testing as t;"
        "assert 'langchain_prodpatterns.testing.provider' not in sys.modules;"
        "t.LexicalEmbeddings;"
        "assert 'uvicorn' not in sys.modules and 'starlette' not in sys.modules;"
        "assert 'langchain_openai' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - own code


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_without_the_extra_the_error_names_it(missing: str) -> None:
    code = (
        "import sys\n"
        f"sys.modules[{missing!r}] = None\n"
        "from langchain_prodpatterns.errors import MissingExtraError\n"
        "from langchain_prodpatterns import testing\n"
        "try:\n    testing.ScriptedProvider\n"
        "except MissingExtraError as error:\n    print(error)\n"
    )
    done = subprocess.run(  # noqa: S603 - own code
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert 'pip install "langchain-prodpatterns[testing]"' in done.stdout


@pytest.mark.parametrize("missing", ["pytest", "hypothesis"])
def test_without_the_extra_the_suite_for_stores_names_it(missing: str) -> None:
    code = (
        "import sys\n"
        f"sys.modules[{missing!r}] = None\n"
        "from langchain_prodpatterns.errors import MissingExtraError\n"
        "try:\n    import langchain_prodpatterns.testing.store_conformance\n"
        "except MissingExtraError as error:\n    print(error)\n"
    )
    done = subprocess.run(  # noqa: S603 - own code
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert 'pip install "langchain-prodpatterns[testing]"' in done.stdout
