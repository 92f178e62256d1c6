"""The proxy fails as networks do, and at once."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.integration_tests.postgres.ports import LOOPBACK, free_port
from tests.integration_tests.postgres.proxy import Proxy

SHORT, LONG = 0.2, 30.0


class Echo:
    """Sends back what it gets, behind a greeting of its own."""

    def __init__(self, greeting: bytes = b"") -> None:
        self.greeting, self.got = greeting, bytearray()
        self.listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=[client], daemon=True).start()

    def serve(self, client: socket.socket) -> None:
        with client:
            client.sendall(self.greeting)
            try:
                while chunk := client.recv(65_536):
                    self.got += chunk
                    client.sendall(chunk)
            except OSError:
                return

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(LONG)


@pytest.fixture
def echo() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.port) as proxy:
        yield proxy


def _client(proxy: Proxy) -> socket.socket:
    return socket.create_connection((LOOPBACK, proxy.port), timeout=LONG)


def _says(client: socket.socket, text: bytes = b"hello") -> bytes:
    client.sendall(text)
    return _hears(client, len(text))


def _hears(client: socket.socket, count: int) -> bytes:
    heard = b""
    while len(heard) < count and (chunk := client.recv(count - len(heard))):
        heard += chunk
    return heard


def test_a_healthy_one_is_not_noticed(proxy: Proxy) -> None:
    with _client(proxy) as client:
        assert _says(client) == b"hello"
        assert proxy.connections == proxy.accepted == 1
        large = bytes(range(256)) * 4_000
        sending = threading.Thread(target=client.sendall, args=[large])
        sending.start()
        assert _hears(client, len(large)) == large
        sending.join(LONG)


def test_what_the_server_says_before_it_hangs_up_arrives() -> None:
    listener = socket.create_server((LOOPBACK, 0))
    with listener, Proxy(listener.getsockname()[1]) as proxy, _client(proxy) as client:
        behind, _ = listener.accept()
        with behind:
            behind.sendall(b"too many clients")
        assert _hears(client, 100) == b"too many clients"


def test_nobody_behind_is_a_reset(proxy: Proxy) -> None:
    proxy.to(free_port())
    # The reset may come before the client knows that it is connected.
    with pytest.raises(ConnectionResetError), _client(proxy) as client:
        client.recv(1)


def test_a_cut_resets_what_is_there_and_refuses_what_comes(proxy: Proxy) -> None:
    with _client(proxy) as client:
        assert _says(client) == b"hello"
        proxy.cut()
        assert proxy.connections == 0
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        _client(proxy)
    proxy.cut()

    proxy.heal()
    proxy.heal()

    with _client(proxy) as client:
        assert _says(client) == b"hello"
    assert proxy.accepted == 2


def test_a_cut_in_the_middle_keeps_the_question_from_the_server(
    proxy: Proxy, echo: Echo
) -> None:
    proxy.cut_when(lambda sent: b"poison" in sent)
    with _client(proxy) as client, _client(proxy) as other:
        assert _says(client) == _says(other) == b"hello"
        client.sendall(b"poison")
        for each in (client, other):
            with pytest.raises(ConnectionResetError):
                each.recv(1)
    assert b"poison" not in echo.got
    with pytest.raises(ConnectionRefusedError):
        _client(proxy)

    proxy.heal()

    with _client(proxy) as client:
        assert _says(client, b"poison") == b"poison"


def test_a_frozen_one_accepts_and_says_nothing(proxy: Proxy, echo: Echo) -> None:
    with _client(proxy) as client:
        assert _says(client) == b"hello"
        proxy.freeze()
        with _client(proxy) as other:
            for each in (client, other):
                each.settimeout(SHORT)
                each.sendall(b"lost")
                with pytest.raises(TimeoutError):
                    each.recv(1)
            assert bytes(echo.got) == b"hello"

            proxy.heal()

            for each in (client, other):
                each.settimeout(LONG)
                assert _hears(each, 4) == b"lost"


def test_a_frozen_one_does_not_say_that_the_server_has_gone() -> None:
    listener = socket.create_server((LOOPBACK, 0))
    with listener, Proxy(listener.getsockname()[1]) as proxy, _client(proxy) as client:
        behind, _ = listener.accept()
        proxy.freeze()
        behind.close()
        client.settimeout(SHORT)
        with pytest.raises(TimeoutError):
            client.recv(1)
        proxy.heal()
        client.settimeout(LONG)
        assert client.recv(1) == b""


def test_a_frozen_one_may_be_cut(proxy: Proxy) -> None:
    with _client(proxy) as client:
        assert _says(client) == b"hello"
        proxy.freeze()
        with _client(proxy) as other:
            proxy.cut()
            for each in (client, other):
                with pytest.raises(ConnectionResetError):
                    each.recv(1)


def test_a_delay_holds_questions_back_until_it_is_over(proxy: Proxy) -> None:
    with _client(proxy) as client:
        proxy.delay(SHORT)
        started = time.monotonic()
        assert _says(client) == b"hello"
        assert time.monotonic() - started >= SHORT

        proxy.delay(10 * LONG)
        client.sendall(b"hello")
        proxy.heal()
        assert _hears(client, 5) == b"hello"
        assert _says(client) == b"hello"


def test_it_leads_to_another_server(proxy: Proxy) -> None:
    other = Echo(b"other")
    with _client(proxy) as client:
        assert _says(client) == b"hello"
        proxy.to(other.port)
        with _client(proxy) as later:
            assert _hears(later, 5) == b"other"
        assert _says(client) == b"hello"
    other.close()


def test_the_end_resets_and_is_final(echo: Echo) -> None:
    proxy = Proxy(echo.port)
    with _client(proxy) as client:
        assert _says(client) == b"hello"
        proxy.close()
        proxy.close()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        _client(proxy)
