"""The lines of an export: written, read again, and refused when they are none."""

import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.cache.stores import Entry
from langchain_prodpatterns.commands.archive import (
    BadLine,
    Header,
    entry_line,
    header_line,
    key_of,
    read_entry,
    read_fields,
    read_header,
)
from langchain_prodpatterns.fingerprints import Fingerprint
from langchain_prodpatterns.usage import Usage

MODEL = Fingerprint("model", 3)
HEADER = Header(MODEL, 2)
_BEGUN = '{"format": "prodpatterns-cache", "version": 1, "embedder": '
EAST = np.array([1, 0, 0], np.float32)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
ANY_TEXT = st.text(min_size=1)
SURROGATES = st.text(st.sampled_from("a\ud800\0\n\u2028😀"), min_size=1)


def entry(**changed: Any) -> Entry:
    fields: dict[str, Any] = {
        "key": "k",
        "partition": "p",
        "exact": "x",
        "text": "t",
        "value": '"v"',
        "namespace": "n",
        **changed,
    }
    return Entry(**fields)


def line(**changed: Any) -> str:
    return json.dumps({**json.loads(entry_line(entry(), EAST)), **changed})


@pytest.mark.parametrize(
    "header", [HEADER, Header(Fingerprint("model"), 0), Header(None, None)]
)
def test_a_header_comes_back(header: Header) -> None:
    assert read_header(header_line(header)) == header


@given(
    text=st.none() | ANY_TEXT | SURROGATES,
    namespace=ANY_TEXT | SURROGATES,
    metadata=st.dictionaries(st.text(), JSON, max_size=3),
    usd=st.none() | st.floats(0, 1e6),
)
def test_an_entry_comes_back_whole(
    text: str | None, namespace: str, metadata: dict[str, Any], usd: float | None
) -> None:
    given = entry(
        text=text,
        namespace=namespace,
        metadata=metadata,
        saved=Usage(1, 2, 3, usd, 0.5, 4, 5, 6),
        ttl=60.0,
    )
    written = entry_line(given, EAST)

    found, vector = read_entry(read_fields(written), HEADER, now=0.0)

    assert found == given
    assert vector is not None
    assert vector.dtype == np.float32
    assert vector.tolist() == EAST.tolist()
    assert written.isascii()
    assert "\n" not in written
    assert key_of(written) == "k"


def test_what_an_answer_has_left_to_live_is_counted_from_when_it_was_stored() -> None:
    written = entry_line(entry(created=100.0, ttl=60.0), None)

    ages = [
        read_entry(read_fields(written), HEADER, now)[0].ttl
        for now in (110.0, 160.0, 200.0)
    ]

    assert ages == [50.0, 0.0, -40.0]
    assert (
        read_entry(read_fields(entry_line(entry(), None)), HEADER, 9.0)[0].ttl is None
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no JSON object"),
        ("[]", "no JSON object"),
        ("{", "no JSON object"),
        ("[" * 100_000, "no JSON object"),
        ("{}", "no export"),
        ('{"format": "prodpatterns-cache", "version": 2}', "version 2"),
        *(
            (f'{_BEGUN}{{"name": {name}}}}}', "'embedder'")
            for name in ("1", '""', r'"half \ud800"', r'"\u0000"')
        ),
    ],
)
def test_what_is_no_header_is_refused(text: str, reason: str) -> None:
    with pytest.raises(BadLine, match=reason):
        read_header(text)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        *(({name: None}, f"'{name}'") for name in ("key", "exact", "value")),
        *(({name: ""}, f"'{name}'") for name in ("partition", "namespace")),
        ({"key": 1}, "'key'"),
        ({"key": "half \ud800"}, "'key'"),
        ({"partition": "a\0"}, "'partition'"),
        ({"exact": "\udc00"}, "'exact'"),
        ({"value": '"\ud800"'}, "'value'"),
        ({"text": 1}, "'text'"),
        ({"metadata": None}, "'metadata'"),
        ({"expires": "soon"}, "'expires'"),
        ({"expires": True}, "'expires'"),
        ({"saved": None}, "'saved'"),
        ({"saved": {"surprise": 1}}, "'saved'"),
        ({"saved": {"calls": -1}}, "'saved'"),
        ({"saved": {"calls": None}}, "'saved'"),
        ({"saved": {"seconds": "1"}}, "'saved'"),
        ({"vector": 1}, "'vector'"),
        ({"vector": ""}, "'vector'"),
        ({"vector": "ü"}, "'vector'"),
        ({"vector": "AAAA"}, "0 dimensions"),
        ({"vector": "AACAPw=="}, "1 dimensions"),
        ({"vector": "AACAPwAAgD8AAAAA"}, "unit length"),
        ({"vector": "AADAfwAAAAAAAAAA"}, "unit length"),
    ],
)
def test_a_field_of_another_form_is_refused_by_its_name(
    changed: dict[str, Any], reason: str
) -> None:
    with pytest.raises(BadLine, match=reason):
        read_entry(read_fields(line(**changed)), HEADER, 0.0)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_only_python_takes_for_json_is_refused(number: str) -> None:
    with pytest.raises(BadLine, match="no JSON object"):
        read_entry(read_fields(f'{{"metadata": {number}}}'), HEADER, 0.0)


def test_without_an_embedding_model_there_is_no_vector() -> None:
    assert read_entry(read_fields(line(vector=None)), Header(None), 0.0)[1] is None
    with pytest.raises(BadLine, match="'vector'"):
        read_entry(read_fields(line()), Header(None), 0.0)


@given(st.sampled_from(list(json.loads(line()))), JSON)
def test_whatever_is_in_a_field_is_read_or_refused(name: str, value: Any) -> None:
    with suppress(BadLine):
        read_entry(read_fields(line(**{name: value})), HEADER, 0.0)
