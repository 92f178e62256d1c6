"""Classes in what identifies a request."""

import sys
import types
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypedDict

import pytest
from pydantic import BaseModel, Field, create_model

from langchain_prodpatterns.cache.schemas import (
    AmbiguousClass,
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


def _made(**fields: Any) -> type[BaseModel]:
    return create_model("Made", **fields)


class Asked(TypedDict):
    text: Annotated[str, ..., "The answer."]


class AskedOtherwise(TypedDict):
    text: Annotated[str, ..., "The answer, as a poem."]


@dataclass
class PlainOtherwise:
    text: int


def test_a_digest_is_of_the_fields() -> None:
    assert schema_digest(_made(text=str)) == schema_digest(_made(text=str))
    assert schema_digest(Plain) is not None
    assert schema_digest(Held) is None


CHANGED: dict[str, tuple[type, type]] = {
    "type": (_made(text=str), _made(text=int)),
    "field": (_made(text=str), _made(text=str, n=int)),
    "default": (_made(text=(str, "a")), _made(text=(str, "b"))),
    "required": (_made(text=str), _made(text=(str, "a"))),
    "order": (_made(why=(str, ""), x=(str, "")), _made(x=(str, ""), why=(str, ""))),
    "literal": (_made(x=Literal["a", "b"]), _made(x=Literal["a", "c"])),
    "docstring": (_made(__doc__="Be brief.", x=str), _made(__doc__="Be long.", x=str)),
    "description": (
        _made(x=(str, Field(description="In French."))),
        _made(x=(str, Field(description="In Greek."))),
    ),
    "bound": (_made(x=(int, Field(le=5))), _made(x=(int, Field(le=10)))),
    "alias": (_made(x=(int, Field(alias="a"))), _made(x=(int, Field(alias="b")))),
    "nested": (_made(x=list[_made(n=int)]), _made(x=list[_made(n=str)])),  # type: ignore[misc]  # a class made a moment ago
    "typed dict": (Asked, AskedOtherwise),
    "dataclass": (Plain, PlainOtherwise),
}


@pytest.mark.parametrize(("kind", "other"), CHANGED.values(), ids=CHANGED)
def test_a_digest_changes_with_what_a_model_is_sent(kind: type, other: type) -> None:
    assert schema_digest(kind) is not None
    assert schema_digest(kind) != schema_digest(other)


def _local(text: Any) -> type:
    class Local(BaseModel):
        x: text

    return Local


def test_a_class_of_no_module_stands_for_its_schema() -> None:
    kind = _local(str)

    assert with_schemas(str(kind)) == (
        f"'<class {__name__}._local.<locals>.Local {schema_digest(kind)}>'"
    )


def test_two_classes_of_a_name_with_one_schema_are_one() -> None:
    kinds = [_same(str), _same(str)]

    assert with_schemas(str(kinds[0])) == with_schemas(str(kinds[1]))


def _same(text: Any) -> type:
    class Same(BaseModel):
        x: text

    return Same


def test_two_classes_of_a_name_cannot_be_told_apart() -> None:
    kinds = [_two(str), _two(int)]

    for kind in kinds:
        with pytest.raises(AmbiguousClass, match=r"2 classes are called .*Two, and"):
            with_schemas(str(kind))


def _two(text: Any) -> type:
    class Two(BaseModel):
        x: text

    return Two


def test_two_classes_without_a_schema_cannot_be_told_apart() -> None:
    kinds = [type("Bare", (), {"x": x}) for x in "ab"]

    with pytest.raises(AmbiguousClass, match=r"2 classes are called .*Bare, and"):
        with_schemas(str(kinds[0]))


def test_a_class_that_only_goes_by_another_s_name_is_not_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = types.ModuleType("prodpatterns_alias")
    vars(module).update(Answer=Answer)
    monkeypatch.setitem(sys.modules, module.__name__, module)

    shown = with_schemas("<class 'prodpatterns_alias.Answer'>")

    assert str(schema_digest(Answer)) not in shown


def test_a_class_of_python_s_own_is_its_name() -> None:
    assert with_schemas("<class 'int'>") == "'<class int>'"


def test_a_text_shows_schemas_in_place_of_classes() -> None:
    text = f"(<class '{NAME}'>, <class '{__name__}.Held'>, <class 'no.Such'>)"

    shown = with_schemas(text)

    assert f"'<class {NAME} {schema_digest(Answer)}>'" in shown
    assert f"'<class {__name__}.Held>'" in shown
    # One that is not found is told from its namesakes.
    assert "no.Such'" not in shown
    assert with_schemas("<class 'no.Such'>", {"no.Such": "s"}) == "'<class no.Such s>'"
