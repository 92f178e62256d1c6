"""A line is the JSON object that it should be, or none."""

import pytest

from langchain_prodpatterns.json_lines import read_object


def test_an_object_is_read() -> None:
    assert read_object('{"a": [1, null]}\n') == {"a": [1, None]}


@pytest.mark.parametrize("line", ["", "[1]", '"a"', '{"a": NaN}', "{", "[" * 100_000])
def test_what_is_none_is_told(line: str) -> None:
    assert read_object(line) is None
