import pytest

from langchain_prodpatterns.guard.detectors.cues import label


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
    ],
)
def test_a_label_stands_directly_before(context: str, *, labeled: bool) -> None:
    assert (label("order sku").search(context) is not None) is labeled
