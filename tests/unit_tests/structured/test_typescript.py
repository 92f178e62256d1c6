"""Declarations say what the schema says, in a fraction of its tokens."""

from datetime import date
from enum import Enum
from typing import Annotated, Any, Generic, Literal, TypeVar

import pytest
from langchain_core.output_parsers import PydanticOutputParser
from pydantic import BaseModel, Field, RootModel, TypeAdapter

from langchain_prodpatterns.structured.typescript import declare, is_opaque
from langchain_prodpatterns.tokens import estimate_tokens
from tests.unit_tests.structured.doubles import Node, Ticket

T = TypeVar("T")


class Address(BaseModel):
    """Where somebody lives."""

    street: str = Field(description="Street\nand number")
    zip: str = Field(pattern=r"^\d{5}$")


class Person(BaseModel):
    name: str = Field(min_length=1)
    home: Address
    work: Address | None = None
    born: date | None = None
    nickname: str = "none"


class Once(BaseModel):
    home: Address
    tags: list[Literal["a", "b"]] = []


class Size(Enum):
    SMALL = "s"
    LARGE = "l"


class Circle(BaseModel):
    kind: Literal["circle"]
    radius: float = Field(gt=0)


class Square(BaseModel):
    kind: Literal["square"]
    side: float


class Drawing(BaseModel):
    shapes: list[Annotated[Circle | Square, Field(discriminator="kind")]]
    size: Size = Size.SMALL


class Box(BaseModel, Generic[T]):
    content: T


class Discriminator(BaseModel):
    discriminator: "Discriminator | None" = None


def declared(model: Any, name: str = "Answer") -> str:
    return declare(TypeAdapter(model).json_schema(), name)


def test_a_model() -> None:
    assert declared(Ticket, "Ticket") == (
        "// A support ticket.\n"
        "type Ticket = {\n"
        "  title: string // What it is about\n"
        '  priority: "low" | "high"\n'
        "  count?: integer // >= 1; default 1\n"
        "}"
    )


def test_a_shared_type_is_declared_once() -> None:
    assert declared(Person, "Person") == (
        "// Where somebody lives.\n"
        "type Address = {\n"
        "  street: string // Street and number\n"
        "  zip: string // matches /^\\d{5}$/\n"
        "}\n"
        "type Person = {\n"
        "  name: string // length >= 1\n"
        "  home: Address\n"
        "  work?: Address | null\n"
        "  born?: string | null // date\n"
        '  nickname?: string // default "none"\n'
        "}"
    )


def test_a_type_that_is_used_once_stands_where_it_is_used() -> None:
    assert declared(Once) == (
        "type Answer = {\n"
        "  home: {\n"
        "    street: string // Street and number\n"
        "    zip: string // matches /^\\d{5}$/\n"
        "  } // Where somebody lives.\n"
        '  tags?: ("a" | "b")[]\n'
        "}"
    )


def test_a_recursive_type_calls_itself_by_name() -> None:
    assert declared(Node, "Node") == (
        "// A tree.\ntype Node = {\n  name: string\n  children?: Node[]\n}"
    )


def test_a_recursive_type_below_the_root_is_declared() -> None:
    text = declared(list[Node])

    assert text.endswith("type Answer = Node[]")
    assert text.count("type Node =") == 1


def test_a_property_may_be_called_discriminator() -> None:
    text = declared(Discriminator, "Discriminator")

    assert "discriminator?: Discriminator | null" in text


def test_a_discriminated_union() -> None:
    text = declared(Drawing)

    assert 'kind: "circle"' in text
    assert "radius: number // > 0" in text
    assert "} | {" in text
    assert 'size?: "s" | "l" // default "s"' in text


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (str, "string"),
        (int, "integer"),
        (bool, "boolean"),
        (None | float, "number | null"),
        (list[int], "integer[]"),
        (list[int | str], "(integer | string)[]"),
        (dict[str, int], "Record<string, integer>"),
        (dict[str, Any], "Record<string, unknown>"),
        (tuple[int, str], "[integer, string]"),
        (Literal["a", 1] | None, '"a" | 1 | null'),
        (Size, '"s" | "l"'),
        (Any, "unknown"),
    ],
)
def test_types(model: Any, expected: str) -> None:
    assert declared(model) == f"type Answer = {expected}"


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, "unknown"),
        ({"type": ["string", "null"]}, "string | null"),
        ({"const": "x"}, '"x"'),
        ({"allOf": [{"type": "string"}]}, "string"),
        ({"type": "object"}, "Record<string, unknown>"),
        ({"type": "array"}, "unknown[]"),
        ({"properties": {"a-b": {}}}, '{\n  "a-b"?: unknown\n}'),
        ({"properties": {"a": True}}, "{\n  a?: unknown\n}"),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}}, "{\n  a?: Answer\n}"),
        (
            {
                "definitions": {"D": {"type": "string"}},
                "items": {"$ref": "#/definitions/D"},
            },
            "string[]",
        ),
        ({"$ref": "#/elsewhere"}, "unknown"),
        (
            {"prefixItems": [{"type": "string"}], "items": {"type": "integer"}},
            "[string, ...integer[]]",
        ),
        ({"prefixItems": [{"type": "string"}], "items": False}, "[string]"),
        ({"items": [{"type": "string"}], "additionalItems": False}, "[string]"),
        (
            {"properties": {"a": {}}, "additionalProperties": {"type": "integer"}},
            "{\n  a?: unknown\n  [key: string]: integer\n}",
        ),
        ({"type": "string", "anyOf": [{}, {"const": "x"}]}, "string"),
        ({"allOf": [{"enum": ["a", "b"]}, {"type": "string"}]}, '("a" | "b") & string'),
        ({"properties": {"a": False}}, "{\n  a?: never\n}"),
    ],
)
def test_schemas(schema: dict[str, Any], expected: str) -> None:
    assert declare(schema, "Answer") == f"type Answer = {expected}"


