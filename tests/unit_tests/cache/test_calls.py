"""One call of a cached chain."""

import pytest

from langchain_prodpatterns.cache.admission import Unworthy
from langchain_prodpatterns.cache.calls import _worthy
from langchain_prodpatterns.cache.endings import Endings
from langchain_prodpatterns.testing import Reply, ScriptedChatModel


def test_a_value_is_worth_storing_where_nothing_speaks_against_it() -> None:
    value = {"output": "a", "chunks": None}

    assert _worthy(lambda: value, Endings()) is value


def test_nothing_is_not_worth_storing() -> None:
    with pytest.raises(Unworthy, match="empty"):
        _worthy(lambda: None, Endings())


@pytest.mark.parametrize("value", [{"output": "cut"}, {"chunks": [{"a": "cut"}]}])
def test_half_an_answer_is_not(value: dict[str, object]) -> None:
    endings = Endings()
    model = ScriptedChatModel(replies=[Reply.truncated("cut"), "whole"])
    for _ in range(2):
        model.invoke("Why?", {"callbacks": [endings]})

    with pytest.raises(Unworthy, match="length"):
        _worthy(lambda: value, endings)
    assert _worthy(lambda: {"output": "whole"}, endings)
