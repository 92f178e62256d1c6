"""Response models of every kind become one validator; anything else is refused."""

import copy
import json
import pickle
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
from langchain_prodpatterns.structured.attempts import FieldError
from langchain_prodpatterns.structured.target import (
    MisfitError,
    NotJsonError,
    Target,
)
from langchain_prodpatterns.structured.targets import make_target
from tests.unit_tests.structured.doubles import (
    TICKET,
    TICKET_SCHEMA,
    VALID,
    Color,
    Node,
    Strict,
    Ticket,
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


def errors_of(target: Target, text: str) -> tuple[FieldError, ...]:
    with pytest.raises(MisfitError) as caught:
        target.validate_json(text)
    return caught.value.errors


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


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objekt"},
        {"properties": []},
        {"$ref": "https://example.com/schema.json"},
        {"properties": {"a": {"$ref": "#/$defs/Missing"}}},
        {"items": {"$ref": "other.json#/a"}},
        {"items": {"$ref": "#nowhere"}},
        {"anyOf": [{"type": "string"}, {"$ref": "#/anyOf/2"}]},
        {"properties": {1: {"type": "string"}}},
        {
            "properties": {"a": {"$ref": "#/$defs/item"}},
            "$defs": {
                "money": {"type": "number"},
                "item": {
                    "$id": "https://example.com/item",
                    "properties": {"price": {"$ref": "#/$defs/money"}},
                },
            },
        },
        {"$dynamicRef": "http://127.0.0.1:9/x"},
        {"$ref": "#/x-parts/a", "x-parts": {"a": {"$ref": "#/nowhere"}}},
        {"$ref": "#/title", "title": "a text"},
        {"pattern": "\\p{L}"},
        {"patternProperties": {"[": {}}},
    ],
)
def test_a_schema_that_cannot_work_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="response_model"):
        make_target(schema)


@pytest.mark.parametrize(
    ("data", "path", "message"),
    [
        ({"priority": "low"}, "title", "is required and missing"),
        ({"title": 3, "priority": "low"}, "title", 'must be of type "string"'),
        ({"title": "a", "priority": "x"}, "priority", 'must be one of ["low","high"]'),
        ({"title": "a", "priority": "low", "count": 0}, "count", "minimum"),
        ({"title": "a", "priority": "low", "x": 1}, "", "not allowed"),
    ],
)
def test_schema_errors_are_in_our_words(
    data: dict[str, Any], path: str, message: str
) -> None:
    with pytest.raises(MisfitError) as caught:
        make_target(TICKET_SCHEMA).validate(data)

    (error,) = caught.value.errors
    assert error.path == path
    assert message in error.message


def test_a_recursive_schema_does_not_recurse_forever() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}

    (error,) = errors_of(make_target(schema), '{"a":' * 190 + "{}" + "}" * 190)

    assert "deeply" in error.message or "required" in error.message


@pytest.mark.parametrize("model", [Ticket, TICKET_SCHEMA])
@pytest.mark.parametrize("text", ["", "{", "{'a': 1}", "text", '{"a": 1}}'])
def test_what_is_no_json_is_no_json(model: Any, text: str) -> None:
    with pytest.raises(NotJsonError):
        make_target(model).validate_json(text)


def test_the_schema_is_copied() -> None:
    schema = copy.deepcopy(TICKET_SCHEMA)
    target = make_target(schema)

    schema["required"].append("never")

    assert target.validate_json('{"title": "a", "priority": "low"}')


def test_paths_lead_through_lists_and_objects() -> None:
    (error,) = errors_of(
        make_target(Node),
        '{"name": "a", "children": [{"name": "b"}, {"name": 7}]}',
    )

    assert error.path == "children[1].name"
    assert error.value == "7"
    assert error.safe == "children[1].name: Input should be a valid string"


def test_safe_texts_hold_no_key_of_the_model() -> None:
    errors = errors_of(make_target(Strict), '{"scores": {"my-secret": "x"}, "leak": 1}')

    assert {error.path for error in errors} == {"scores.my-secret", "leak"}
    assert {error.safe.split(":")[0] for error in errors} == {"scores.*", "*"}


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


def test_long_values_are_cut() -> None:
    (error,) = errors_of(make_target(int), f'"{"x" * 5000}"')

    assert len(error.value) <= 200


def test_many_errors_are_cut() -> None:
    text = "[" + ",".join(['"x"'] * 500) + "]"

    assert len(errors_of(make_target(list[int]), text)) == 20
    assert len(errors_of(make_target({"items": {"type": "integer"}}), text)) == 20


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (Ticket, "Ticket"),
        (Color, "Color"),
        (list[int], "Answer"),
        (TICKET_SCHEMA, "SupportTicket"),
        ({}, "Answer"),
        ({"title": "3d model"}, "Answer"),
    ],
)
def test_the_name(model: Any, name: str) -> None:
    assert make_target(model).name == name


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (str, True),
        (Color, True),
        (Ticket | str, True),
        (Literal["a"], True),
        (Literal[1], False),
        (Ticket, False),
        (int, False),
        ({}, False),
    ],
)
def test_whether_a_bare_word_can_be_a_value(model: Any, text: bool) -> None:
    assert make_target(model).takes_text is text


@pytest.mark.parametrize(
    ("model", "wants"),
    [
        (Ticket, "{"),
        (list[int], "["),
        (Ticket | list[int], "{["),
        ({}, "{["),
        (Node, "{"),
    ],
)
def test_the_bracket_that_is_wanted(model: Any, wants: str) -> None:
    assert make_target(model).wants == wants


