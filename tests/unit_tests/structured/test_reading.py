"""Strict first, then searched and mended; nothing is invented, nothing is closed."""

import json
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, field_validator, model_validator

from langchain_prodpatterns.structured.coercing import FROM_TEXT
from langchain_prodpatterns.structured.matching import EXACT, RECASED
from langchain_prodpatterns.structured.mending import MAX_MENDED
from langchain_prodpatterns.structured.reading import (
    CUT,
    EXTRACTED,
    GATHERED,
    NOTATION,
    Prefer,
    read,
)
from langchain_prodpatterns.structured.target import Target
from langchain_prodpatterns.structured.targets import make_target
from tests.unit_tests.structured.doubles import (
    INVALID,
    TICKET,
    TICKET_SCHEMA,
    VALID,
    Color,
    Node,
    Ticket,
)
from tests.unit_tests.structured.test_candidates import CONTAINERS

TARGET = make_target(Ticket)
ANYTHING = make_target({})


@pytest.mark.parametrize(
    ("text", "repairs"),
    [
        (VALID, ()),
        (f"\n  {VALID}\n", ()),
        (f"Here is your ticket: {VALID}", (EXTRACTED,)),
        (f"{VALID}\n\nI hope this {{helps}}!", (EXTRACTED,)),
        (f"```json\n{VALID}\n```", (EXTRACTED,)),
        (f"```\n{VALID}", (EXTRACTED,)),
        (f"{VALID}}}", (EXTRACTED,)),
        (json.dumps(VALID), (FROM_TEXT,)),
        (VALID.replace('"', "'"), (NOTATION,)),
        (VALID.replace("}", ",}"), (NOTATION,)),
        ("{title: broken, priority: high, count: 2}", (NOTATION,)),
        (VALID.replace(",", ", // a comment\n", 1), (NOTATION,)),
        (
            "It is {title: broken, priority: high, count: 2}, I'd say.",
            (EXTRACTED, NOTATION),
        ),
        ("As asked: " + VALID.replace('"', "'"), (EXTRACTED, NOTATION)),
        ('{"title": "broken" "priority": "high", "count": 2}', (NOTATION,)),
    ],
)
def test_reads_and_says_what_was_repaired(text: str, repairs: tuple[str, ...]) -> None:
    reading = read(text, TARGET)

    assert (reading.kind, reading.value, reading.repairs) == ("ok", TICKET, repairs)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "syntax"),
        ("I am sorry, I do not know.", "syntax"),
        ("{", "truncated"),
        ('{"title": "broken", "priority": "high"', "truncated"),
        ('{"title": "broken", "priority": "high", "count": 2', "truncated"),
        ("{'title': 'broken', 'priority': 'high'", "truncated"),
        ('```json\n{"title": "broken", "priority": "high"\n```', "truncated"),
        ('{"title": "broken"}', "schema"),
        (INVALID, "schema"),
        ("{'title': 'broken'}", "schema"),
        ('{"title": , "priority": "high"}', "syntax"),
        ('{"title": "broken", "priority": }', "syntax"),
        ("null", "schema"),
        ('"broken"', "schema"),
        ("[" * 300, "syntax"),
    ],
)
def test_refuses_and_says_why(text: str, kind: str) -> None:
    reading = read(text, TARGET)

    assert (reading.kind, reading.value) == (kind, None)
    assert reading.errors


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ('{"title": x, y, "priority": "low"}', "x, y"),
        ('{"title": """Long text""", "priority": "low"}', "Long text"),
        ('{"title": "a "b" c", "priority": "low"}', 'a "b" c'),
        ('{"title": "x", ..., "priority": "low"}', "x"),
        ('[{"title": "x", "priority": "low"}]', "x"),
        ('{"ticket": {"title": "x", "priority": "low"}}', "x"),
    ],
)
def test_what_is_meant_is_read(text: str, title: str) -> None:
    assert read(text, TARGET).value == Ticket(title=title, priority="low")


@pytest.mark.parametrize("count", ["3 + 4", "3-4", "about 3 or 4", "[3, 4]"])
def test_of_two_numbers_none_is_chosen(count: str) -> None:
    text = f'{{"title": "x", "priority": "low", "count": {count}}}'

    assert read(text, TARGET).kind == "schema"


def test_a_missing_field_is_never_filled() -> None:
    (error,) = read('{"priority": "low"}', TARGET).errors

    assert (error.path, error.message, error.value) == ("title", "Field required", "")


