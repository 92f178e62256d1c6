"""A partial value has the shape of the final one, and claims nothing it has not read."""

import copy
import dataclasses
import operator
import pickle
import sys
from datetime import date
from enum import Enum
from functools import reduce
from typing import Annotated, Any, Generic, Literal, TypeVar

import pytest
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    RootModel,
    field_validator,
    model_validator,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass
from typing_extensions import TypeAliasType, TypedDict

from langchain_prodpatterns.structured.partial_shapes import (
    MISSING,
    Partial,
    PartialList,
    PartialShapes,
)
from tests.unit_tests.structured.doubles import Color, Node, Ticket

T = TypeVar("T")
U = TypeVar("U")
Named = TypeAliasType("Named", Annotated[str, Field(min_length=9)])


class Movie(TypedDict, total=False):
    title: str
    year: int
    tags: list[Color]


@dataclasses.dataclass(frozen=True)
class Point:
    x: float
    y: float = 3.0


@dataclasses.dataclass(slots=True)
class Slotted:
    x: float
    label: str


class Circle(BaseModel):
    kind: Literal["circle"]
    radius: float


class Square(BaseModel):
    kind: Literal["square"]
    side: float


class Drawing(BaseModel):
    shape: Circle | Square
    other: Circle | None = None
    note: str | int = ""


class Box(BaseModel, Generic[T]):
    content: T


class Pair(TypedDict, Generic[T, U]):
    first: T
    others: list[U | None]


@dataclasses.dataclass
class Crate(Generic[T]):
    content: T
    label: str = ""


@pydantic_dataclass
class Labeled:
    label: str = Field(alias="Label")
    count: int = 0


class Tags(RootModel[list[str]]):
    pass


class Level(Enum):
    LOW = "low"
    LOWER = "lower"


def partial(annotation: Any, data: Any, *, grows: bool = False) -> Any:
    return PartialShapes().build(annotation, data, grows=grows)


def test_what_is_missing_is_none() -> None:
    value = partial(Ticket, {"title": "bro"}, grows=True)

    for kind in (Ticket, Partial):
        assert isinstance(value, kind)
    assert (value.title, value.priority, value.count) == ("bro", None, None)
    assert value.model_dump() == {"title": "bro"}
    assert repr(value) == "PartialTicket(title='bro')"
    with pytest.raises(AttributeError):
        _ = value.nothing


def test_a_partial_value_is_never_a_final_one() -> None:
    data = {"title": "a", "priority": "low", "count": 1}

    assert partial(Ticket, data) != Ticket(**data)
    assert partial(Ticket, data) == partial(Ticket, data)


def test_no_code_of_the_model_runs() -> None:
    class Nervous(BaseModel):
        _seen: int = PrivateAttr(default_factory=lambda: pytest.fail("a default"))
        name: str
        made: str = Field(default_factory=lambda: pytest.fail("a default"))

        @field_validator("name")
        @classmethod
        def _name(cls, name: str) -> str:
            raise ZeroDivisionError

        @model_validator(mode="after")
        def _all(self) -> "Nervous":
            raise ZeroDivisionError

        def model_post_init(self, context: Any) -> None:
            raise ZeroDivisionError

        def __init_subclass__(cls, **kwargs: Any) -> None:
            raise ZeroDivisionError

        @classmethod
        def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
            raise ZeroDivisionError

    assert partial(Nervous, {"name": "x"}).name == "x"


@pytest.mark.parametrize(
    ("annotation", "data", "expected"),
    [
        (date, "2024-01-02", date(2024, 1, 2)),
        (Color, "red", Color.RED),
        (int, "12", 12),
        (Literal["a"], "a", "a"),
        (Named, "short", "short"),
        (str | None, "x", "x"),
        (None | int, None, None),
    ],
)
def test_values_have_their_type(annotation: Any, data: Any, expected: Any) -> None:
    assert partial(Box[annotation], {"content": data}).content == expected


@pytest.mark.parametrize(
    ("annotation", "data"),
    [
        (date, "2024-01"),
        (Color, "gre"),
        (str, 3),
        (list[int], 3),
        (dict[str, int], 3),
        (Ticket, "x"),
        (Point, []),
        (Movie, []),
        (Tags, 3),
    ],
)
def test_what_has_another_type_is_missing(annotation: Any, data: Any) -> None:
    assert partial(Box[annotation], {"content": data}).content is None


def test_a_word_that_grows_is_no_member_yet() -> None:
    assert partial(Box[Level], {"content": "low"}, grows=True).content is None
    assert partial(Box[Level], {"content": "low"}).content is Level.LOW
    assert partial(list[Level], ["low", "low"], grows=True) == [Level.LOW]
    early = partial(dict[str, Level], {"a": "low", "b": "low"}, grows=True)
    assert early == {"a": Level.LOW}


def test_lists_tuples_and_sets_hold_what_has_begun() -> None:
    items = [{"name": "a"}, {}]

    for annotation in (list[Node], tuple[Node, ...], tuple[Node, Node]):
        value = partial(annotation, items)
        assert isinstance(value, PartialList)
        assert [item.name for item in value] == ["a", None]
    assert partial(set[str], ["a"]) == ["a"]
    assert partial(tuple[int, str], [1, "a", "more"]) == [1, "a"]
    assert partial(list, [1]) == [1]


def test_typed_dicts() -> None:
    data = {"title": "t", "tags": ["red"], "extra": 1}

    assert partial(Movie, data) == {"title": "t", "tags": [Color.RED]}


