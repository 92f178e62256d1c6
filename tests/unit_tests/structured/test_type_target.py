"""Python types become validators of JSON; anything else is refused."""

import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    Json,
    RootModel,
    computed_field,
    field_serializer,
    field_validator,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.structured.target import (
    MisfitError,
)
from langchain_prodpatterns.structured.targets import make_target
from tests.unit_tests.structured.doubles import (
    TICKET,
    VALID,
    Color,
    Node,
    Ticket,
    errors_of,
)


class Movie(TypedDict):
    title: str
    year: int


@dataclass
class Point:
    x: int
    y: int = 0


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Picky(BaseModel):
    code: str

    @field_validator("code")
    @classmethod
    def _check(cls, code: str) -> str:
        if not code.startswith("ok"):
            raise ValueError(f"{code} is no code")
        return code


class StrictDay(BaseModel):
    model_config = ConfigDict(strict=True)

    day: date
    pair: tuple[int, int]


class Careless(BaseModel):
    title: str
    of: int = 1

    @field_validator("title", mode="before")
    @classmethod
    def _strip(cls, title: Any) -> Any:
        return {"a": title.strip(), "b": ""}[title]

    @field_validator("of")
    @classmethod
    def _share(cls, of: int) -> float:
        return 1 / of


class Wrapped(BaseModel):
    payload: Json[dict[str, int]]


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


@pytest.mark.parametrize(
    ("model", "text", "value"),
    [
        (Ticket, VALID, TICKET),
        (Movie, '{"title": "M", "year": 1931}', {"title": "M", "year": 1931}),
        (Point, '{"x": 1}', Point(1)),
        (Color, '"red"', Color.RED),
        (Literal["a", 1], "1", 1),
        (list[Point], '[{"x": 1}]', [Point(1)]),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (Cat | Dog, '{"kind": "dog"}', Dog(kind="dog")),
        (Pet, '{"kind": "cat"}', Cat(kind="cat")),
        (int | None, "null", None),
        (bool, "true", True),
        (date, '"2024-02-29"', date(2024, 2, 29)),
        (Decimal, '"1.10"', Decimal("1.10")),
        (tuple[int, str], '[1, "a"]', (1, "a")),
        (Node, '{"name": "a", "children": []}', Node(name="a")),
    ],
)
def test_types_are_validated(model: Any, text: str, value: Any) -> None:
    target = make_target(model)

    assert target.validate_json(text) == value
    assert isinstance(target.json_schema, dict)


def test_strict_models_are_validated_as_json() -> None:
    target = make_target(StrictDay)
    data = {"day": "2024-02-29", "pair": [1, 2]}

    assert target.validate(data) == StrictDay(day=date(2024, 2, 29), pair=(1, 2))


@pytest.mark.parametrize(
    "model",
    [
        None,
        "Ticket",
        "",
        Any,
        object,
        3,
        TICKET,
        len,
        lambda value: value,
        object(),
        ["type"],
    ],
)
def test_anything_else_is_refused(model: Any) -> None:
    with pytest.raises(ConfigurationError, match="response_model"):
        make_target(model)


def test_safe_texts_hold_no_value_from_a_validator() -> None:
    (error,) = errors_of(make_target(Picky), '{"code": "my-secret"}')

    assert "my-secret" in error.message
    assert error.safe == "code: refused (value_error)"
    assert "my-secret" not in repr(error)


def test_safe_texts_hold_no_value_under_a_name_of_pydantic() -> None:
    def refuse(value: str) -> str:
        raise PydanticCustomError("string_type", "no {value}", {"value": value})

    target = make_target(Annotated[str, AfterValidator(refuse)])

    (error,) = errors_of(target, '"my-secret"')

    assert "my-secret" in error.message
    assert error.safe == "the answer: refused (string_type)"


def test_safe_texts_say_what_pydantic_says() -> None:
    errors = errors_of(make_target(Ticket), '{"title": 1, "priority": "x", "count": 0}')

    assert [error.safe for error in errors] == [
        "title: Input should be a valid string",
        "priority: Input should be 'low' or 'high'",
        "count: Input should be greater than or equal to 1",
    ]


def test_safe_texts_hold_no_tag_of_a_union() -> None:
    (error,) = errors_of(make_target(Pet), '{"kind": "my-secret"}')

    assert "my-secret" not in error.safe


class Leaf(BaseModel):
    day: date = Field(validation_alias="theDay", serialization_alias="outDay")

    @field_serializer("day")
    def _write(self, day: date) -> str:
        return day.strftime("%d.%m.%y")


class OneWay(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(validation_alias=AliasChoices("theName", "n"))
    hidden: int = Field(exclude=True)
    leaves: list[Leaf]

    @computed_field  # type: ignore[prop-decorator]  # as pydantic documents it
    @property
    def size(self) -> int:
        return len(self.leaves)


def test_an_example_is_rendered_in_the_form_that_is_read() -> None:
    target = make_target(OneWay)
    data = {"theName": "a", "hidden": 1, "leaves": [{"theDay": "2024-02-29"}]}
    value = target.validate(data)

    assert target.validate_json(target.render(value)) == value
    assert json.loads(target.render(value)) == data
    assert json.loads(make_target(list[OneWay]).render([value])) == [data]


def test_a_root_model_is_rendered_in_the_form_that_is_read() -> None:
    class Leaves(RootModel[list[Leaf]]): ...

    target = make_target(Leaves)
    value = target.validate([{"theDay": "2024-02-29"}])

    assert target.render(value) == '[{"theDay":"2024-02-29"}]'


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"title": null}', "AttributeError"),
        ('{"title": "a", "of": 0}', "ZeroDivisionError"),
        ('{"title": "missing"}', "KeyError"),
    ],
)
def test_a_validator_that_fails_is_an_error_of_the_answer(text: str, name: str) -> None:
    with pytest.raises(MisfitError) as caught:
        make_target(Careless).validate_json(text)

    (error,) = caught.value.errors
    assert error.safe == f"the answer: refused ({name})"
    assert type(caught.value.__cause__).__name__ == name


def test_a_field_that_holds_no_json_is_an_error_of_the_field() -> None:
    (error,) = errors_of(make_target(Wrapped), '{"payload": "not json"}')

    assert error.path == "payload"


class Person(BaseModel):
    first_name: str = Field(alias="fn")
    address: "Address | None" = Field(default=None, validation_alias="addr")


class Address(BaseModel):
    town: str = Field(validation_alias=AliasChoices("city", "place"))


@pytest.mark.parametrize(
    "text",
    [
        '{"fn": "Ann", "addr": {"city": "Rome"}}',
        '{"first_name": "Ann", "address": {"place": "Rome"}}',
        '{"fn": "Ann", "address": {"town": "Rome"}}',
    ],
)
def test_a_field_goes_by_its_name_and_by_its_aliases(text: str) -> None:
    person = make_target(Person).validate_json(text)

    assert (person.first_name, person.address.town) == ("Ann", "Rome")
