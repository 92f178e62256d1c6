import re

import pytest

from langchain_prodpatterns.guard.detectors.cues import label, mention


@pytest.mark.parametrize(
    ("context", "labeled"),
    [
        ("order ", True),
        ("your order: ", True),
        ("order no. ", True),
        ("order number is ", True),
        ("orders #", True),
        ("order_id=", True),
        ('"order": "', True),
        ("border ", False),
        ("orderly ", False),
        ("order it on ", False),
        ("order, ", False),
        ("in order to ", False),
        ("order n\u00b0 ", True),
        ("order (((", True),
        ("order ((((", False),
        ("order 12 ", False),
        ("order. ", True),
        ("", False),
    ],
)
def test_a_label_stands_directly_before(context: str, *, labeled: bool) -> None:
    assert label("order sku").heads(context) is labeled


@pytest.mark.parametrize("name", ["\u00a7", "section"])
def test_a_label_may_be_a_sign(name: str) -> None:
    assert label("section \u00a7").heads(f"see {name} ")


@pytest.mark.parametrize(
    ("text", "mentioned"),
    [
        ("my tel is", True),
        ("telephone", True),
        ("text me at", True),
        ("hotel", False),
        ("_tel", False),
        ("tels", False),
        ("telex", False),
        ("(tel)", True),
        ("m\u00fatel", False),
    ],
)
def test_a_word_is_mentioned_where_it_stands_alone(
    text: str, *, mentioned: bool
) -> None:
    found = re.search(mention("tel telephone text_me"), text)
    assert (found is not None) is mentioned
