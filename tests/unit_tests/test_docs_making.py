"""What the pages of the documentation are made with."""

import re
from pathlib import Path

import pytest

from docs.making import directives, readme, sequences, tables
from docs.making.diagrams import PATTERNS, imports, imports_diagram
from docs.making.examples import EXAMPLES
from docs.making.links import check, external


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


def test_a_section_that_the_readme_does_not_have_is_an_error() -> None:
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


def test_methods_are_told_with_their_async_twins() -> None:
    told = tables.methods("routing.ToolRouter", "load")

    assert "| `fit`, `afit` | Learn from labeled queries" in told
    assert "`invoke`" not in told
    assert "`load`" not in told


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
