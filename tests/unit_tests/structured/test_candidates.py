"""The finder is linear, and tells a closed span from one that breaks off."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_prodpatterns.structured.candidates import (
    MAX_CANDIDATES,
    MAX_RELAXED,
    MAX_TOKENS,
    MAX_TRIES,
    find_candidates,
)
from langchain_prodpatterns.structured.forgiving import MAX_DEPTH
from tests.unit_tests.effort import effort_of

LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=12)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)
CONTAINERS = st.lists(VALUES, max_size=4) | st.dictionaries(
    st.text(max_size=6), VALUES, max_size=4
)


def spans(text: str) -> list[str]:
    return [text[one.start : one.end] for one in find_candidates(text).whole]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1}', ['{"a": 1}']),
        ("  [1, 2]  ", ["[1, 2]"]),
        ('Sure: {"a": 1}. Anything else?', ['{"a": 1}']),
        ('```json\n{"a": 1}\n```', ['{"a": 1}']),
        ('{"a": 1} and {"b": 2}', ['{"a": 1}', '{"b": 2}']),
        ('{"a": "}"}', ['{"a": "}"}']),
        ('{"a": "\\"}"}', ['{"a": "\\"}"}']),
        ("{'a': '}'}", ["{'a': '}'}"]),
        ("{a: 1, b: [2]}", ["{a: 1, b: [2]}"]),
        ('{"a": "he said "hi {x}" to me"}', ['{"a": "he said "hi {x}" to me"}']),
        ('{"a": "it\'s"}', ['{"a": "it\'s"}']),
        ("{'a': 'x', 'b': it's}", ["{'a': 'x', 'b': it's}"]),
        ('{"a": [1, 2}', ['{"a": [1, 2}']),
        ('{"a": 1]}', ['{"a": 1']),
        ('{"a": 1}}', ['{"a": 1}']),
        ("Press { to open [see below] and } to close", []),
        ("use {name} here", []),
        ("no brackets", []),
        ("", []),
        ("{not json, but it begins so}", ["{not json, but it begins so}"]),
        ("[true] or [nullify]", ["[true]"]),
        ('{"a": 1}, "b": 2}', ['{"a": 1}, "b": 2}']),
        ('{"a": 1}, "b": }', ['{"a": 1}, "b": }']),
        ('{"a": 1}, as in "b": 2', ['{"a": 1}']),
        ('["x(")", {"a": "b" c}]', ['["x(")", {"a": "b" c}]']),
        ('[{\\"a\\": [\\"b\\"]}]', ['[{\\"a\\": [\\"b\\"]}]']),
        ('It is {\\n\\"a\\": 1\\n} then', ['{\\n\\"a\\": 1\\n}']),
    ],
)
def test_finds_the_outermost_spans(text: str, expected: list[str]) -> None:
    assert spans(text) == expected
    assert not find_candidates(text).broken_off


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1',
        '{"a": [1, 2]',
        '{"a": "x}',
        "{'a': 'x}",
        'Here: {"a": {"b": 1}',
        '{"a": 1} and then {"b": ',
        "{",
        "[",
        '```json\n{"a": "x\n```',
        '{"a": 1}, "b": 2',
    ],
)
def test_notices_what_breaks_off(text: str) -> None:
    assert find_candidates(text).broken_off


@pytest.mark.parametrize(
    "text",
    [
        'Result: {\\"title\\": "x", "k": {"a": 1}',
        'result: {\u00e9t\u00e9: {"a": 1}, b',
        'result: {item.name: {"a": 1}, b',
        'Here: Ticket(title="x", child={"a": 1}',
        'Here: {title = "x", child: {"a": 1}',
        'Answer: { 1: "x", "inner": {"a": 1}',
        'Answer: { **title**: x, "inner": {"a": 1}',
        'Tickets: [ticket1, {"a": 1}, and',
        'Tickets: [ticket1 (the first), {"a": 1}, and',
        'Here: Ticket(title=f(x), child={"a": 1}',
        '[<item>{"a": 1}, <item>{"a": 2}',
    ],
)
def test_a_part_of_what_breaks_off_is_not_found(text: str) -> None:
    found = find_candidates(text)

    assert (found.whole, found.broken_off) == ((), True)


@pytest.mark.parametrize(
    "text",
    [
        'The range is [0, 1). {"a": 1}',
        'The range is ]0, 1[ or (0, 1]. {"a": 1}',
        'As asked (see above: {"a": 1}',
        'It begins with `{` or `[`: {"a": 1}',
        'Ticket(child={"a": 1})',
        '{{"a": 1}}',
        'a) b] c} {"a": 1}',
        '{"a": 1} and press { to open',
        'For x in [a, b) the mean holds. {"a": 1}',
        'Prices lie in [$10, $20). {"a": 1}',
        'Valid for (0, 1] and [-inf, inf): {"a": 1}',
        'It is [0, n) then. {"a": 1}',
        'f(x is {"a": 1}',
        'As asked (see above, {"a": 1}',
        'range(0, 10] {"a": 1}',
        'Use the form `{summary, ...`. {"a": 1}',
        'Call get_ticket(id=3, then: {"a": 1}',
        '{"a": 1} is f(x and so on',
    ],
)
def test_a_bracket_in_prose_hides_nothing(text: str) -> None:
    assert '{"a": 1}' in [span.strip("{}").join("{}") for span in spans(text)]
    assert not find_candidates(text).broken_off


def test_a_span_before_what_breaks_off_is_found() -> None:
    found = find_candidates('{"a": 1} or Ticket({"a": 2}, {"a": 3}')

    assert (len(found.whole), found.broken_off) == (1, True)


def test_nothing_inside_a_broken_span_is_found() -> None:
    text = '[{"a": 1}, {"a": 2}, {"a":'

    assert find_candidates(text).whole == ()


def test_a_complete_span_before_a_broken_one_is_found() -> None:
    found = find_candidates('{"a": 1} {"b": ')

    assert (len(found.whole), found.broken_off) == (1, True)


@pytest.mark.parametrize(
    ("text", "form", "data"),
    [
        ('{"a": [1]}', "json", {"a": [1]}),
        ("{'a': [1,]}", "relaxed", {"a": [1]}),
        ('{\\"a\\": \\"say \\\\\\"hi\\\\\\"\\"}', "relaxed", {"a": 'say "hi"'}),
        ('{"a": 1} : 2', "json", {"a": 1}),
        ('["a": 1]', "malformed", None),
        ('{"a": 1', "relaxed", {"a": 1}),
    ],
)
def test_a_value_is_read_strictly_then_forgivingly(
    text: str, form: str, data: Any
) -> None:
    (found,) = find_candidates(text).candidates

    assert (found.form, found.data) == (form, data)


def test_spans_beyond_the_first_that_are_no_json_are_not_read() -> None:
    found = find_candidates("see {a: 1} " * (MAX_TRIES + 2)).candidates

    assert [one.form for one in found[-3:]] == ["relaxed", "malformed", "malformed"]


def test_a_long_text_is_read_strictly_only() -> None:
    text = "['" + "x" * MAX_RELAXED + "']"

    assert [one.form for one in find_candidates(text).candidates] == ["malformed"]


def test_a_badly_quoted_span_goes_on_where_the_text_does() -> None:
    text = '["k": "} ", "x": 1]", "y": 2] end'

    assert spans(text) == ['["k": "} ", "x": 1]", "y": 2]']


@pytest.mark.parametrize(
    "text",
    [
        "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
        '{"a":' * 200_000,
        "[" * 1_000_000,
        "x" + "[]" * (MAX_CANDIDATES + 1),
        '{"a": ' + '"' * (2 * MAX_TOKENS) + "}",
    ],
    ids=["deep", "nested objects", "brackets", "many spans", "quotes"],
)
def test_what_is_beyond_reading_is_given_up(text: str) -> None:
    found = find_candidates(text)

    assert found.unreadable
    assert found.candidates == ()


@pytest.mark.parametrize(
    "text",
    [
        "{" * 10_000,
        "x" + "{" * 1_000_000,
        '{"a": "' + "x" * 100_000,
        '{"a": "x}' + "x}" * 500_000 + '" z',
        "{" + " " * 1_000_000,
        '{"a": "' + "\\" * 1_000_000,
        "{ " * 500_000,
        "'" * 1_000_000,
        '{"a": 1} {note} ' * 60_000,
        'x {"a": 1} ' + "[(f(" * 200_000,
        "f(" * 200_000 + ' {"a": 1}' * 9_000,
    ],
    ids=[
        "10k",
        "prose 1M",
        "unclosed",
        "braces",
        "spaces",
        "slashes",
        "gaps",
        "q",
        "mix",
        "open prose",
        "open before",
    ],
)
def test_hostile_texts_end(text: str) -> None:
    # A quadratic pass would need billions of calls.
    assert effort_of(lambda: find_candidates(text)) < 20 * len(text) + 500


@settings(deadline=None)
@given(CONTAINERS)
def test_every_json_container_is_one_span(value: Any) -> None:
    text = json.dumps(value)

    assert spans(text) == [text]


@settings(deadline=None)
@given(CONTAINERS, st.data())
def test_no_prefix_of_json_is_a_span(value: Any, data: st.DataObject) -> None:
    text = json.dumps(value)
    prefix = text[: data.draw(st.integers(1, len(text) - 1))]

    found = find_candidates(prefix)

    assert found.whole == ()
    assert found.broken_off


@settings(deadline=None)
@given(CONTAINERS, st.data())
def test_no_prefix_of_a_python_literal_is_a_span(
    value: Any, data: st.DataObject
) -> None:
    text = repr(value)
    prefix = text[: data.draw(st.integers(1, len(text) - 1))]

    assert find_candidates(prefix).whole == ()


@settings(deadline=None)
@given(st.text(alphabet="{}[]\"'\\:,a1 \n`", max_size=200))
def test_any_text_gives_spans_in_order_that_do_not_overlap(text: str) -> None:
    end = 0
    for span in find_candidates(text).candidates:
        assert end <= span.start < span.end <= len(text)
        assert text[span.start] in "{["
        end = span.end
