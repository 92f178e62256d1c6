"""What the documentation shows is what the code does."""

import inspect
import re
import tomllib
from itertools import chain
from pathlib import Path
from typing import get_args

import pytest
from langchain_core.runnables import Runnable

import langchain_prodpatterns
from docs.making import directives, names, readme, snippets, tables
from docs.making.diagrams import PATTERNS
from docs.making.links import is_address
from docs.making.snippets import Snippet
from langchain_prodpatterns.cache.decision import Outcome
from langchain_prodpatterns.guard.policy import Action
from langchain_prodpatterns.refine import StopReason
from langchain_prodpatterns.structured import AttemptKind
from tests.unit_tests import examples

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = {path: path.read_text(encoding="utf-8") for path in PAGES}
every_page = pytest.mark.parametrize(
    "page", PAGES, ids=lambda path: str(path.relative_to(DOCS))
)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def text_of(page: str) -> str:
    return TEXTS[DOCS / f"{page}.md"]


def first_cells(text: str) -> set[str]:
    """The names in code at the beginning of the rows of tables."""
    return set(re.findall(r"^\| `(\w+)`", text, re.MULTILINE))


# -- snippets


@every_page
def test_every_snippet_prints_what_is_shown(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with snippets.session() as session:
        for each in snippets.snippets(TEXTS[page]):
            printed = snippets.run(each.code, session, page.name)
            assert printed == (each.shown or ""), each.code


@every_page
def test_what_a_snippet_builds_of_a_readers_own_parts_is_built(page: Path) -> None:
    own = examples.names()
    with snippets.session() as session:
        for each in snippets.snippets(TEXTS[page]):
            if "def build(" in each.code:
                snippets.run(each.code, session, page.name)
                wanted = inspect.signature(session["build"]).parameters
                built = session["build"](**{name: own[name] for name in wanted})
                assert isinstance(built, Runnable)


@every_page
def test_no_snippet_is_overlooked(page: Path) -> None:
    fences = re.findall(r"^ *(?:```|~~~) *(?:py|python)\b", TEXTS[page], re.MULTILINE)

    assert len(fences) == len(list(snippets.snippets(TEXTS[page])))


def test_a_snippet_is_found_with_its_output() -> None:
    found = snippets.snippets("```python\nx = 1\n```\n\n```text\n1\n```\n")

    assert list(found) == [Snippet("x = 1\n", "1\n")]


def test_outputs_are_written_down(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(2)\n```\n\n```text\n1\n```\n")

    assert snippets.written(page) == "```python\nprint(2)\n```\n\n```text\n2\n```\n"


# -- commands and links


def bash_of(page: Path) -> str:
    return "".join(re.findall(r"```bash\n(.*?)```", TEXTS[page], re.DOTALL))


@every_page
def test_what_is_typed_exists(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = tables.help_of("cache")

    for target in re.findall(r"^make (\S+)", bash_of(page), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    for script in re.findall(r"benchmarks/\w+\.py", TEXTS[page]):
        assert (ROOT / script).is_file()
    for command in re.findall(r"prodpatterns cache ([a-z]+)", TEXTS[page]):
        assert re.search(rf"\b{command}\b", commands)


@every_page
def test_options_that_are_named_exist(page: Path) -> None:
    text = TEXTS[page]
    typed = r"prodpatterns ((?:cache|calibrate) [a-z]+|report)([^`\n|]*)"
    for command, rest in re.findall(typed, text):
        helped = tables.help_of(command)
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in helped, f"{command} {option}"


@every_page
def test_links_elsewhere_are_addresses(page: Path) -> None:
    for link in _LINK.findall(TEXTS[page]):
        kind = link.partition(":")[0]
        assert "://" not in link or is_address(link), link
        assert kind != "repo" or (ROOT / link.partition(":")[2]).exists(), link


def test_every_recipe_is_found_from_a_page() -> None:
    recipes = {path.name for path in (ROOT / "cookbook").glob("*.py")}
    linked = re.findall(r"\]\(repo:cookbook/(\w+\.py)\)", "".join(TEXTS.values()))

    assert recipes - set(linked) == set()


