"""Classes in what identifies a request."""

import sys
import types
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel, create_model

from langchain_prodpatterns.cache.schemas import (
    resolve_class,
    schema_digest,
    with_schemas,
)


class Answer(BaseModel):
    text: str

    class Inner(BaseModel):
        x: int


@dataclass
class Plain:
    text: str


class Held:
    """What has no schema."""


NAME = f"{__name__}.Answer"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (NAME, Answer),
        (f"{NAME}.Inner", Answer.Inner),
        ("int", int),
        (f"{__name__}.NAME", None),
        (f"{__name__}.Missing", None),
        ("prodpatterns_missing.Answer", None),
        ("", None),
    ],
)
def test_a_class_is_found_among_imported_modules(path: str, found: Any) -> None:
    assert resolve_class(path) is found


def test_no_code_of_a_module_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("prodpatterns_lazy")
    asked: list[str] = []
    module.__getattr__ = asked.append  # type: ignore[method-assign]  # what a module may have
    monkeypatch.setitem(sys.modules, module.__name__, module)

    assert resolve_class("prodpatterns_lazy.Answer") is None
    assert asked == []


def test_a_digest_is_of_the_fields() -> None:
    same = create_model("Answer", text=str)

    assert schema_digest(Answer) == schema_digest(same)
    assert schema_digest(Answer) != schema_digest(create_model("Answer", text=int))
    assert schema_digest(Plain) is not None
    assert schema_digest(Held) is None


def test_a_text_shows_schemas_in_place_of_classes() -> None:
    text = f"(<class '{NAME}'>, <class '{__name__}.Held'>, <class 'no.Such'>)"

    shown = with_schemas(text)

    assert f"'<class {NAME} {schema_digest(Answer)}>'" in shown
    assert f"'<class {__name__}.Held>'" in shown
    # One that is not found is told from its namesakes.
    assert "no.Such'" not in shown
    assert with_schemas("<class 'no.Such'>", {"no.Such": "s"}) == "'<class no.Such s>'"
