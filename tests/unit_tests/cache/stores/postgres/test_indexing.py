"""Which partitions are large."""

import pytest

from langchain_prodpatterns.cache.stores.postgres.indexing import large_ones
from langchain_prodpatterns.cache.stores.postgres.statements import Result


def test_those_with_many_vectors_are_large() -> None:
    work = large_ones(["p", "q"], 2, 10)
    (statement,) = next(work).statements

    assert statement.values == {"partitions": ["p", "q"], "rows": 10}
    with pytest.raises(StopIteration) as end:
        work.send([Result([("q",)], 1)])
    assert end.value.value == {"q"}
