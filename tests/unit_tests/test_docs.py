"""What the documentation shows is what the code does."""

import ast
import re
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, get_args

import pytest

import langchain_prodpatterns
from docs.making import directives, names, readme, sequences, snippets, tables
from docs.making.diagrams import PATTERNS, imports, imports_diagram
from docs.making.examples import EXAMPLES
from docs.making.links import check, external, is_address
from docs.making.snippets import Snippet
from langchain_prodpatterns.cache.decision import Outcome
from langchain_prodpatterns.guard.policy import Action
from langchain_prodpatterns.refine import StopReason
from langchain_prodpatterns.structured import AttemptKind

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = {path: path.read_text(encoding="utf-8") for path in PAGES}
PACKAGE = Path(langchain_prodpatterns.__path__[0])
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


def docstrings() -> Iterator[tuple[str, str]]:
    """Yield each snippet in a docstring, with the name of what it is about."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(
                node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
            ):
                continue
            name = getattr(node, "name", path.stem)
            for each in snippets.snippets(f"{ast.get_docstring(node)}\n"):
                yield f"{path.relative_to(PACKAGE)}:{name}", each.code


FRAGMENTS = {
    "cache/stores/postgres/postgres_store.py:PostgresStore": "needs a database",
    "guard/detectors/presidio.py:PresidioDetector": "needs the extra `presidio`",
    "guard/embedded_head.py:EmbeddedHead": "needs labeled rows",
    "refine/records.py:records": "`...` stands for a chain and a task",
    "testing/__init__.py:__init__": "opens a socket; its own tests run it",
    "telemetry/__init__.py:__init__": "sets instruments of the global provider",
}
"""Snippets of docstrings that are compiled and not run, and why."""
DOCSTRINGS = list(docstrings())


@pytest.fixture
def usual() -> Iterator[dict[str, Any]]:
    """What the docstrings' readers have of their own."""
    with snippets.session() as session:
        snippets.run(PREAMBLE, session, "preamble")
        yield session


PREAMBLE = '''
from operator import itemgetter
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.globals import set_llm_cache
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableBranch, RunnableLambda, RunnablePassthrough
from langchain_core.tools import tool
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_prodpatterns.compression import *
from langchain_prodpatterns.guard import *
from langchain_prodpatterns.guard.detectors import *
from langchain_prodpatterns.middleware import *
from langchain_prodpatterns.refine import *
from langchain_prodpatterns.verdicts import JudgeRequest

@tool
def calculator(query: str) -> str:
    """Arithmetic."""
    return query

@tool
def search(query: str) -> str:
    """Search the handbook."""
    return query

@tool
def book(query: str) -> str:
    """Book a seat."""
    return query

class MyRequest(JudgeRequest):
    first: str
    second: str

def under_280_characters(text):
    return len(text) <= 280

chain = prompt | llm
cheap = model = small = small_llm = small_model = local_llm = llm
tools, examples, history, value = [search, book], {}, [], "What does it cost?"
prompt = RunnableLambda(str)
store = vector_store = InMemoryVectorStore(embeddings)
condense_prompt = ChatPromptTemplate.from_template("{history} {input}")
compressor = ContextCompressor(embeddings)
calculate = answer_from_handbook = RunnableLambda(str)
format_documents = RunnableLambda(str)
'''


@pytest.mark.parametrize(("about", "code"), DOCSTRINGS, ids=[a for a, _ in DOCSTRINGS])
def test_every_snippet_of_a_docstring_runs(
    about: str,
    code: str,
    usual: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    if about in FRAGMENTS:
        compile(code, about, "exec")
    else:
        # An ellipsis in a list stands for what a reader adds.
        snippets.run(code.replace(", ...]", "]"), usual, about)


def test_the_list_of_fragments_is_not_too_long() -> None:
    assert set(FRAGMENTS) <= {about for about, _ in DOCSTRINGS}


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
    typed = r"prodpatterns (cache [a-z]+|report)([^`\n|]*)"
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


# -- what pages are made with


@every_page
def test_every_directive_can_be_followed(page: Path) -> None:
    filled = directives.fill(TEXTS[page])

    assert "<!--" not in filled
    assert "](repo:" not in filled


def test_every_directive_is_of_use() -> None:
    used = re.findall(r"^<!-- ([a-z]+)", "\n".join(TEXTS.values()), re.MULTILINE)

    assert set(used) == set(directives.DIRECTIVES)


def test_an_unknown_directive_is_an_error() -> None:
    with pytest.raises(KeyError, match="nobody"):
        directives.fill("<!-- nobody: x -->")


def test_a_link_to_a_file_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError, match=r"no/such\.md"):
        directives.fill("[x](repo:no/such.md)")


