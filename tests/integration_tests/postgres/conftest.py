"""Every test has a database of its own on a real server."""

import os
from collections.abc import Iterator

import pytest

from tests.integration_tests.postgres.proxy import Proxy
from tests.integration_tests.postgres.server import (
    GivenServer,
    OwnServer,
    Server,
    database,
)

GIVEN = os.environ.get("PRODPATTERNS_TEST_DSN")


@pytest.fixture(scope="session")
def own_server() -> Iterator[OwnServer]:
    """A server that a test may stop, kill and start again."""
    with OwnServer() as server:
        yield server


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Server:
    """The server of this session: the one that is given, or our own."""
    if GIVEN:
        return GivenServer(GIVEN)
    own: OwnServer = request.getfixturevalue("own_server")
    return own


@pytest.fixture(scope="session")
def template(server: Server) -> Iterator[str]:
    """A database with pgvector, which others are copies of."""
    with database(server, setup=["CREATE EXTENSION vector"]) as name:
        yield name


@pytest.fixture
def dsn(server: Server, template: str) -> Iterator[str]:
    """The URL of a fresh database with pgvector."""
    with database(server, template=template) as name:
        yield server.dsn(name)


@pytest.fixture
def own_database(own_server: OwnServer) -> Iterator[str]:
    """The name of a fresh database with pgvector on a server that may be killed."""
    with database(own_server, setup=["CREATE EXTENSION vector"]) as name:
        yield name


@pytest.fixture
def proxy(own_server: OwnServer) -> Iterator[Proxy]:
    """A proxy in front of the server that may be killed."""
    with Proxy(own_server.port) as proxy:
        yield proxy


@pytest.fixture
def proxied_dsn(own_server: OwnServer, own_database: str, proxy: Proxy) -> str:
    """The URL of a fresh database with pgvector behind the proxy."""
    return own_server.dsn(own_database, port=proxy.port)
