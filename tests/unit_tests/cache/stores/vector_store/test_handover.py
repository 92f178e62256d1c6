"""Handing vectors over by their ids."""

import numpy as np
import pytest

from langchain_prodpatterns.cache.stores import VectorHandover
from langchain_prodpatterns.errors import ConfigurationError, StoreError

HALF = np.array([0.5, -0.25], np.float32)


async def test_what_is_held_is_handed_over() -> None:
    handover = VectorHandover()
    with handover.holding({"a": HALF, "b": -HALF}):
        assert handover.embed_documents(["b", "a"]) == [[-0.5, 0.25], [0.5, -0.25]]
        assert handover.embed_query("a") == [0.5, -0.25]
        assert await handover.aembed_documents(["a"]) == [[0.5, -0.25]]
        assert await handover.aembed_query("b") == [-0.5, 0.25]


def test_it_is_held_no_longer_than_it_takes() -> None:
    handover = VectorHandover()
    with pytest.raises(KeyError), handover.holding({"a": HALF}):
        raise KeyError

    with pytest.raises(StoreError):
        handover.embed_query("a")


def test_another_text_is_refused_without_naming_it() -> None:
    with pytest.raises(StoreError, match=r"VectorHandover\(dimensions\)") as refused:
        VectorHandover().embed_documents(["my secret"])
    assert "secret" not in str(refused.value)


def test_the_dimension_can_be_found_out_where_it_was_told() -> None:
    assert VectorHandover(3).embed_query("dummy text") == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("dimensions", [0, 1.5, "3"])
def test_a_dimension_that_is_none_is_refused(dimensions: int) -> None:
    with pytest.raises(ConfigurationError, match="dimensions"):
        VectorHandover(dimensions)
