"""Which rows a `Selection` means."""

from typing import Any

from langchain_prodpatterns.cache.digests import digest
from langchain_prodpatterns.cache.stores.base import Selection
from langchain_prodpatterns.cache.stores.sealing import as_blob


def clauses(selection: Selection, now: float) -> tuple[str, list[Any]]:
    """Return an SQL condition on the entries, and the values in it.

    Args:
        selection: The criteria; its `where` is not for SQL.
        now: Seconds since the epoch.
    """
    by_text = "(text = ? OR key IN (SELECT key FROM aliases WHERE asked = ?))"
    text, age = selection.text, selection.older_than
    given: list[tuple[str, list[Any]]] = [("1", [])]
    if selection.key is not None:
        given.append(("key = ?", [selection.key]))
    if text is not None:
        given.append((by_text, [as_blob(text), digest(text)]))
    if selection.namespace is not None:
        given.append(("namespace = ?", [as_blob(selection.namespace)]))
    if selection.partition is not None:
        given.append(("partition = ?", [selection.partition]))
    if age is not None:
        given.append(("created <= ?", [now - age]))
    where = " AND ".join(clause for clause, _ in given)
    return where, [value for _, values in given for value in values]
