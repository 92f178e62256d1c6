"""All tests of the contract in one class."""

from langchain_prodpatterns.testing.store_conformance.bulk import BulkTests
from langchain_prodpatterns.testing.store_conformance.claims import ClaimTests
from langchain_prodpatterns.testing.store_conformance.closing import ClosingTests
from langchain_prodpatterns.testing.store_conformance.damage import DamageTests
from langchain_prodpatterns.testing.store_conformance.entries import EntryTests
from langchain_prodpatterns.testing.store_conformance.histories import HistoryTests
from langchain_prodpatterns.testing.store_conformance.lifetimes import LifetimeTests
from langchain_prodpatterns.testing.store_conformance.neighbors import NeighborTests
from langchain_prodpatterns.testing.store_conformance.removal import RemovalTests
from langchain_prodpatterns.testing.store_conformance.room import RoomTests
from langchain_prodpatterns.testing.store_conformance.scans import ScanTests
from langchain_prodpatterns.testing.store_conformance.sharing import SharingTests
from langchain_prodpatterns.testing.store_conformance.tallies import TallyTests
from langchain_prodpatterns.testing.store_conformance.twins import TwinTests
from langchain_prodpatterns.testing.store_conformance.verdicts import VerdictTests


def _is_excused(test: object) -> bool:
    """Whether a test is marked as one that fails, with a reason."""
    marks = getattr(test, "pytestmark", [])
    return any(mark.name == "xfail" and mark.kwargs.get("reason") for mark in marks)


class StoreConformance(
    EntryTests,
    NeighborTests,
    VerdictTests,
    LifetimeTests,
    RoomTests,
    RemovalTests,
    ScanTests,
    ClaimTests,
    TallyTests,
    BulkTests,
    DamageTests,
    ClosingTests,
    SharingTests,
    TwinTests,
    HistoryTests,
):
    """What every `CacheStore` does: subclass it with a fixture `open_store`.

    See the docstring of `langchain_prodpatterns.testing.store_conformance`.
    """

    def test_no_test_is_overridden(self) -> None:
        """A store passes the suite as it is, or says in public what it does not do."""
        ours = {name for name in dir(StoreConformance) if name.startswith("test_")}
        changed = {
            name: getattr(type(self), name)
            for name in ours
            if getattr(type(self), name) is not getattr(StoreConformance, name)
        }
        silent = sorted(n for n, test in changed.items() if not _is_excused(test))

        assert not silent, (
            f"overridden without a reason: {silent}. Mark a test that the store cannot "
            'pass with @pytest.mark.xfail(reason="...")'
        )