def test_an_error_has_path_message_and_value() -> None:
    (error,) = read(INVALID, TARGET).errors

    assert error.path == "priority"
    assert "'low' or 'high'" in error.message
    assert error.value == '"urgent-secret"'


@pytest.mark.parametrize(("prefer", "count"), [("first", 1), ("last", 3)])
def test_of_several_valid_objects_the_preferred_counts(
    prefer: Prefer, count: int
) -> None:
    text = " then ".join(VALID.replace("2", str(number)) for number in (1, 2, 3))

    assert read(text, TARGET, prefer).value.count == count


@pytest.mark.parametrize("prefer", ["first", "last"])
def test_the_object_that_validates_wins(prefer: Prefer) -> None:
    text = f'{{"note": 1}} {VALID} {{"note": 2}}'

    assert read(text, TARGET, prefer).value == TICKET


class Filter(BaseModel):
    city: str | None = None
    year: int | None = None

    @model_validator(mode="before")
    @classmethod
    def _prepare(cls, data: Any) -> Any:
        data.setdefault("year", None)
        return data


@pytest.mark.parametrize(
    "text",
    [
        'Here is the filter: {"city": "Paris"}\nUnused: {"user_id": 7}',
        '{"city": "Paris"}\n\nFormat used: {}',
        'Made of {"user_id": 7}: {"city": "Paris"} for {}',
        '{"city": "Paris"} as in source [1].',
    ],
)
@pytest.mark.parametrize("prefer", ["first", "last"])
def test_an_object_about_something_else_is_not_the_answer(
    text: str, prefer: Prefer
) -> None:
    assert read(text, make_target(Filter), prefer).value == Filter(city="Paris")


def test_an_invalid_answer_is_not_replaced_by_an_empty_object() -> None:
    (error,) = read('{"city": [7, 8]}\n\nFormat: {}', make_target(Filter)).errors

    assert error.path == "city"


def test_an_object_of_any_properties_may_be_the_answer() -> None:
    text = f'Either {VALID} or {{"user_id": 7}}'

    assert read(text, make_target(Ticket | dict[str, int])).value == {"user_id": 7}


@pytest.mark.parametrize(
    "text",
    ["Scores: [4, 5]. See reference [1].", "As in [2]: [4, 5]", "x [4,5] [1]"],
)
@pytest.mark.parametrize("prefer", ["first", "last"])
def test_a_reference_in_a_sentence_is_not_the_answer(text: str, prefer: Prefer) -> None:
    assert read(text, make_target(list[int]), prefer).value == [4, 5]


@pytest.mark.parametrize("text", ["Scores: [4]", "As in [1]: [4]", "[1] says -> [4]"])
def test_a_list_of_one_number_may_be_the_answer(text: str) -> None:
    assert read(text, make_target(list[int])).value == [4]


def test_a_validator_sees_each_span_once() -> None:
    seen = []

    class Watched(BaseModel):
        title: str

        @field_validator("title")
        @classmethod
        def _look(cls, title: str) -> str:
            seen.append(title)
            raise ValueError("no")

    read('a {"title": "x"} b', make_target(Watched))

    assert seen == ["x"]


def test_a_correction_that_breaks_off_replaces_what_was_before() -> None:
    text = f'{VALID} No, wait: {{"title": "fixed",'

    assert read(text, TARGET, "last").kind == "truncated"
    assert read(text, TARGET, "first").value == TICKET


def test_a_part_of_a_broken_call_is_not_taken_for_the_answer() -> None:
    assert read(f'Here: Ticket(title="x", child={VALID}', TARGET).kind == "truncated"
    assert read(f"Here: Ticket(child={VALID})", TARGET).value == TICKET


def test_a_part_of_a_broken_tree_is_not_taken_for_the_tree() -> None:
    whole = Node(name="root", children=[Node(name="leaf")]).model_dump_json()

    assert read(whole[:-2], make_target(Node)).kind == "truncated"


def test_a_list_is_read_in_which_every_quote_is_escaped() -> None:
    text = r"[{\"a\": \"b, c\"}]"

    assert read(text, ANYTHING).value == [{"a": "b, c"}]


def test_a_part_of_what_is_malformed_is_not_mended() -> None:
    text = '{"a": "x {"y"} z", "b": "c: "d", "e"", "f": ""}'

    assert read(text, ANYTHING).kind == "syntax"


