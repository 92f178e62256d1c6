"""What is malformed is read as it is meant, in linear time, or refused."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_prodpatterns.structured.forgiving import MAX_DEPTH, forgive
from langchain_prodpatterns.structured.texts import InexactError
from tests.unit_tests.effort import effort_of
from tests.unit_tests.structured.test_candidates import CONTAINERS


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("{a: hello world, b: 2}", {"a": "hello world", "b": 2}),
        ("{a: hello\nb: it is}", {"a": "hello", "b": "it is"}),
        ("{a: one, two and three, b: 4}", {"a": "one, two and three", "b": 4}),
        ("{a: f(x: int, y), b: 1}", {"a": "f(x: int, y)", "b": 1}),
        ('{a: say "hi" now\nand then\n}', {"a": 'say "hi" now\nand then'}),
        ("{a: https://x.org/y,b: 1}", {"a": "https://x.org/y", "b": 1}),
        ('{"a" "b"}', {"a": "b"}),
        ("{a = 1, b => 2}", {"a": 1, "b": 2}),
        ('{"a": "x" "b": "y"}', {"a": "x", "b": "y"}),
        ('["a" "b" 1 2]', ["a", "b", 1, 2]),
        ("[1,,2,]", [1, 2]),
        ("[1, 2, ..., 9]", [1, 2, 9]),
        ("[1, \u2026]", [1]),
        ("{a: 1, ...}", {"a": 1}),
        ("(1, (2, 3))", [1, [2, 3]]),
        ('{"a": "b,c,"d":"e"}', {"a": "b,c", "d": "e"}),
        ('{"a": "say "hi" to me"}', {"a": 'say "hi" to me'}),
        ('{"a": "one, "two" three", "b": 1}', {"a": 'one, "two" three', "b": 1}),
        ('{"a": "[x]("http://y")", "b": 1}', {"a": '[x]("http://y")', "b": 1}),
        ('{"a": "x{"b": "5"}, y.", "c": 1}', {"a": 'x{"b": "5"}, y.', "c": 1}),
        ('["a,"b"]', ["a", "b"]),
        ('{"tv": "72""}', {"tv": '72"'}),
        ('[{"i":1{"i":2}]', [{"i": 1}, {"i": 2}]),
        ('[{"a": "b"], 1', [{"a": "b"}]),
        ("[2,}", [2]),
        ("{]", {}),
        ('["a" + "b" + \'c\']', ["abc"]),
        ('{"a": NumberLong("2"), "b": ISODate("x")}', {"a": "2", "b": "x"}),
        ("callback({a: 1});", {"a": 1}),
        ("[/a\\d/, true, None, undefined]", ["/a\\d/", True, None, None]),
        ("[007, 1_000, 1/2x, 5., 2e, 1.2.3]", ["007", 1000, "1/2x", 5.0, 2, "1.2.3"]),
        ("{a: 10-20, b: 5 kg}", {"a": "10-20", "b": "5 kg"}),
        ('{"a": ```py\nx = {}\n```, "b": 1}', {"a": "x = {}", "b": 1}),
        ('{"a": """\n  x\n    y\n""" "b": 1}', {"a": "x\n  y", "b": 1}),
        (
            r"{'a': '\d \' \x41 \U0001F600 \ud83d\ude00'}",
            {"a": "\\d ' A \U0001f600 \U0001f600"},
        ),
        ('{"a": "b\n"}', {"a": "b"}),
        ('{"a": 1}, "b": 2}', {"a": 1, "b": 2}),
        ('{"a": 1},\n"b": [2]}, "c": 3}', {"a": 1, "b": [2], "c": 3}),
        ('{"a": "x", NOTE "b": "say "y", z." }', {"a": "x", "b": 'say "y", z.'}),
        ('{NOTE "a": 1}', {"a": 1}),
        ('{\\n "a": "x",\\n "b": 1\\t}', {"a": "x", "b": 1}),
        ("{a: **b, c** and\n\nd\n}", {"a": "**b, c** and\n\nd"}),
        ("{a: $1,200.50, b: <c>}", {"a": "$1,200.50", "b": "<c>"}),
        ('{"a": "x"", "b": ["y""], "c": "it"}', {"a": "x", "b": ["y"], "c": "it"}),
        ('{"a": ""x" y", "b": [""x" y"]}', {"a": '"x" y', "b": ['"x" y']}),
        ('["the "best", they said", "b"]', ['the "best", they said', "b"]),
        ('["a "b"", true, "c"]', ['a "b"', True, "c"]),
        ('["a 7" b", true, "c"]', ['a 7" b', True, "c"]),
        (
            '{"a": "x",, "b": false,, "c": [1,,"y",,2]}',
            {"a": "x", "b": False, "c": [1, "y", 2]},
        ),
        ('{"a": "x"; "b": 2; "c": 3}', {"a": "x", "b": 2, "c": 3}),
        ('{"a": b\\nc", "d": 1}', {"a": "b\nc", "d": 1}),
        (
            '{"a: {"b": 1}, "c: [2], "d: true, "e: "f"}',
            {"a": {"b": 1}, "c": [2], "d": True, "e": "f"},
        ),
        ('{"a": {"b": "c}, "d": 1}', {"a": {"b": "c"}, "d": 1}),
        ('{"a": {"b": "c\n}],\n"d": 1}', {"a": {"b": "c"}, "d": 1}),
        ('[{"a": 1}}, {"a": 2}]', [{"a": 1}, {"a": 2}]),
        ('{"a": [{"b": 1}}, {"b": 2}]}', {"a": [{"b": 1}, {"b": 2}]}),
        ('[{"a": [{}}, {"a": [2]}]', [{"a": [{}]}, {"a": [2]}]),
        ("{a: 12:30, b: [8:15, 2]}", {"a": "12:30", "b": ["8:15", 2]}),
        ("{a: (x, y) => z, b: (1, 2)}", {"a": "(x, y) => z", "b": [1, 2]}),
        (
            '{"a": "```{"b": [1],"c": 2}```", "d": 3}',
            {"a": '```{"b": [1],"c": 2}```', "d": 3},
        ),
    ],
)
def test_reads_what_is_meant(text: str, data: Any) -> None:
    read = forgive(text)

    assert (read.data, read.broken_off) == (data, False)


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("[", []),
        ('{"a', {}),
        ('{"a": ', {}),
        ('{"a": "b', {"a": "b"}),
        ('{"a": "b\\u00', {"a": "b"}),
        ('{"a": "b\\', {"a": "b"}),
        ('{"a": "b\\ud83d', {"a": "b"}),
        ('{"a": "b\\ud83d\\ude0', {"a": "b"}),
        ('{"a": [1, {"b": tru', {"a": [1, {"b": True}]}),
        ("[2.5e-", [2.5]),
        ('{"a": "12:20}', {"a": "12:20"}),
        ('{"a": "f(x)}', {"a": "f(x)"}),
        ('{"a": {"b": "{c}, "d": 1}', {"a": {"b": "{c}", "d": 1}}),
        ('["a, 2]', ["a", 2]),
        ('{"a": "b, c: true}', {"a": "b", "c": True}),
        ("[1, 2\n```", [1, 2]),
        ('{"a": "x{"b": "5"}', {"a": 'x{"b": "5"'}),
        ('"abc', "abc"),
    ],
)
def test_what_breaks_off_is_read_as_far_as_it_goes(text: str, data: Any) -> None:
    read = forgive(text)

    assert (read.data, read.broken_off) == (data, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        '["a": 1]',
        "{'a', 'b'}",
        '{"a": }',
        '{"a": [1], [2]}',
        "{{}}",
        "['\\ud800']",
        "f([1",
        "[" * (MAX_DEPTH + 1),
    ],
)
def test_refuses_what_has_no_one_meaning(text: str) -> None:
    with pytest.raises(InexactError):
        forgive(text)


@pytest.mark.parametrize(
    ("text", "data"),
    [
        # What the last text ends with is its own.
        ('{"a": 1, "b}', {"a": 1}),
        ('[1, {"}', [1, {}]),
        ('[[{"a": "b"}, false, 1], {"c": 2', [[{"a": "b"}, False, 1], {"c": 2}]),
        ('[{"a": "b"}, nul', [{"a": "b"}, None]),
        ('[{"a": "b"}, None, {"c": "', [{"a": "b"}, None, {"c": ""}]),
    ],
)
def test_a_text_that_breaks_off_is_read_to_its_end(text: str, data: Any) -> None:
    read = forgive(text)

    assert (read.data, read.broken_off) == (data, True)


@settings(deadline=None)
@given(CONTAINERS, st.data())
def test_a_beginning_of_json_breaks_off(value: Any, data: st.DataObject) -> None:
    text = json.dumps(value)
    length = data.draw(st.integers(1, len(text) - 1))

    assert forgive(text[:length]).broken_off


@settings(deadline=None)
@given(st.text(alphabet="{}[]()\"'\\:,a1 \n`tfn-.e/*+\u201c", max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read = forgive(text)
    except InexactError:
        return
    assert 0 <= read.end <= len(text)
    json.dumps(read.data)


@pytest.mark.parametrize(
    "piece",
    [
        '["a,',
        '"a" b, ',
        '{"a": "',
        '{"a": "b" c, ',
        "{a: b, ",
        '["x"y, ',
        "f(",
        '"',
        "'",
        "```",
        '{"a": ```',
    ],
)
@pytest.mark.parametrize("before", ["", '{"a": "', "[", "{a: "])
def test_the_work_grows_with_the_length(piece: str, before: str) -> None:
    text = before + piece * 3_000

    def read() -> None:
        with suppress(InexactError):
            forgive(text)

    # A quadratic pass would need millions of calls.
    assert effort_of(read) < 38 * len(text) + 500


@pytest.mark.parametrize("gap", ["\n", "\n ", " \n\t"])
def test_a_long_gap_in_a_text_without_quotes_is_gone_over_once(gap: str) -> None:
    # To look past each line break anew would take hours.
    inside = "x" + gap * 600_000 + "y"

    assert forgive(f"{{a: {inside}, b: 2}}").data == {"a": inside, "b": 2}
