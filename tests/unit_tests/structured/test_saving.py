"""A patch is asked for where it takes fewer tokens than the whole answer."""

from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from langchain_prodpatterns.structured.attempts import FieldError
from langchain_prodpatterns.structured.patching import Mendable, Place, Pointer
from langchain_prodpatterns.structured.saving import saves_tokens
from langchain_prodpatterns.structured.targets import make_target

LONG = "a broken door " * 20
ASKING = [HumanMessage("my door")]


def answer(data: Any, *pointers: Pointer, is_there: bool = True) -> Mendable:
    error: FieldError = make_target(int).error((), "no", with_value=False)
    places = tuple(Place(pointer, is_there, error) for pointer in pointers)
    return Mendable(data, places)


@pytest.mark.parametrize(
    ("mending", "saves"),
    [
        (answer({"title": LONG, "n": "x"}, ("n",)), True),
        (answer({"title": "door", "n": "x"}, ("n",)), False),
        # The new value is as long as the old one.
        (answer({"title": "door", "n": LONG}, ("n",)), False),
        (answer({"title": LONG}, ("n",), is_there=False), True),
        (answer([{"n": "x", "title": LONG}], ("0", "n")), True),
        # Each place has an operation of its own.
        (answer([["x"] * 99], *[("0", str(at)) for at in range(99)]), False),
        (answer({"title": LONG, "n": float("nan")}, ("n",)), True),
    ],
)
def test_a_patch_repeats_less_than_the_whole(mending: Mendable, *, saves: bool) -> None:
    assert saves_tokens(ASKING, ASKING, mending) is saves


def test_what_has_to_be_told_counts_too() -> None:
    short = answer({"title": "door", "n": "x"}, ("n",))
    long = answer({"title": LONG, "n": "x"}, ("n",))
    told = [*ASKING, HumanMessage(LONG * 2)]

    assert saves_tokens(ASKING, told, short)
    assert not saves_tokens(told, ASKING, long)