def test_the_extras_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = re.search(r"Extras: (.*?)\.\n", text_of("index"), re.DOTALL)

    assert listed is not None
    named = set(re.findall(r"`(\w+)`", listed[1]))
    assert named == set(project["project"]["optional-dependencies"])


# -- pages that tell of the code


def test_the_reference_has_every_public_name() -> None:
    pages = [text for path, text in TEXTS.items() if path.parent.name == "api"]
    wanted = re.findall(r"<!-- api: ([\w.]+)", "".join(pages))
    found = set(chain.from_iterable(names.public(module) for module in names.MODULES))

    assert sorted(wanted) == sorted(names.MODULES)
    assert set(langchain_prodpatterns.__all__) - {"__version__"} <= found


def test_names_that_a_page_leaves_out_are_on_another() -> None:
    for text in TEXTS.values():
        for given in re.findall(r"<!-- api: (.*?) -->", text):
            module, *left_out = given.split(", ")
            elsewhere = set(names.public("cache.stores"))
            elsewhere |= set(names.public("guard.detectors"))
            assert set(left_out) <= set(names.public(module)) & elsewhere


UNTOLD = {"ToolRouter": {"index"}}
"""Arguments that no caller gives."""


@pytest.mark.parametrize(
    "path",
    sorted(
        {
            path
            for text in TEXTS.values()
            for listed in re.findall(r"<!-- knobs: (.*?) -->", text)
            for path in listed.split(", ")
        }
    ),
)
def test_every_argument_is_a_knob_with_a_meaning(path: str) -> None:
    wanted = tables.resolve(path)
    shown = set(re.findall(r"^\| `(\*{0,2}\w+)`", tables.knobs(path), re.MULTILINE))
    arguments = {name for name, _ in tables.parameters(wanted)}

    assert arguments - shown == UNTOLD.get(wanted.__name__, set())


def test_outcomes_in_the_diagram_are_those_of_a_lookup() -> None:
    ends = re.findall(r"\(\[([\w ]+)\]\)", text_of("patterns/cache"))

    assert {*ends} - {"request"} == {*get_args(Outcome)}
    assert first_cells(text_of("architecture")) >= {"served", "miss"}


def test_reasons_to_stop_are_all_told() -> None:
    told = first_cells(text_of("patterns/refine"))

    assert told >= set(get_args(StopReason))


def test_kinds_of_attempts_are_all_told() -> None:
    text = text_of("patterns/structured")

    assert all(f"`{kind}`" in text for kind in {*get_args(AttemptKind)} - {"ok"})


def test_actions_of_a_guard_are_all_told() -> None:
    assert first_cells(text_of("patterns/guard")) >= set(get_args(Action))


def test_every_pattern_has_a_page_with_all_parts() -> None:
    parts = ["In a chain", "How it decides", "Knobs", "When it fails", "Figures"]

    for pattern in PATTERNS:
        text = text_of(f"patterns/{pattern}")
        assert "**Use it**" in text
        assert "**Do not use it**" in text
        headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
        assert [heading for heading in headings if heading in parts] == parts


# -- directives


@every_page
def test_every_directive_can_be_followed(page: Path) -> None:
    filled = directives.fill(TEXTS[page])

    assert "<!--" not in filled
    assert "](repo:" not in filled


def test_every_directive_is_of_use() -> None:
    used = re.findall(r"^<!-- ([a-z]+)", "\n".join(TEXTS.values()), re.MULTILINE)

    assert set(used) == set(directives.DIRECTIVES)


def test_every_figure_of_the_readme_is_on_a_page() -> None:
    asked = [
        benchmark
        for text in TEXTS.values()
        for listed in re.findall(r"<!-- figures: (.*?) -->", text)
        for benchmark in listed.split(", ")
    ]
    shown = readme.figures(*sorted(set(asked)))

    assert all(row[1] in shown for row in readme.rows())


def test_the_glossary_is_in_order() -> None:
    terms = re.findall(r"^\*\*(.*)\*\*$", text_of("glossary"), re.MULTILINE)

    assert terms == sorted(terms)