def test_a_figure_that_the_readme_does_not_have_is_an_error() -> None:
    with pytest.raises(KeyError, match=r"benchmarks/nothing\.py"):
        readme.figures("benchmarks/nothing.py")


def test_every_figure_has_a_command_of_its_own() -> None:
    assert len(readme.rows()) > 5
    assert all(len(row) == 4 for row in readme.rows())
    assert all(row[-1].startswith("`") for row in readme.rows())


def test_every_figure_of_the_readme_is_on_a_page() -> None:
    asked = [
        benchmark
        for text in TEXTS.values()
        for listed in re.findall(r"<!-- figures: (.*?) -->", text)
        for benchmark in listed.split(", ")
    ]
    shown = readme.figures(*sorted(set(asked)))

    assert all(row[1] in shown for row in readme.rows())


def test_a_section_that_is_not_written_yet_has_a_word_instead() -> None:
    assert readme.section("No such heading", "later", "or never") == "later, or never"
    with pytest.raises(KeyError, match="No such heading"):
        readme.section("No such heading")


def test_a_section_ends_where_the_next_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "# A\n\n## Sizing a store\n\n```bash\n# no heading\n```\n\n### In it\n\n[x](y.md)\n"
    monkeypatch.setattr(readme, "README", tmp_path / "README.md")
    readme.README.write_text(f"{text}\n## Next\n\nNo more.\n")

    found = readme.section("Sizing")

    assert found.startswith("```bash\n# no heading\n```")
    assert found.endswith("### In it\n\n[x](repo:y.md)")
    assert readme.section("In it") == "[x](repo:y.md)"


def test_attributes_are_those_of_the_bases_too() -> None:
    read = tables.attributes(tables.resolve("structured.StructuredResult"))

    assert read["attempts"]
    assert not any(name.startswith("_") for name in read)


def test_arguments_are_read_over_several_lines() -> None:
    read = tables.described(
        "A.\n\nArgs:\n    one: 1\n        and\n    *two: 2\n\nRaises:\n"
    )

    assert read == {"one": "1 and", "*two": "2"}


def test_no_pattern_imports_another() -> None:
    pairs = imports()

    assert ("cache", "kernel") in pairs
    assert not {(one, other) for one, other in pairs if {one, other} <= {*PATTERNS}}
    assert "patterns --> kernel" in imports_diagram()


@pytest.mark.parametrize(
    "name", [name for name, made in EXAMPLES.items() if made().inputs]
)
def test_calls_are_drawn_from_a_run(name: str) -> None:
    drawn = sequences.of_example(EXAMPLES[name]())

    assert drawn.startswith("sequenceDiagram\n")
    assert drawn.count("-->>") == len(EXAMPLES[name]().inputs)
    assert "error" not in drawn
    assert "failed" not in drawn


def test_a_lookup_is_drawn_from_what_it_asked() -> None:
    drawn = sequences.of_lookup()
    answers = re.findall(r"-->>your code: (.*)", drawn)
    asked = drawn.rpartition("judged hit")[2]

    assert answers == ["miss", "judged hit", "exact"]
    assert "judge: does the answer fit?" in drawn
    assert "embed_query" not in asked


# -- the check of the built pages


def built(folder: Path, **pages: str) -> Path:
    for name, text in pages.items():
        (folder / f"{name}.html").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('<a href="b.html">', None),
        ('<a href="b.html#here">', None),
        ('<a href="#top"><p id="top">', None),
        ('<a href="https://example.com/x">', None),
        ('<a href="mailto:ann@example.com">', None),
        ('<a href="c.html">', "no such page"),
        ('<a href="b.html#there">', "no such place"),
        ('<a href="http://example.com">', "no address"),
        ('<a href="https://nowhere/">', "no address"),
        ('<script src="https://example.com/x.js">', "without a network"),
        ('<link rel="stylesheet" href="https://example.com/x.css">', "network"),
        ('<link rel="canonical" href="https://example.com/">', None),
        ('<img src="x.png">', "is not there"),
    ],
)
def test_links_of_pages_are_checked(
    tmp_path: Path, text: str, wrong: str | None
) -> None:
    site = built(tmp_path, a=text, b='<p id="here">')

    problems = check(site)

    assert len(problems) == (wrong is not None)
    assert wrong is None or wrong in problems[0]


def test_styles_fetch_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.css").write_text("a { background: url(https://example.com/x.png) }")

    assert check(tmp_path) == ["x.css: fetches https://example.com/x.png"]


def test_links_elsewhere_are_listed(tmp_path: Path) -> None:
    site = built(tmp_path, a='<a href="https://example.com/x"><a href="a.html">')

    assert external(site) == ["https://example.com/x"]