CONTACT = {
    "type": "object",
    "properties": {"email": {"type": "string"}, "phone": {"type": "string"}},
}
BASE = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}
NAMED = {"type": "object", "properties": {"name": {"type": "string"}}}


@pytest.mark.parametrize(
    ("key", "words"), [("anyOf", "at least one of"), ("oneOf", "exactly one of")]
)
def test_alternatives_of_required_properties_leave_the_type_alone(
    key: str, words: str
) -> None:
    schema = {**CONTACT, key: [{"required": ["email"]}, {"required": ["phone"]}]}

    assert declare(schema, "Answer") == (
        f"// {words}: email, phone\n"
        "type Answer = {\n  email?: string\n  phone?: string\n}"
    )


@pytest.mark.parametrize(
    "schema",
    [
        {**NAMED, "allOf": [BASE]},
        {**NAMED, "allOf": [{"$ref": "#/$defs/Base"}], "$defs": {"Base": BASE}},
        {"properties": NAMED["properties"], "allOf": [BASE]},
        {**NAMED, "$ref": "#/$defs/Base", "$defs": {"Base": BASE}},
        {**NAMED, "anyOf": [BASE]},
    ],
)
def test_inherited_properties_are_declared(schema: dict[str, Any]) -> None:
    assert declare(schema, "Answer") == (
        "type Answer = {\n  name?: string\n} & {\n  id: integer\n}"
    )


def test_what_a_part_requires_is_required() -> None:
    schema = {**NAMED, "allOf": [{"required": ["name"]}]}

    assert declare(schema, "Answer") == "type Answer = {\n  name: string\n}"


@pytest.mark.parametrize(
    ("schema", "opaque"),
    [
        ({"not": {"type": "string"}}, True),
        ({"if": {"type": "string"}, "then": {"minLength": 2}}, True),
        ({}, False),
        ({"title": "Anything", "description": "any JSON"}, False),
        ({"type": "string"}, False),
    ],
)
def test_whether_a_declaration_says_nothing(
    schema: dict[str, Any], opaque: bool
) -> None:
    assert is_opaque(schema) is opaque


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            Annotated[int, Field(ge=1, le=5, description="stars")],
            "// stars; >= 1; <= 5\ntype Answer = integer",
        ),
        (
            Annotated[list[Annotated[str, Field(max_length=5)]], Field(max_length=3)],
            "// items <= 3; each: length <= 5\ntype Answer = string[]",
        ),
        (
            dict[str, Annotated[int, Field(ge=1)]],
            "// each: >= 1\ntype Answer = Record<string, integer>",
        ),
        (dict[Literal["x", "y"], int], 'type Answer = Record<"x" | "y", integer>'),
        (
            dict[Annotated[str, Field(pattern="^x")], int],
            "// keys match /^x/\ntype Answer = Record<string, integer>",
        ),
    ],
)
def test_limits_are_told(model: Any, expected: str) -> None:
    assert declared(model) == expected


class Tag(BaseModel):
    """One keyword."""

    name: str


class Mood(Enum):
    """How they feel."""

    GOOD = "good"


class Described(BaseModel):
    mood: Mood
    tag: Tag | None = None
    own: Circle = Field(description="In words of its own")


def test_a_type_that_is_used_once_keeps_its_description() -> None:
    text = declared(Described)

    assert 'mood: "good" // How they feel.' in text
    assert "  } | null // One keyword." in text
    assert "  } // In words of its own" in text


