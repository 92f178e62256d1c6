"""Unit tests touch no network: a socket opened here is an error."""

import pytest
from pytest_socket import disable_socket


@pytest.fixture(autouse=True)
def _no_sockets() -> None:
    # An event loop on Unix needs a socket pair to wake itself up.
    disable_socket(allow_unix_socket=True)
