"""Claims of the threads of one process."""

from langchain_prodpatterns.cache.stores.vector_store.claims import Claims
from tests.unit_tests.cache.conftest import Clock
from tests.unit_tests.cache.stores.vector_store.conftest import open_in_memory


def test_what_is_over_is_not_kept() -> None:
    clock = Clock()
    claims = Claims(clock)
    for number in range(10):
        assert claims.claim(f"{number}", "a", 1.0) is True
    clock.now += 1.0

    assert claims.claim("last", "a", 1.0) is True
    assert list(claims._held) == ["last"]


def test_a_claim_is_of_the_process_alone() -> None:
    """So nobody is told that it holds for others."""
    store = open_in_memory()
    assert store.shared is False
    assert store.claim("it", "a", 60.0) is True
    assert store.claim("it", "b", 60.0) is False
