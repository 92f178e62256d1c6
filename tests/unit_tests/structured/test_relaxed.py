"""What is JSON but for its notation is read exactly; all else is refused."""

import json
import random
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from langchain_prodpatterns.structured.relaxed import parse
from langchain_prodpatterns.structured.texts import InexactError
from tests.unit_tests.effort import effort_of
from tests.unit_tests.structured.test_candidates import CONTAINERS


def read(text: str) -> Any:
    return parse(text).data


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("{'a': \"b\", `c`: “d”, ‘e’: 'f'}", {"a": "b", "c": "d", "e": "f"}),
        ("{a: 1, $b-c.d: 2, 3: 4, None: 5}", {"a": 1, "$b-c.d": 2, "3": 4, "None": 5}),
        ("[True, False, None, true, NULL]", [True, False, None, True, None]),
        ("[+1, -1, 1_000, .5, -.5, 5., 1e3]", [1, -1, 1000, 0.5, -0.5, 5.0, 1000.0]),
        ('["one\ntwo\n", "\ttab"]', ["one\ntwo", "\ttab"]),
        ('{"a\n": "b"}', {"a\n": "b"}),
        (r"""['it\'s', "\'", '\"', '"']""", ["it's", "'", '"', '"']),
        (r"['\x41\U0001F600\u00e9\n\\']", ["A\U0001f600\u00e9\n\\"]),
        (r'["\d+", "C:\Program Files",]', [r"\d+", r"C:\Program Files"]),
        ('["", "" ]', ["", ""]),
        ("['1', '' , ''\n]", ["1", "", ""]),
        ("{'a': [1, 2,], 'b': {},}", {"a": [1, 2], "b": {}}),
        ("{// one\n'a': 1, # two\n/* ] three */ 'b': 2}", {"a": 1, "b": 2}),
        ("['[x', '{y', 'z, //'],", ["[x", "{y", "z, //"]),
        ('{"a": "x" "b": 1 c: 2}', {"a": "x", "b": 1, "c": 2}),
        ('[{}{} 2 "y" []]', [{}, {}, 2, "y", []]),
        ("{'a':\ufeff\u00a0'b'}", {"a": "b"}),
        ('["\\"key: value, other: 3",]', ['"key: value, other: 3']),
        ("'text'", "text"),
    ],
)
def test_reads_exactly(text: str, data: Any) -> None:
    assert read(text) == data


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "]",
        "[1}",
        "[1",
        "['a",
        "[/* a",
        "{'a' 'b'}",
        "{'a'}",
        "{'a': }",
        "{'a':: 1}",
        "{'a': 1, 'a': 2}",
        "{'a': 1, '\\u0061': 2}",
        "{[]: 1}",
        "['a': 1]",
        "[,]",
        "[,1]",
        "[1,,2]",
        "[1 2]",
        "['a' 'b']",
        "['a' + 'b']",
        "{a: hello}",
        "[007]",
        "[1.2.3]",
        "[0x10]",
        "[1 ...]",
        "['''a''']",
        "[r'a']",
        '["12" pipe", "b"]',
        '["pipe 12"", "b"]',
        "[`${a}`]",
        r"['\u12']",
        r"['\x1']",
        r"['\U00110000']",
        r"['\ud800']",
        "['a\\\nb']",
        '[“a", "b”]',
        "(1, 2)",
        "[" * 300 + "]" * 300,
    ],
)
def test_refuses_what_takes_guessing(text: str) -> None:
    with pytest.raises(InexactError):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2, ...]",
        "[1, \u2026, 9]",
        "{'a': 1, ...}",
    ],
)
def test_an_ellipsis_is_no_notation(text: str) -> None:
    with pytest.raises(InexactError):
        parse(text)


def test_a_comment_stands_for_nothing() -> None:
    assert read("{'a': [1], // 50 more\n}") == {"a": [1]}


def test_a_line_break_before_the_closing_quote_of_a_value_is_layout() -> None:
    text = '{"k\n": "a\nb\n  ", "l": ["c \n"], "m": "d  ", "n": "e\\n"}'

    data = {"k\n": "a\nb", "l": ["c"], "m": "d  ", "n": "e\n"}
    assert read(text) == data


def test_it_says_where_the_value_ends() -> None:
    text = "Here: {'a': '}'} or so"

    assert text[: parse(text, text.index("{")).end].endswith("'}'}")