@pytest.mark.parametrize("model", [list[Tag], dict[str, Tag], list[Tag | None]])
def test_items_that_are_used_once_keep_their_description(model: Any) -> None:
    assert declared(model).startswith("// each: One keyword.\ntype Answer = ")


def test_a_type_that_is_declared_by_name_is_described_there() -> None:
    text = declared(tuple[Tag, list[Tag]])

    assert text.startswith("// One keyword.\ntype Tag = {")
    assert text.count("One keyword.") == 1


def test_the_members_of_a_union_are_described_in_its_order() -> None:
    assert declared(Tag | Address).startswith(
        "// One keyword. | Where somebody lives.\n"
    )


def test_the_limits_of_an_inlined_item_are_told() -> None:
    class Code(RootModel[str]):
        root: str = Field(max_length=5)

    assert declared(list[Code]).startswith("// each: length <= 5\n")


def test_a_generic_name_becomes_an_identifier() -> None:
    assert declared(Box[int], "Box[int]").startswith("type Box_int =")


def test_types_that_are_called_alike_get_names_of_their_own() -> None:
    parts = {"Box_int": "string", "Box[int]": "integer", "Answer": "null"}
    schema = {
        "properties": {
            f"{name}{number}": {"$ref": f"#/$defs/{name}"}
            for name in parts
            for number in (1, 2)
        },
        "$defs": {name: {"type": kind} for name, kind in parts.items()},
    }

    assert declare(schema, "Answer") == (
        "type Box_int = string\n"
        "type Box_int_2 = integer\n"
        "type Answer_2 = null\n"
        "type Answer = {\n"
        "  Box_int1?: Box_int\n"
        "  Box_int2?: Box_int\n"
        '  "Box[int]1"?: Box_int_2\n'
        '  "Box[int]2"?: Box_int_2\n'
        "  Answer1?: Answer_2\n"
        "  Answer2?: Answer_2\n"
        "}"
    )


def test_a_long_default_is_left_out() -> None:
    schema = {"properties": {"a": {"type": "string", "default": "x" * 100}}}

    assert "default" not in declare(schema, "A")


@pytest.mark.parametrize("model", [Ticket, Person, Drawing])
def test_it_takes_less_than_a_third_of_the_tokens(model: type[BaseModel]) -> None:
    theirs: PydanticOutputParser[BaseModel] = PydanticOutputParser(
        pydantic_object=model
    )

    ours = estimate_tokens(declared(model, model.__name__))

    assert ours < 0.33 * estimate_tokens(theirs.get_format_instructions())


def test_the_tag_of_a_union_is_required_also_with_a_default() -> None:
    class Cat(BaseModel):
        kind: Literal["cat"] = "cat"

    class Dog(BaseModel):
        kind: Literal["dog"] = "dog"

    class Home(BaseModel):
        pet: Annotated[Cat | Dog, Field(discriminator="kind")]
        first: Dog | None = None

    text = declared(Home)

    assert 'kind: "dog"\n' in text
    assert 'kind: "cat"\n' in text
    assert 'kind?: "cat"\n' in declared(Cat)
    # Not OpenAPI's discriminator.
    odd = {"properties": {"a": {"discriminator": {"propertyName": 3}}}}
    assert declare(odd, "Answer") == "type Answer = {\n  a?: unknown\n}"


@pytest.mark.parametrize(
    ("schema", "comment"),
    [
        ({"type": "array", "uniqueItems": True}, "// no item twice\n"),
        ({"type": "array", "uniqueItems": False}, ""),
        ({"type": "object", "minProperties": 1}, "// keys >= 1\n"),
        ({"type": "object", "maxProperties": 0}, "// keys <= 0\n"),
    ],
)
def test_limits_of_lists_and_maps(schema: dict[str, Any], comment: str) -> None:
    assert declare(schema, "Answer").startswith(f"{comment}type Answer")


@pytest.mark.parametrize(
    "part",
    [
        {"not": {"const": 1}},
        {"if": {"const": 1}, "then": {}},
        {"dependentRequired": {"a": ["b"]}},
        {"$dynamicRef": "#node"},
        {"$ref": "#/components/schemas/A", "components": {"schemas": {"A": {}}}},
    ],
)
def test_what_no_declaration_says_is_opaque(part: dict[str, Any]) -> None:
    inner = {"type": "object", "properties": {"a": {"type": "integer", **part}}}

    assert is_opaque(inner)
    assert not is_opaque({"type": "object", "properties": {"not": {}}})


def test_unicode_stays_readable() -> None:
    class Street(BaseModel):
        size: int = Field(alias="größe", description="in Zentimetern 📏")
        name: str = Field(alias="vor-name")

    assert declared(Street, "Straße") == (
        "type Straße = {\n"
        "  größe: integer // in Zentimetern 📏\n"
        '  "vor-name": string\n'
        "}"
    )
