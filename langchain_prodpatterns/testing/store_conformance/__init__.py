"""Bring your own store: the tests that every `CacheStore` passes, as a pytest suite.

`SemanticJudgeCache(store=...)` takes any store that keeps the contract of
`langchain_prodpatterns.cache.stores.CacheStore`. Subclass `StoreConformance`, say how
your store is opened, and run pytest (`pip install "langchain-prodpatterns[testing]"`):

```python
from functools import partial

import pytest

from langchain_prodpatterns.cache.stores import LocalStore  # yours, instead
from langchain_prodpatterns.testing.store_conformance import StoreConformance


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


class TestMyStore(StoreConformance):
    @pytest.fixture
    def open_store(self, tmp_path):
        self.clock = Clock()
        return partial(LocalStore, tmp_path / "store.db", clock=self.clock)

    def age(self, store, seconds):
        self.clock.now += seconds
```

`open_store` is a fixture that returns a function; what it opens is empty at the start
of a test, and closed by the suite at its end. Called twice in a test, it opens the same
storage where the store is `shared`. It takes the options `max_entries` and `max_bytes`;
a store that has no such bounds says so by `has_max_entries = False` and
`has_max_bytes = False`.

The rest is optional. A test that needs a hook which is not there is skipped, and says
which:

- `age(store, seconds)` makes all that is in the store look so much older. Without it
  the tests sleep, and those are skipped that need a time that stands still.
- `damage(store, key)` spoils the row of an entry behind the store's back.
- `make_newer(store)` marks the storage as written by a later version.
- `process_opener()` returns what another process opens the same storage with: a
  function that `pickle` takes, such as `functools.partial(MyStore, dsn)`.
- `tallied_partitions` is how many partitions' tallies the store keeps.

A test that your store cannot pass may be overridden only with
`@pytest.mark.xfail(reason=...)`, so that your users can read what it does not do.
"""

from langchain_prodpatterns.errors import MissingExtraError

try:
    import hypothesis  # noqa: F401 - whether it is there
    import pytest
except ModuleNotFoundError as error:
    _feature = "StoreConformance"
    raise MissingExtraError(_feature, "testing") from error

_MODULES = (
    "bulk",
    "claims",
    "closing",
    "damage",
    "entries",
    "histories",
    "kit",
    "lifetimes",
    "neighbors",
    "removal",
    "room",
    "scans",
    "sharing",
    "suite",
    "tallies",
    "twins",
    "verdicts",
)
pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in _MODULES))

from langchain_prodpatterns.testing.store_conformance.suite import (  # noqa: E402 - pytest must know first which modules to rewrite
    StoreConformance,
)

__all__ = ["StoreConformance"]