def test_with_a_list_wanted_a_list_is_mended() -> None:
    target = make_target(list[int])

    assert read("{a: 1} and [1, 2,]", target, "first").value == [1, 2]


@pytest.mark.parametrize(
    ("model", "text", "value"),
    [
        (Color, '"red"', Color.RED),
        (Color, "red", Color.RED),
        (Color, " **blue**\n", Color.BLUE),
        (Color, "```\nred\n```", Color.RED),
        (Literal["a", "b"], "a", "a"),
        (Literal["a", "b"], "'a'", "a"),
        (str, "any text at all", "any text at all"),
        (str, '"quoted"', "quoted"),
        (str, '{"a": 1}', '{"a": 1}'),
        (str, "{broken", "{broken"),
        (int, "42", 42),
        (int, "```\n42\n```", 42),
        (float | None, "null", None),
        (list[int], "the numbers are [1, 2]", [1, 2]),
        (Ticket | str, "only a word", "only a word"),
    ],
)
def test_roots_that_are_no_objects(model: Any, text: str, value: Any) -> None:
    reading = read(text, make_target(model))

    assert (reading.kind, reading.value) == ("ok", value)


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (Color, "green"),
        (Color, "red or blue"),
        (Color, '"re'),
        (int, "about 42 or 43"),
        (int, "4 2"),
        (Ticket | str, '{"title": "broken", "pri'),
        (Ticket | str, ""),
    ],
)
def test_roots_are_not_guessed(model: Any, text: str) -> None:
    assert read(text, make_target(model)).kind != "ok"


@pytest.mark.parametrize("text", ["RED", "Red", "**rEd**", "`RED`"])
def test_a_member_of_an_enum_in_another_case(text: str) -> None:
    reading = read(text, make_target(Color))

    assert (reading.value, reading.kind) == (Color.RED, "ok")
    assert RECASED in reading.repairs


@pytest.mark.parametrize("model", [Literal["Yes", "YES"], {"enum": ["Yes", "YES"]}])
def test_an_ambiguous_case_is_refused(model: Any) -> None:
    assert read("yes", make_target(model)).kind == "schema"
    assert read("YES", make_target(model)).value == "YES"


def test_a_bare_word_is_reported_as_a_repair() -> None:
    assert read("red", make_target(Color)).repairs == (EXACT,)


def test_json_of_any_form_is_no_prose() -> None:
    assert read("More than one line\nof prose.", ANYTHING).kind == "syntax"
    assert read('{"any": ["thing"]}', ANYTHING).value == {"any": ["thing"]}


def test_a_schema_is_really_validated() -> None:
    target = make_target(TICKET_SCHEMA)

    assert read(VALID, target).value == json.loads(VALID)
    assert read(VALID.replace('"', "'"), target).value == json.loads(VALID)
    assert read(INVALID, target).kind == "schema"
    assert read(VALID.replace("2", "0"), target).kind == "schema"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a":"b,c,"d":"e"}', {"a": "b,c", "d": "e"}),
        ('{"a": """\n"Hello"\n""", "b": "c"}', {"a": '"Hello"', "b": "c"}),
    ],
)
def test_no_key_swallows_a_quote(text: str, value: dict[str, str]) -> None:
    assert read(text, make_target(dict[str, str])).value == value


@pytest.mark.parametrize(
    "text", ["{\u201ca\u201d: \u201cb\u201d}", "{\u2018a\u2019: 'b'}"]
)
def test_typographic_quotes_are_read(text: str) -> None:
    assert read(text, make_target(dict[str, str])).value == {"a": "b"}


@pytest.mark.parametrize("length", range(10, 47))
def test_no_beginning_of_a_badly_quoted_object_is_accepted(length: int) -> None:
    text = '{"why": "the set {"x": "5"}, not 4.", "score": 3}'

    assert read(text[:length], make_target(dict[str, str | int])).kind != "ok"


@pytest.mark.parametrize("tail", ["", " I hope it helps."])
def test_a_bracket_in_a_badly_quoted_string_does_not_end_the_object(tail: str) -> None:
    text = '{"why": "the set {"x": "5"}, not 4.", "score": 3}'

    reading = read(text + tail, ANYTHING)

    assert reading.kind != "ok" or reading.value["score"] == 3