@pytest.mark.parametrize(
    ("model", "value", "text"),
    [
        (Ticket, TICKET, '{"title":"broken","priority":"high","count":2}'),
        (Ticket, {"title": "a", "priority": "low"}, '{"title":"a","priority":"low"}'),
        (Color, Color.RED, '"red"'),
        (date, date(2024, 2, 29), '"2024-02-29"'),
        (
            TICKET_SCHEMA,
            {"title": "a", "priority": "low"},
            '{"title":"a","priority":"low"}',
        ),
    ],
)
def test_values_are_rendered(model: Any, value: Any, text: str) -> None:
    assert make_target(model).render(value) == text


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


def test_what_does_not_fit_is_not_rendered() -> None:
    with pytest.raises(MisfitError):
        make_target(Ticket).render({"title": "a"})


@pytest.mark.parametrize("model", [Ticket, TICKET_SCHEMA])
def test_targets_copy_and_pickle(model: Any) -> None:
    target = make_target(model)
    target.validate_json(VALID)

    for clone in (copy.deepcopy(target), pickle.loads(pickle.dumps(target))):  # noqa: S301 - our own bytes
        assert clone.validate_json(VALID) == target.validate_json(VALID)


@pytest.mark.parametrize(
    "schema",
    [
        {
            "items": {"$ref": "#word"},
            "$defs": {"w": {"$anchor": "word", "type": "string"}},
        },
        {"items": {"$ref": "#/prefixItems/0"}, "prefixItems": [{"type": "string"}]},
        {"items": {"$ref": "#/$defs/a%20b"}, "$defs": {"a b": {"type": "string"}}},
    ],
)
def test_references_lead_to_anchors_and_into_lists(schema: dict[str, Any]) -> None:
    target = make_target(schema)

    assert target.validate(["a", "b"]) == ["a", "b"]
    assert errors_of(target, '["a", 2]')[0].path == "[1]"


@pytest.mark.parametrize(
    "schema",
    [
        {"items": {"$ref": "#/$defs/any"}, "$defs": {"any": True}},
        {
            "$id": "https://example.com/root",
            "items": {"$ref": "b"},
            "$defs": {"b": {"$id": "b", "type": "integer"}},
        },
        {"items": {"type": "integer", "default": {"$ref": "a text"}}},
        {"enum": [{"$ref": "#/nowhere"}, [1]]},
        {"properties": {"$ref": {"type": "string"}, "default": {"type": "integer"}}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}},
        {"$dynamicRef": "#a", "$defs": {"a": {"$dynamicAnchor": "a"}}},
    ],
)
def test_references_that_lead_somewhere_are_taken(schema: dict[str, Any]) -> None:
    target = make_target(schema)

    assert target.validate([] if "items" in str(schema) else [1]) is not None


@pytest.mark.parametrize("text", ["1e999", '{"price": [-1e400]}'])
def test_a_number_that_is_not_finite_is_an_error(text: str) -> None:
    (error,) = errors_of(make_target({}), text)

    assert "not finite" in error.message


def test_what_is_no_number_in_json_is_no_json() -> None:
    with pytest.raises(NotJsonError):
        make_target({"type": "number", "minimum": 0}).validate_json("NaN")


@pytest.mark.parametrize(
    ("divisor", "text", "fits"),
    [
        (0.01, "19.99", True),
        (0.01, "0.07", True),
        (0.01, "9" * 400, True),
        (0.01, "1e300", True),
        (0.01, "19.999", False),
        (3, "9", True),
        (3, "10", False),
        (0.5, "true", True),
        (2, '"text"', True),
    ],
)
def test_multiples_are_those_of_decimals(divisor: float, text: str, fits: bool) -> None:
    target = make_target({"multipleOf": divisor})

    if fits:
        target.validate_json(text)
    else:
        assert "multipleOf" in errors_of(target, text)[0].message


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


def test_every_missing_property_is_named() -> None:
    schema = {"required": ["a", "b", "c"], "properties": {}}

    assert [e.path for e in errors_of(make_target(schema), '{"b": 1}')] == ["a", "c"]


def test_a_property_of_draft_3_is_missing() -> None:
    draft = "http://json-schema.org/draft-03/schema#"
    schema = {"$schema": draft, "properties": {"a": {"required": True}}}

    (error,) = errors_of(make_target(schema), "{}")

    assert error.message == "is required and missing"


@pytest.mark.parametrize(
    ("text", "unique"),
    [
        ("[1, true, 0, false, null, [1], [true]]", True),
        ('[{"a": 1, "b": 2}, {"b": 2, "a": 1.0}]', False),
        ("[[], {}, [[]], [0, 1]]", True),
        ("[1, 1.0]", False),
    ],
)
def test_items_are_unique_as_json_has_it(text: str, unique: bool) -> None:
    target = make_target({"uniqueItems": True})

    if unique:
        target.validate_json(text)
    else:
        assert errors_of(target, text)[0].message == "has items that occur twice"


def test_unique_items_take_linear_time() -> None:
    compared = 0

    class Counted(dict[str, int]):
        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return dict.__eq__(self, other)

        __hash__ = None

    make_target({"uniqueItems": True}).validate([Counted(a=n) for n in range(300)])

    assert compared < 300
