"""`prodpatterns cache migrate`: make or bring up the tables of a PostgreSQL database.

For the owner of the tables: the role that a cache runs with needs fewer rights.
"""

import argparse

from langchain_prodpatterns.cache.stores.urls import PostgresDatabase, parse_url
from langchain_prodpatterns.commands.output import Output
from langchain_prodpatterns.commands.values import count
from langchain_prodpatterns.errors import ConfigurationError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "--dimensions",
        metavar="N",
        type=count,
        help="the length of the vectors, where there are no tables yet",
    )
    parser.add_argument(
        "--unlogged",
        action=argparse.BooleanOptionalAction,
        help="tables that are faster, and empty after the server has crashed; by "
        "default as they are",
    )
    parser.add_argument(
        "--row-level-security",
        action="store_true",
        help="let a role see the rows of one namespace only",
    )
    parser.add_argument(
        "--grant-to",
        metavar="ROLE",
        action="append",
        default=[],
        help="a role that shall read and write entries, and do no more; may be "
        "repeated",
    )


def run(options: argparse.Namespace, output: Output) -> int:
    """Migrate a database.

    Raises:
        ConfigurationError: When the store is no PostgreSQL database.
        StoreError: When it cannot be migrated.
    """
    database = parse_url(options.store)
    if not isinstance(database, PostgresDatabase):
        msg = (
            f"migrate is for PostgreSQL, {database.path} is a file: that is brought up "
            "whenever it is opened"
        )
        raise ConfigurationError(msg)
    from langchain_prodpatterns.cache.stores import PostgresStore

    done = PostgresStore.migrate(
        database.dsn,
        schema=database.schema,
        dimensions=options.dimensions,
        unlogged=options.unlogged,
        row_level_security=options.row_level_security,
        grant_to=options.grant_to,
    )
    output.show({"migrations": done}, "\n".join(done) or "up to date")
    return 0