def test_only_what_takes_guessing_has_to_be_short() -> None:
    for text, kind in (("['a': '%s']", "syntax"), ("{a: %s}", "ok")):
        assert read(text % ("x" * MAX_MENDED), ANYTHING).kind == kind
        assert read(text % "xxx", ANYTHING).kind == "ok"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"items": ["one [1]", "two {a"],}', {"items": ["one [1]", "two {a"]}),
        ('{"a": "(see [1, 2) etc", "b": low}', {"a": "(see [1, 2) etc", "b": "low"}),
        ('{"items": ["a", "b" /* the second */]}', {"items": ["a", "b"]}),
        ('{"items": ["a", "b", // none more \n]}', {"items": ["a", "b"]}),
        (
            '{"rows": [["Ann", "" ], ["Bob", "x"]],}',
            {"rows": [["Ann", ""], ["Bob", "x"]]},
        ),
        ('{"code": "x = 1\\n",}', {"code": "x = 1\n"}),
        ('{\\"a\\": \\"say \\\\\\"hi\\\\\\"\\"}', {"a": 'say "hi"'}),
        ("{'a': '}', 'b': 1} is it", {"a": "}", "b": 1}),
        ("{'a': 1, // so } or ]\n 'b': 2}", {"a": 1, "b": 2}),
    ],
)
def test_another_notation_is_read_exactly(text: str, value: Any) -> None:
    reading = read(text, ANYTHING)

    assert (reading.value, NOTATION in reading.repairs) == (value, True)


def test_where_a_bad_quote_ends_the_object_the_rest_counts() -> None:
    text = "{'a': 'the set {', 'b': '5'}, not', 'c': 1}"

    reading = read(text, ANYTHING)

    assert reading.kind != "ok" or "c" in reading.value


@pytest.mark.parametrize("thoughts", ['Draft: {"title": "x", ... hmm', "so [1, or {"])
@pytest.mark.parametrize("answer", [VALID, f"```json\n{VALID}\n```", f"So: {VALID}"])
def test_thoughts_are_no_part_of_the_answer(thoughts: str, answer: str) -> None:
    reading = read(f"\n<think>{thoughts}</think>\n\n{answer}", TARGET)

    assert (reading.value, reading.repairs) == (TICKET, (EXTRACTED,))


def test_thoughts_without_an_answer_break_off() -> None:
    assert read(f"<think>It may be {VALID}", TARGET).kind == "truncated"
    assert read("<think>It may be</think>", TARGET).kind == "syntax"


def test_a_text_of_its_own_may_have_raw_line_breaks() -> None:
    assert read('"one\ntwo"', make_target(list[str] | str)).value == "one\ntwo"
    assert read("'one'", ANYTHING).value == "one"


@pytest.mark.parametrize("text", ["{'a', 'b'}", "{'a': }", "[1, null, nil: ]"])
def test_mending_does_not_guess(text: str) -> None:
    assert read(text, make_target(dict[str, str | None])).kind != "ok"


@pytest.mark.parametrize(
    "text",
    [
        "{" * 10_000,
        "[" * 1_000_000,
        '{"a":' * 200_000,
        '{"a": "' + "x" * 100_000,
        '{"a": ' + '"' * 60_000 + "}",
        "{" + "'\"" * 30_000,
        '{"a": "x}' + "x}" * 500_000 + '" z',
        '{"a": "' + '",' * 30_000 + "}",
        "{" + "a:" * 30_000 + "}",
        "[" + "'a' " * 15_000 + "]",
        "x" + "[]" * 500_000,
        "\ud800{'a': '\udfff'}",
        "\x00" * 1_000,
        "9" * 5_000,
        "[" + "9" * 5_000 + ",]",
    ],
    ids=lambda text: repr(text[:12]),
)
@pytest.mark.parametrize("model", [Ticket, {}, list[Node]], ids=["type", "any", "list"])
def test_no_text_crashes_the_reader(model: Any, text: str) -> None:
    assert read(text, make_target(model)).kind in {
        "ok",
        "syntax",
        "schema",
        "truncated",
    }


@settings(deadline=None)
@given(st.text(alphabet="{}[]\"'\\:,a1 \n`tfn-.e/*", max_size=120))
def test_any_text_is_read(text: str) -> None:
    for target in (TARGET, ANYTHING):
        reading = read(text, target)
        assert (reading.kind == "ok") == (not reading.errors)


