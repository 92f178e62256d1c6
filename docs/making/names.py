"""The reference: every public name of a module, by its `__all__`."""

from importlib import import_module

import langchain_prodpatterns
from docs.making.tables import PACKAGE

MODULES = (
    "budget",
    "errors",
    "judging",
    "ledger",
    "cache",
    "cache.stores",
    "cache.stores.vector_store.filters",
    "structured",
    "refine",
    "compression",
    "routing",
    "guard",
    "guard.detectors",
    "middleware",
    "telemetry",
    "testing",
)
"""The modules whose public names the reference has."""


def public(module: str) -> list[str]:
    """Return the public names of a module of the package, those of daily use first.

    Args:
        module: Its path below the package.

    Returns:
        What its `__all__` says, else what it defines and does not hide.
    """
    loaded = import_module(f"{PACKAGE}.{module}")
    listed = getattr(loaded, "__all__", None)
    if listed is None:
        listed = [
            name
            for name, value in vars(loaded).items()
            if not name.startswith("_")
            and getattr(value, "__module__", None) == loaded.__name__
        ]
    return sorted(listed, key=_rank)


def _rank(name: str) -> tuple[bool, bool, bool, str]:
    """Rank the names of the package itself first, then classes, then constants."""
    daily = name in langchain_prodpatterns.__all__
    return not daily, name[0].islower(), name.isupper(), name


def reference(module: str, *left_out: str) -> str:
    """Return the directives by which mkdocstrings documents a module's names.

    Args:
        module: Its path below the package.
        *left_out: Names that another page has.

    Returns:
        One block a name.
    """
    return "\n\n".join(
        f"::: {PACKAGE}.{module}.{name}"
        for name in public(module)
        if name not in left_out
    )
