"""A store whose driver is not installed says what brings it."""

import subprocess
import sys

import pytest

STORES = "langchain_prodpatterns.cache.stores"


@pytest.mark.parametrize(
    ("module", "missing"),
    [
        (STORES, "psycopg"),
        (f"{STORES}.postgres", "psycopg_pool"),
        (STORES, "pybreaker"),
    ],
)
def test_without_its_extra_postgres_names_it(module: str, missing: str) -> None:
    code = (
        "import sys\n"
        f"sys.modules[{missing!r}] = None\n"
        "from langchain_prodpatterns.errors import MissingExtraError\n"
        f"try:\n    from {module} import PostgresStore\n"
        "except MissingExtraError as error:\n    print(error)\n"
    )
    done = subprocess.run(  # noqa: S603 - own code
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert done.stdout.startswith("PostgresStore needs the extra 'postgres': pip ")
