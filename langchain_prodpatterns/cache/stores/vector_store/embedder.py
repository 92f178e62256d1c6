"""Which embedding model the vectors are of, and which release wrote them."""

from collections.abc import Collection

from langchain_prodpatterns.cache.stores.vector_store.asking import (
    Questions,
    Read,
    Write,
)
from langchain_prodpatterns.cache.stores.vector_store.records import (
    DamagedRecord,
    NewerRecord,
    seal,
    unseal,
)
from langchain_prodpatterns.errors import StoreError
from langchain_prodpatterns.fingerprints import Fingerprint

ABOUT = "about"
"""The name of the record."""


def written(fingerprint: Fingerprint | None) -> tuple[str, bytes]:
    """Return what to write about the vectors."""
    known = fingerprint and [fingerprint.name, fingerprint.dimensions]
    return ABOUT, seal(ABOUT, {"embedder": known})


def read(raw: bytes | None) -> Fingerprint | None:
    """Return the embedding model of the vectors, if there are any.

    Raises:
        StoreError: When that cannot be read.
    """
    if raw is None:
        return None
    try:
        known = unseal(ABOUT, raw)["embedder"]
    except NewerRecord as error:
        msg = (
            "the key-value store holds a cache that a newer release has written: use "
            "that release, or give another prefix"
        )
        raise StoreError(msg) from error
    except DamagedRecord as error:
        msg = (
            "what the key-value store holds about the cache is damaged: remove what is "
            "under the prefix, or give another prefix"
        )
        raise StoreError(msg) from error
    return known and Fingerprint(*known)


def known() -> Questions[Fingerprint | None]:
    """Read which embedding model the vectors are of."""
    (raw,) = yield Read([ABOUT])
    return read(raw)


def opened() -> Questions[None]:
    """Write down which release wrote it; refuse what a newer one wrote."""
    (raw,) = yield Read([ABOUT])
    if raw is None:
        yield Write([written(None)])
    read(raw)


def first(
    stored: Fingerprint | None, name: str, sizes: Collection[int]
) -> Fingerprint | None:
    """Return which embedding model is now the one of all vectors, if that is news.

    Args:
        stored: Which one was, if there were vectors.
        name: The one that was bound.
        sizes: The lengths of the vectors that are to be stored.

    Raises:
        StoreError: When they are of another.
    """
    given = [Fingerprint(name, size) for size in sorted(sizes)]
    allowed = stored or (given[0] if given else None)
    for one in given:
        if one != allowed:
            msg = f"the store holds vectors of {allowed}, not of {one}"
            raise StoreError(msg)
    return allowed if stored is None else None