def test_dataclasses() -> None:
    point = partial(Point, {"x": 1})

    assert isinstance(point, Point)
    assert dataclasses.asdict(point) == {"x": 1.0, "y": None}
    assert partial(Slotted, {"label": "a"}).x is None


def test_recursive_types() -> None:
    value = partial(Node, {"name": "a", "children": [{"name": "b", "children": [{}]}]})

    assert value.children[0].children[0].name is None


def test_aliases() -> None:
    class Aliased(BaseModel):
        model_config = ConfigDict(populate_by_name=True)

        one: str = Field(alias="eins")
        two: str = Field(validation_alias=AliasChoices("zwei", "deux"))

    value = partial(Aliased, {"eins": "a", "deux": "b"})

    assert (value.one, value.two) == ("a", "b")
    assert partial(Aliased, {"one": "a"}).one == "a"


def test_unions_wait_until_it_is_clear_which() -> None:
    assert partial(Drawing, {"shape": {}}).shape is None
    assert partial(Drawing, {"shape": {"kind": "cir"}}, grows=True).shape is None
    circle = partial(Drawing, {"shape": {"kind": "circle"}}).shape
    assert isinstance(circle, Circle)
    assert circle.radius is None
    assert isinstance(partial(Drawing, {"shape": {"side": 1}}).shape, Square)
    assert isinstance(partial(Drawing, {"other": {}}).other, Circle)
    assert partial(Drawing, {"note": "a"}, grows=True).note == "a"
    assert partial(Drawing, {"note": 3}).note == 3
    assert partial(Circle | Square, {}) is MISSING
    assert partial(list[int] | Circle, [1]) == [1]
    assert partial(dict[str, int] | None, {"a": 1}) == {"a": 1}
    assert partial(Literal["a"] | Movie, {"title": "x"}) == {"title": "x"}
    assert partial(Point | list[int], {"x": 1}).x == 1


def test_root_models_and_generics() -> None:
    assert partial(Tags, ["a"]).root == ["a"]
    assert partial(Box[Box[str]], {"content": {"content": "a"}}).content.content == "a"


def test_local_types_that_only_pydantic_finds() -> None:
    @dataclasses.dataclass
    class Local:
        inner: "Ticket | Missing"  # type: ignore[name-defined]  # noqa: F821 - it is not there

    assert partial(Local, {"inner": {"title": 1}}).inner == {"title": 1}


def test_a_class_that_cannot_be_derived_from_waits_for_its_end() -> None:
    class Meta(type):
        def __new__(cls, name: str, bases: Any, space: Any) -> "Meta":
            if bases:
                raise TypeError(name)
            return super().__new__(cls, name, bases, space)

    @dataclasses.dataclass
    class Final(metaclass=Meta):
        x: int

    class ModelMeta(type(BaseModel)):  # type: ignore[misc]  # pydantic's own metaclass
        def __new__(cls, name: str, bases: Any, space: Any, **kwargs: Any) -> Any:
            if name.startswith("Partial"):
                raise TypeError(name)
            return super().__new__(cls, name, bases, space, **kwargs)

    class FinalModel(BaseModel, metaclass=ModelMeta):
        x: int

    for kind in (Final, FinalModel):
        assert partial(kind, {}) is MISSING
        assert partial(kind, {"x": 1}) == kind(x=1)


def test_a_type_that_pydantic_does_not_know_takes_the_data() -> None:
    class Unknown:
        pass

    assert partial(Unknown, 3) == 3


def test_later_values_take_the_place_of_earlier_ones() -> None:
    lists = [partial(list[int], [1]), partial(list[int], [1, 2]), [1, 2, 3]]

    assert reduce(operator.add, lists) == [1, 2, 3]
    assert partial(Ticket, {}) + 1 == 1


def test_copies() -> None:
    value = partial(Ticket, {"title": "a"})

    assert copy.deepcopy(value) == value
    assert value.model_copy() == value


def test_json_data_stay_as_they_are() -> None:
    assert partial(Any, {"a": [1]}) == {"a": [1]}
    assert partial(Any, 3) == 3


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no such statement before")
def test_the_type_statement() -> None:
    space: dict[str, Any] = {}
    exec("type Words = list[str]", space)  # noqa: S102 - a statement of later Pythons
    assert partial(space["Words"], ["a"]) == ["a"]


def test_a_list_pickles() -> None:
    value = partial(list[str], ["a"])

    assert pickle.loads(pickle.dumps(value)) == ["a"]  # noqa: S301 - our own bytes


def test_a_generic_type_that_is_no_model_has_the_types_it_was_given() -> None:
    data = {"first": 1, "others": ["2020-01-02", None, "2020-01"]}
    shown = {"first": 1, "others": [date(2020, 1, 2), None]}

    assert partial(Pair[int, date], data, grows=True) == shown
    crate = partial(Crate[date], {"content": "2020-01-02", "label": "a"}, grows=True)
    assert (crate.content, crate.label) == (date(2020, 1, 2), "a")
    assert partial(Crate[date], {"content": "2020"}, grows=True).content is None
    inside = partial(list[Crate[Pair[int, str]]], [{"content": {"first": 1}}])
    assert inside[0].content == {"first": 1}


def test_a_dataclass_is_read_by_its_aliases() -> None:
    data = {"Label": "a", "count": 1}

    for annotation in (Labeled, Labeled | Circle):
        value = partial(annotation, data)
        assert (value.label, value.count) == ("a", 1)
    assert partial(Labeled, {"label": "b"}).label == "b"
