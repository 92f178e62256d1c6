"""A patch changes what was wrong, and nothing else."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from pydantic import BaseModel, ConfigDict, Field

from langchain_prodpatterns.structured.assessing import Assessment, assess
from langchain_prodpatterns.structured.attempts import FieldError
from langchain_prodpatterns.structured.patching import (
    MAX_OPERATIONS,
    PATCHED,
    Mendable,
    Operation,
    Place,
    UnpatchableError,
    assess_patch,
    mendable,
    patched,
    written,
)
from langchain_prodpatterns.structured.target import MAX_ERRORS
from langchain_prodpatterns.structured.targets import make_target
from tests.unit_tests.structured.doubles import (
    INVALID,
    TICKET,
    TICKET_SCHEMA,
    VALID,
    Node,
    Ticket,
)


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str]


class Home(BaseModel):
    model_config = ConfigDict(extra="forbid")

    pets: list[Annotated[Cat | Dog, Field(discriminator="kind")]]
    owner: Literal["ann", "bob"] | None
    rooms: dict[str, int] = {}
    codes: list[int | bool] = []


HOME = make_target(Home)
TICKETS = make_target(Ticket)


def failed(text: str, target: Any = HOME) -> Assessment:
    assessment = assess(text, target)
    assert assessment.kind == "schema"
    return assessment


def places(text: str, target: Any = HOME) -> dict[str, bool] | None:
    answer = mendable(failed(text, target), target)
    if answer is None:
        return None
    return {written(place.pointer): place.is_there for place in answer.places}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"pets": [], "owner": "eve"}', {"/owner": True}),
        ('{"pets": []}', {"/owner": False}),
        (
            '{"pets": [{"kind": "cat", "lives": "many"}], "owner": null}',
            {"/pets/0/lives": True},
        ),
        ('{"pets": [{"kind": "dog"}], "owner": null}', {"/pets/0/tricks": False}),
        ('{"pets": [{"kind": "eel"}], "owner": null}', {"/pets/0": True}),
        (
            '{"pets": [], "owner": null, "codes": [1, "x"]}',
            {"/codes/1": True},
        ),
        (
            '{"pets": [], "owner": null, "rooms": {"a/b~": "x"}}',
            {"/rooms/a~1b~0": True},
        ),
        ('{"pets": [], "owner": null, "car": 1}', {"/car": True}),
        # The names of the types of a union are no keys.
        (
            '{"pets": [], "owner": null, "codes": [{"x": "y", "z": "w"}]}',
            {"/codes/0": True},
        ),
    ],
)
def test_places_of_errors(text: str, expected: dict[str, bool]) -> None:
    found = places(text)

    assert found == expected


def test_places_in_the_data_of_a_schema() -> None:
    target = make_target(TICKET_SCHEMA)

    assert places('{"priority": "urgent", "count": 2}', target) == {
        "/priority": True,
        "/title": False,
    }


def test_the_data_is_that_which_was_corrected() -> None:
    answer = mendable(
        failed(f"Sure: {INVALID[:-1]}, 'count': '3',}}", TICKETS), TICKETS
    )

    assert answer is not None
    assert answer.data["count"] == 3
    assert '"count":3' in answer.text


@dataclass
class Line:
    price: float


def test_where_the_places_are_not_known_nothing_is_mendable() -> None:
    many = make_target(dict[str, int])
    names = ", ".join(f'"n{number}": "x"' for number in range(MAX_ERRORS))

    assert places(f"{{{names}}}", many) is None
    assert places("{}", TICKETS) is None
    assert places('{"a": "x"}', many) is None
    assert places('{"a": "x", "b": 1}', many) == {"/a": True}
    assert mendable(assess("[1]", TICKETS), TICKETS) is None
    assert mendable(assess("no JSON", TICKETS), TICKETS) is None
    refused = assess(VALID, TICKETS, validators=[lambda ticket: "no"])
    assert mendable(refused, TICKETS) is None


@pytest.mark.parametrize(
    ("number", "can_be_mended"),
    [("0.1000000001", True), ("0.10000000000000001", False)],
)
def test_a_number_that_cannot_be_repeated_exactly_is_not_repeated(
    number: str, can_be_mended: bool
) -> None:
    class Price(BaseModel):
        amount: Decimal
        currency: Literal["eur", "usd"]

    target = make_target(Price)
    answer = mendable(
        failed(f'{{"amount": {number}, "currency": "x"}}', target), target
    )

    assert (answer is not None) is can_be_mended
    assert answer is None or number in answer.text


def test_the_type_of_a_scalar_says_nothing_of_other_types() -> None:
    target = make_target(Node)
    answer = mendable(failed('{"name": "a", "children": [{}]}', target), target)

    assert answer is not None
    assert [one.wanted for one in answer.places] == ["type Value = string"]


def test_what_is_missing_is_declared_in_a_few_words() -> None:
    answer = mendable(failed('{"pets": [{"kind": "dog"}]}'), HOME)

    assert answer is not None
    wanted = {written(one.pointer): one.wanted for one in answer.places}
    assert wanted == {
        "/pets/0/tricks": "",  # of a union, the schema does not tell
        "/owner": 'type Value = "ann" | "bob" | null',
    }


def test_of_a_type_that_takes_many_words_nothing_is_told() -> None:
    class Wide(BaseModel):
        number: int
        names: Literal[tuple(f"name {number}" for number in range(99))]  # type: ignore[valid-type]  # many words

    answer = mendable(failed('{"number": 1}', make_target(Wide)), make_target(Wide))

    assert answer is not None
    assert answer.places[0].wanted == ""


def test_the_type_below_references_lists_and_maps() -> None:
    class Bill(BaseModel):
        lines: list[Line]
        notes: dict[str, Line] = {}

    target = make_target(Bill)
    answer = mendable(failed('{"lines": [{}], "notes": {"a": {}}}', target), target)

    assert answer is not None
    assert {one.wanted for one in answer.places} == {"type Value = number"}


def one_place(data: Any, *pointer: str) -> Mendable:
    return Mendable(data, (Place(pointer, True, FieldError("x", "wrong")),))


def steps(*entries: dict[str, Any]) -> list[Operation]:
    return [Operation(**entry) for entry in entries]


@pytest.mark.parametrize(
    ("data", "pointer", "step", "expected"),
    [
        ({"a": 1}, "a", {"op": "replace", "path": "/a", "value": 2}, {"a": 2}),
        ({"a": 1}, "a", {"op": "replace", "path": "a", "value": None}, {"a": None}),
        ({"a": 1}, "b", {"op": "replace", "path": "/b", "value": 2}, {"a": 1, "b": 2}),
        ({"a": 1, "b": 2}, "b", {"op": "remove", "path": "/b"}, {"a": 1}),
        ({"a": [1]}, "a", {"op": "add", "path": "/a/-", "value": 2}, {"a": [1, 2]}),
        ({"a": [1]}, "a", {"op": "add", "path": "/a/1", "value": 2}, {"a": [1, 2]}),
        ({"a": [1]}, "a", {"op": "add", "path": "/a/0", "value": 2}, {"a": [2]}),
        (
            [{"a": 1}],
            "0",
            {"op": "add", "path": "/0/b", "value": 2},
            [{"a": 1, "b": 2}],
        ),
    ],
)
def test_operations(
    data: Any, pointer: str, step: dict[str, Any], expected: Any
) -> None:
    before = repr(data)

    assert patched(one_place(data, pointer), steps(step)) == expected
    assert repr(data) == before


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ({"op": "replace", "path": "/b", "value": 2}, "only change what was wrong"),
        ({"op": "replace", "path": "/ab", "value": 2}, "only change what was wrong"),
        ({"op": "replace", "path": "", "value": {}}, "only change what was wrong"),
        ({"op": "remove", "path": "/a/0"}, "only remove a property"),
        ({"op": "remove", "path": "/a/x"}, "only remove a property"),
        ({"op": "add", "path": "/a/7", "value": 2}, "does not exist"),
        ({"op": "add", "path": "/a/01", "value": 2}, "does not exist"),
        ({"op": "add", "path": f"/a/{'9' * 5000}", "value": 2}, "does not exist"),
        ({"op": "add", "path": "/a/0/x/y", "value": 2}, "does not exist"),
        ({"op": "add", "path": "/a/0/x", "value": 2}, "does not exist"),
        ({"op": "add", "path": "/a/0"}, "must have a value"),
    ],
)
def test_what_a_patch_must_not_do(step: dict[str, Any], why: str) -> None:
    with pytest.raises(UnpatchableError, match=why):
        patched(one_place({"a": [1, 2], "b": 1}, "a"), steps(step))


@pytest.mark.parametrize("count", [0, MAX_OPERATIONS + 1])
def test_the_length_of_a_patch_is_limited(count: int) -> None:
    step = {"op": "replace", "path": "/a", "value": 2}

    with pytest.raises(UnpatchableError, match="1 to 100"):
        patched(one_place({"a": 1}, "a"), steps(*[step] * count))


KEYS = st.sampled_from(["a", "b", "c", "0", "1", "-", ""])
DATA = st.recursive(
    st.integers() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=8,
)
PATCHES = st.lists(
    st.builds(
        lambda op, path, value: Operation(
            op=op, path=f"/{'/'.join(path)}", value=value
        ),
        st.sampled_from(["add", "replace", "remove"]),
        st.lists(KEYS, min_size=1, max_size=3),
        DATA,
    ),
    max_size=4,
)


@given(st.dictionaries(KEYS, DATA, max_size=3), KEYS, PATCHES)
def test_all_other_places_stay_as_they_are(
    data: dict[str, Any], allowed: str, patch: list[Operation]
) -> None:
    try:
        mended = patched(one_place(data, allowed), patch)
    except UnpatchableError:
        return
    mended.pop(allowed, None)
    assert mended == {key: data[key] for key in data if key != allowed}


# --- replies ------------------------------------------------------------------------


def mended_by(reply: Any) -> Any:
    answer = mendable(failed(INVALID, TICKETS), TICKETS)
    assert answer is not None
    return assess_patch(reply, answer, lambda one: assess(one, TICKETS))


PATCH = '[{"op": "replace", "path": "/priority", "value": "high"}]'


@pytest.mark.parametrize(
    "reply",
    [
        PATCH,
        f"Here it is:\n```json\n{PATCH}\n```",
        PATCH[1:-1],  # one operation that stands in no list
        AIMessage(PATCH),
    ],
)
def test_a_patch_is_read_like_an_answer(reply: Any) -> None:
    mended = mended_by(reply)

    assert (mended.assessment.kind, mended.failure) == ("ok", None)
    assert mended.assessment.value == Ticket(title="broken", priority="high")
    assert mended.assessment.repairs[-1] == PATCHED
    assert "replace" in mended.assessment.text


def test_a_whole_answer_will_do() -> None:
    assert mended_by(VALID).assessment.value == TICKET


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("no JSON", "syntax"),
        ('[{"op": "move", "path": "/priority", "from": "/title"}]', "syntax"),
        ('[{"op": "replace", "path": "/title", "value": "x"}]', "syntax"),
        ('{"op": "move", "path": "/priority", "from": "/title"}', "syntax"),
        (PATCH[:-9], "truncated"),
        (AIMessage("", additional_kwargs={"refusal": "no"}), "refused"),
    ],
)
def test_a_reply_of_no_use_is_a_failure_that_tells_nothing_new(
    reply: Any, kind: str
) -> None:
    mended = mended_by(reply)

    assert (mended.assessment.kind, mended.failure) == (kind, None)
    assert "x" not in str([error.value for error in mended.assessment.errors])


def test_a_patch_with_a_wrong_value_fails_as_the_whole_answer() -> None:
    mended = mended_by(PATCH.replace("high", "top"))

    assert mended.assessment.kind == "schema"
    assert '"top"' in mended.assessment.text
    assert mended.failure.text == '{"title":"broken","priority":"top"}'
    assert mended.failure.errors[0].path == "priority"


def test_a_whole_answer_that_fails_is_the_last_failure() -> None:
    mended = mended_by('{"title": "broken", "priority": "top"}')

    assert mended.assessment.kind == "schema"
    assert mended.failure is mended.assessment