class _Hand:
    """Writes data as some hand would: in any notation, with comments between items."""

    def __init__(self, choose: random.Random) -> None:
        self._choose = choose

    def write(self, node: Any) -> str:
        if isinstance(node, dict):
            items = [
                f"{self._key(key)}{self._gap()}:{self._gap()}{self.write(value)}"
                for key, value in node.items()
            ]
            return self._container("{", items, "}")
        if isinstance(node, list):
            return self._container("[", [self.write(item) for item in node], "]")
        if isinstance(node, str):
            return self._text(node)
        return self._choose.choice((json.dumps, repr))(node)

    def _container(self, opening: str, items: list[str], closing: str) -> str:
        between = [f"{self._comment()}{item}{self._comment()}" for item in items]
        trailing = self._choose.choice(("", ",")) if items else ""
        return f"{opening}{','.join(between)}{trailing}{self._comment()}{closing}"

    def _key(self, key: str) -> str:
        bare = re.fullmatch(r"[A-Za-z_$][\w$]*", key)
        return key if bare and self._choose.random() < 0.5 else self._text(key)

    def _text(self, text: str) -> str:
        if self._choose.random() < 0.3:
            return self._choose.choice((json.dumps, repr))(text)
        quote = self._choose.choice("'\"")
        return f"{quote}{''.join(self._character(one, quote) for one in text)}{quote}"

    def _character(self, one: str, quote: str) -> str:
        if one in (quote, "\\"):
            return f"\\{one}"
        if ord(one) < 0x10000 and self._choose.random() < 0.1:
            return f"\\u{ord(one):04x}"
        return one

    def _gap(self) -> str:
        return self._choose.choice(("", " ", "\n  "))

    def _comment(self) -> str:
        comments = ("", "", "// it's [one\n", "# so: {\n", '/* , "x */')
        return f"{self._gap()}{self._choose.choice(comments)}{self._gap()}"


TRICKY = st.text(alphabet="\"'\\{}[]:,/#*.\n\t`\u201c\u2019\x00 ax1", max_size=12)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TRICKY
    | st.text(max_size=12)
)
KEYS = TRICKY | st.text(max_size=6) | st.sampled_from(["a", "b_1", "$c"])
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=10,
)
DATA = st.lists(VALUES, max_size=4) | st.dictionaries(KEYS, VALUES, max_size=4)


def _laid_out(node: Any) -> Any:
    """Return data whose texts have no line break at their end."""
    if isinstance(node, dict):
        return {key: _laid_out(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_laid_out(item) for item in node]
    if not isinstance(node, str):
        return node
    trimmed = node.rstrip()
    return trimmed if "\n" in node[len(trimmed) :] else node


@settings(deadline=None)
@given(DATA.map(_laid_out), st.randoms(use_true_random=False))
def test_data_in_any_notation_is_given_back(data: Any, choose: random.Random) -> None:
    text = _Hand(choose).write(data)

    parsed = parse(f"{text} and more")

    assert (parsed.data, parsed.end) == (data, len(text))


@settings(deadline=None)
@given(DATA, st.randoms(use_true_random=False), st.data())
def test_no_beginning_of_it_is_read(
    data: Any, choose: random.Random, draw: st.DataObject
) -> None:
    text = _Hand(choose).write(data)
    prefix = text[: draw.draw(st.integers(0, len(text) - 1))]

    with pytest.raises(InexactError):
        parse(prefix)


@settings(deadline=None)
@given(CONTAINERS, st.sampled_from([None, 2]), st.booleans())
def test_json_is_read_as_json(data: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(data, indent=indent, ensure_ascii=ascii_only)

    assert read(text) == data


def _has_a_key_twice(text: str) -> bool:
    twice = []

    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        twice.append(len(dict(pairs)) < len(pairs))
        return dict(pairs)

    json.loads(text, object_pairs_hook=look)
    return any(twice)


@settings(deadline=None)
@given(st.text(alphabet="{}[]\"'\\:,a1u0.-e \n/*#", max_size=40))
@example('"\\u0061": 1}')
@example('"a": 1, "a": 2}')
def test_what_is_json_means_what_it_means_in_json(text: str) -> None:
    for whole in (f"[{text}", f"{{{text}"):
        try:
            data = json.loads(whole)
        except ValueError:
            continue
        if _has_a_key_twice(whole):
            continue
        assert read(whole) == data


@settings(deadline=None)
@given(st.text(alphabet="{}[]\"'\\:,a1u0.-e \n/*#`tfn", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parsed = parse(text)
    except InexactError:
        return
    assert 0 < parsed.end <= len(text)


@pytest.mark.parametrize(
    "piece",
    [
        "{'a':",
        "[",
        "['a',",
        "[[],",
        "['" + "x" * 50,
        "[/* a */",
        "{a   ",
        "{a:[1,",
        "[#\n",
    ],
)
@pytest.mark.parametrize("times", [1_000, 4_000])
def test_the_work_grows_with_the_length(piece: str, times: int) -> None:
    text = piece * times

    def read() -> None:
        with suppress(InexactError):
            parse(text)

    # A quadratic pass would need millions of calls.
    assert effort_of(read) < 15 * len(text) + 500
