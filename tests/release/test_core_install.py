"""The wheel in an empty environment, with its core dependencies alone."""

import json

import pytest

from tests.release.environments import Environment, run
from tests.release.source import PACKAGE, public_modules
from tests.unit_tests.test_public_api import HEAVY

IMPORT_ALL = f"""
import json
from importlib import import_module

told = {{}}
for module in {public_modules()!r}:
    try:
        loaded = import_module(module)
        names = loaded.__all__
    except ImportError as error:
        told[module] = [type(error).__name__, getattr(error, "extra", "")]
        continue
    for name in names:
        try:
            getattr(loaded, name)
        except Exception as error:
            told[f"{{module}}.{{name}}"] = [
                type(error).__name__, getattr(error, "extra", "")
            ]
print(json.dumps(told))
"""
NEEDS_AN_EXTRA = {
    f"{PACKAGE}.cache.stores.PostgresStore": "postgres",
    f"{PACKAGE}.cache.stores.postgres": "postgres",
    f"{PACKAGE}.testing.ScriptedProvider": "testing",
    f"{PACKAGE}.testing.store_conformance": "testing",
}
USES = {
    "otel": (
        "from langchain_prodpatterns.telemetry import CacheTelemetry\n"
        "from langchain_prodpatterns import SemanticJudgeCache\n"
        "from langchain_prodpatterns.testing import LexicalEmbeddings\n"
        "CacheTelemetry(SemanticJudgeCache(LexicalEmbeddings(), lambda _: True))"
    ),
    "pysbd": (
        "from langchain_prodpatterns.compression import PysbdSentences\n"
        "PysbdSentences('en')"
    ),
    "blingfire": (
        "from langchain_prodpatterns.compression import BlingfireSentences\n"
        "BlingfireSentences()"
    ),
    "presidio": (
        "from langchain_prodpatterns.guard.detectors import PresidioDetector\n"
        "PresidioDetector()"
    ),
    "plots": (
        "from langchain_prodpatterns.cache import LabeledPair, SemanticJudgeCache\n"
        "from langchain_prodpatterns.testing import LexicalEmbeddings\n"
        "cache = SemanticJudgeCache(LexicalEmbeddings(), lambda _: True)\n"
        "cache.calibrate([LabeledPair('a cat', 'the cat', True)] * 20).plot('curve.png')"
    ),
}


def test_every_public_name_is_imported_or_says_what_it_needs(core: Environment) -> None:
    done = core.script(IMPORT_ALL)

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    expected = {
        name: ["MissingExtraError", extra] for name, extra in NEEDS_AN_EXTRA.items()
    }
    assert told == expected


@pytest.mark.parametrize("extra", USES)
def test_what_is_optional_names_its_extra_when_it_is_used(
    core: Environment, extra: str
) -> None:
    done = core.script(
        "from langchain_prodpatterns.errors import MissingExtraError\n"
        f"try:\n    exec({USES[extra]!r})\n"
        "except MissingExtraError as error:\n    print(error)"
    )

    assert done.stderr == ""
    assert done.stdout.endswith(f'pip install "langchain-prodpatterns[{extra}]"\n')


def test_importing_it_loads_nothing_heavy(core: Environment) -> None:
    done = core.script(
        "import json, sys, langchain_prodpatterns as package\n"
        "print(json.dumps([package.__file__, *sys.modules]))"
    )

    file, *loaded = json.loads(done.stdout)
    assert file.startswith(str(core.folder))
    assert not {name.partition(".")[0] for name in loaded} & (HEAVY | {"pydantic"})


def test_pip_finds_no_conflict(core: Environment) -> None:
    done = run([core.python, "-I", "-m", "pip", "check"], core.folder)

    assert done.stdout == "No broken requirements found.\n"


@pytest.mark.parametrize("command", [[], ["demo"], ["cache"], ["cache", "stats"]])
def test_the_command_tells_how_it_is_used(
    core: Environment, command: list[str]
) -> None:
    done = core.command(*command, "--help")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: prodpatterns")


def test_the_demo_says_what_it_needs(core: Environment) -> None:
    done = core.command("demo", "--question", "How do I get a refund?")

    assert done.returncode != 0
    assert 'pip install "langchain-prodpatterns[testing]"' in done.stderr
    assert done.stderr.count("\n") == 1


def test_with_the_extra_the_demo_answers(with_extras: Environment) -> None:
    done = with_extras.command("demo", "--question", "How do I get a refund?")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("No OPENAI_API_KEY: offline provider.")
    assert "ledger" in done.stdout.lower()
