"""Which stored questions are near a text."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from langchain_prodpatterns.cache.digests import digest
from langchain_prodpatterns.cache.stores import LocalStore
from langchain_prodpatterns.commands.loading import load_embeddings
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.testing import LexicalEmbeddings
from tests.unit_tests.commands.conftest import EMBEDDINGS, PRIVATE, Run

CONFTEST = "tests.unit_tests.commands.conftest"
HERE = "tests.unit_tests.commands.test_explain"
DOGS = "Can I take my dog on the ferry?"


class BrokenEmbeddings(LexicalEmbeddings):
    """Embeddings of nothing, or of a provider that is down."""

    def embed_query(self, text: str) -> list[float]:
        if text == "down":
            raise TimeoutError("a private message")
        return [0.0] * 64


no_embeddings = object()
nothing = None


def make_embeddings() -> LexicalEmbeddings:
    return EMBEDDINGS


def found(run: Run, *arguments: object) -> list[dict[str, Any]]:
    ran = run("explain", "--json", *arguments)
    assert ran.code == 0, ran.err
    return list(ran.record["found"])


def test_without_embeddings_the_same_text_is_found(run: Run, filled: Path) -> None:
    (one,) = found(run, "--store", filled, "--query", DOGS)

    assert sorted(one) == [
        *("age_seconds", "decision", "expires_in_seconds", "guards", "hit_id"),
        *("hits", "key", "namespace", "partition", "reason", "saved_seconds"),
        *("saved_tokens", "saved_usd", "similarity", "text"),
    ]
    assert (one["key"], one["hit_id"]) == ("a", "a.exact-a")
    assert (one["decision"], one["similarity"]) == ("exact", None)
    assert (one["saved_usd"], one["saved_tokens"], one["saved_seconds"]) == (
        *(0.25, 50, 1.5),
    )
    assert one["expires_in_seconds"] is None
    assert found(run, "--store", filled, "--query", "another") == []


def test_an_alias_is_found_by_its_text(run: Run, filled: Path) -> None:
    store = LocalStore(filled)
    store.add_alias("exact-z", digest("May my dog come?"), "a")
    store.close()

    (one,) = found(run, "--store", filled, "--query", "May my dog come?")

    assert (one["key"], one["text"]) == ("a", DOGS)
    assert "the same answer" in one["reason"]


def test_the_hit_id_is_what_invalidate_takes(run: Run, filled: Path) -> None:
    (one,) = found(run, "--store", filled, "--query", DOGS)

    ran = run("invalidate", "--store", filled, "--hit-id", one["hit_id"], "--yes")

    assert ran.out == "1 answers removed\n"


@pytest.mark.parametrize(
    ("where", "keys"),
    [
        ([], ["a", "b", "c"]),
        (["--namespace", "other"], ["b"]),
        (["--partition", "p"], ["a", "c"]),
        (["--partition", "p", "--namespace", "other"], []),
        (["--limit", "1"], ["a"]),
    ],
)
def test_with_embeddings_the_nearest_come_first(
    run: Run, filled: Path, where: list[str], keys: list[str]
) -> None:
    near = found(
        run,
        *("--store", filled, "--query", "Can I take my dog on the big ferry?"),
        *("--embeddings", f"{CONFTEST}:EMBEDDINGS", *where),
    )

    assert [one["key"] for one in near] == keys
    cosines = [one["similarity"] for one in near]
    assert cosines == sorted(cosines, reverse=True)


def test_it_says_what_would_be_needed(run: Run, filled: Path) -> None:
    near = found(
        run,
        *("--store", filled, "--query", DOGS),
        *("--embeddings", f"{CONFTEST}:EMBEDDINGS"),
    )

    assert [one["decision"] for one in near] == ["exact", "judge", "miss"]
    assert near[0]["similarity"] == pytest.approx(1.0)
    assert near[1]["reason"].endswith("is not sure: the judge decides")
    assert "is not worth the judge's price" in near[2]["reason"]


def test_people_get_a_table_and_reasons_and_no_answer(run: Run, filled: Path) -> None:
    ran = run("explain", "--store", filled, "--query", DOGS)

    assert DOGS in ran.out
    assert "a.exact-a" in ran.out
    assert "give --embeddings" in ran.out
    assert PRIVATE not in ran.out
    assert run("explain", "--store", filled, "--query", "x").out.startswith("nothing")


def test_answers_are_shown_when_asked_for(run: Run, filled: Path) -> None:
    asked = ("--store", filled, "--query", DOGS)

    (one,) = found(run, *asked, "--show-values")

    assert json.loads(one["value"]) == {"output": PRIVATE}
    assert PRIVATE in run("explain", *asked, "--show-values").out
    assert "value" not in found(run, *asked)[0]


def test_embeddings_are_imported_or_made() -> None:
    assert load_embeddings(f"{CONFTEST}:EMBEDDINGS") is EMBEDDINGS
    assert load_embeddings(f"{HERE}:make_embeddings") is EMBEDDINGS
    assert isinstance(
        load_embeddings("langchain_prodpatterns:testing.LexicalEmbeddings"),
        LexicalEmbeddings,
    )


def test_a_module_beside_the_user_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_models_of_the_test.py").write_text(
        f"from {CONFTEST} import EMBEDDINGS as model\n", encoding="utf-8"
    )

    assert load_embeddings("my_models_of_the_test:model") is EMBEDDINGS


@pytest.mark.parametrize(
    "name",
    [
        "",
        "module",
        ":attribute",
        "no_such_module:x",
        "json:no_such_attribute",
        "tests.unit_tests.commands.test_explain:no_embeddings",
        "tests.unit_tests.commands.test_explain:nothing",
    ],
)
def test_what_is_none_is_refused(run: Run, filled: Path, name: str) -> None:
    ran = run("explain", "--store", filled, "--query", "q", "--embeddings", name)

    assert ran.code == 2
    assert "--embeddings" in ran.err


def test_other_embeddings_than_the_caches_are_refused(run: Run, filled: Path) -> None:
    ran = run(
        *("explain", "--store", filled, "--query", "q"),
        *("--embeddings", "langchain_prodpatterns.testing:LexicalEmbeddings"),
    )

    assert ran.code == 2
    assert "dimension 512" in ran.err


def test_what_has_no_direction_is_near_nothing(run: Run, filled: Path) -> None:
    asked = ("--store", filled, "--query", " ")

    assert found(run, *asked, "--embeddings", f"{HERE}:BrokenEmbeddings") == []


def test_embeddings_that_fail_are_told_of_by_their_type(run: Run, filled: Path) -> None:
    ran = run(
        *("explain", "--store", filled, "--query", "down"),
        *("--embeddings", f"{HERE}:BrokenEmbeddings"),
    )

    assert ran.code == 1
    assert "the embeddings failed (TimeoutError)" in ran.err
    assert "private" not in ran.err


def test_embeddings_that_need_something_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"TypeError.*without arguments"):
        load_embeddings(f"{HERE}:found")