@settings(deadline=None)
@given(CONTAINERS, st.data())
def test_no_beginning_of_an_answer_is_accepted(value: Any, data: st.DataObject) -> None:
    text = json.dumps(value)
    prefix = text[: data.draw(st.integers(1, len(text) - 1))]

    target = make_target({"type": ["object", "array"]})

    assert read(prefix, target).kind in {"truncated", "syntax"}


class Pair(BaseModel):
    left: str
    right: str


@settings(deadline=None)
@given(left=st.text(max_size=30), right=st.text(max_size=30))
def test_what_is_valid_is_read_as_it_is(left: str, right: str) -> None:
    pair = Pair(left=left, right=right)
    target = make_target(Pair)

    for text in (pair.model_dump_json(), f"So: {pair.model_dump_json()} !"):
        assert read(text, target).value == pair


def test_the_halves_of_a_surrogate_pair_are_joined() -> None:
    text = '{"title": "\ud83d' + '\ude00", "priority": "low"}'

    assert read(text, TARGET).value.title == "\U0001f600"


@pytest.mark.parametrize("target", [TARGET, ANYTHING])
def test_half_a_surrogate_pair_is_no_json(target: Target) -> None:
    assert read('{"title": "\\ud800", "priority": "low"}', target).kind == "syntax"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, 2', {"a": [1, 2]}),
        ('{"a": "b', {"a": "b"}),
        ('{"a": 1, "b', {"a": 1}),
        ('"abc', "abc"),
    ],
)
def test_what_breaks_off_is_all_there_is_where_nothing_is_demanded(
    text: str, value: Any
) -> None:
    reading = read(text, ANYTHING)

    assert (reading.value, CUT in reading.repairs) == (value, True)
    assert read(text, make_target({"type": ["object", "string"]})).kind == "truncated"


def test_several_objects_are_the_items_of_a_list() -> None:
    text = 'First: {"title": "x", "priority": "low"}, then ' + VALID
    target = make_target(list[Ticket])

    tickets = [Ticket(title="x", priority="low"), TICKET]
    assert read(text, target).value == tickets
    assert GATHERED in read(text, target).repairs
    assert read(f"{text} or [{VALID}]", target).value == [TICKET]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{}\n{}", [{}, {}]),
        ('/* 1 */ {"a": 1},\n/* 2 */\n{"a": 2}', [{"a": 1}, {"a": 2}]),
        ('{"a": 1}, {}', {"a": 1}),
        ('{"a": 1} or {"a": 2}', {"a": 2}),
    ],
)
def test_values_side_by_side_are_a_list_where_anything_is_one(
    text: str, value: Any
) -> None:
    assert read(text, ANYTHING).value == value


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ('{"Title": "x", "priority": "HIGH"}', ["title: ", "priority: "]),
        ('{"title": "x", "priority": "low", "count": "1,200"}', ["count: "]),
    ],
)
def test_corrections_are_told_with_their_path(text: str, paths: list[str]) -> None:
    reading = read(text, TARGET)

    assert reading.kind == "ok"
    assert [any(told.startswith(path) for told in reading.repairs) for path in paths]


def test_an_unknown_key_is_never_told() -> None:
    target = make_target(dict[str, int])
    reading = read('{"secret": "1,200"}', target)

    assert (reading.value, reading.repairs) == (
        {"secret": 1200},
        ("*: read as a number",),
    )


def test_a_property_that_a_schema_does_not_name_is_left_out() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}

    assert read('{"a": 1, "b": 2}', make_target(schema)).value == {"a": 1}
    open_schema = {**schema, "additionalProperties": True}
    assert read('{"a": 1, "b": 2}', make_target(open_schema)).value["b"] == 2


@pytest.mark.parametrize(
    ("model", "text", "value"),
    [
        (bool, "The answer: **True**", True),
        (float, "1 cup of butter", 1.0),
        (Literal["high", "low"], "I would say [high].", "high"),
        (Literal["high", "low"], '{"priority": "high"}', "high"),
        (Literal["high", "low"], '"LOW" is what it is', "low"),
    ],
)
def test_a_scalar_is_read_out_of_prose(model: Any, text: str, value: Any) -> None:
    assert read(text, make_target(model)).value == value


def test_a_schema_may_have_several_types() -> None:
    target = make_target({"type": ["object", "integer"], "required": ["a"]})

    assert read("{b: [1, 2]} or rather 7 or 8", target).kind == "schema"
    assert read("It is 7.", target).value == 7
