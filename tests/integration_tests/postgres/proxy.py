"""A network that fails on demand: a TCP proxy on the loopback.

Every switch has taken effect when its call returns, so that a test needs no sleep.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

from tests.integration_tests.postgres.ports import LOOPBACK, free_port

_CHUNK = 65_536
_WAITING = 256
_PATIENCE = 30.0
# Closed with this, a connection is reset instead of ended.
_RESET = struct.pack("ii", 1, 0)

Sees = Callable[[bytes], bool]
"""Tells whether something is in the bytes that were sent at once."""


class Proxy:
    """Stands before a server; healthy at first.

    `cut` resets what is connected and refuses what comes; `freeze` accepts everything
    and delivers nothing, as a cable does that was pulled; `delay` delivers later. Each
    of them lasts until `heal`.
    """

    def __init__(self, target: int) -> None:
        """Listen on a free port.

        Args:
            target: The port of the server behind; `to` changes it.
        """
        self.port = free_port()
        self._target = target
        self._accepted = 0
        self._links: dict[asyncio.Task[None], list[socket.socket]] = {}
        self._listener: socket.socket | None = None
        self._cutting: asyncio.Task[None] | None = None
        self._sees: Sees | None = None
        self._delay = 0.0
        self._flows, self._healed = asyncio.Event(), asyncio.Event()
        self._flows.set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._do(self._heal())

    @property
    def accepted(self) -> int:
        """How many connections came, ever."""
        return self._accepted

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return len(self._links)

    def cut(self) -> None:
        """Reset every connection, and refuse new ones."""
        self._do(self._cut())

    def cut_when(self, sees: Sees) -> None:
        """Cut as soon as a client sends something, which the server never gets.

        Args:
            sees: Tells whether it is in the bytes that came at once.
        """
        self._do(self._watch(sees))

    def freeze(self) -> None:
        """Deliver nothing any more, in no direction, and close nothing either."""
        self._do(self._freeze())

    def delay(self, seconds: float) -> None:
        """Deliver what a client sends later by so many seconds."""
        self._do(self._slow(seconds))

    def to(self, target: int) -> None:
        """Lead new connections to another server."""
        self._target = target

    def heal(self) -> None:
        """Be healthy again; what was held back is delivered now."""
        self._do(self._heal())

    def close(self) -> None:
        """Reset what is connected and end."""
        if self._loop.is_closed():
            return
        self._do(self._cut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)

    async def _cut(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        links, self._links = self._links, {}
        for task in links:
            task.cancel()
        await asyncio.gather(*links, return_exceptions=True)
        for sockets in links.values():
            _reset(sockets)

    async def _watch(self, sees: Sees) -> None:
        self._sees = sees

    async def _freeze(self) -> None:
        self._flows.clear()

    async def _slow(self, seconds: float) -> None:
        self._delay = seconds
        self._healed.clear()

    async def _heal(self) -> None:
        if self._cutting is not None:
            await self._cutting
        self._delay, self._sees = 0.0, None
        self._flows.set()
        self._healed.set()
        if self._listener is None:
            self._listener = socket.create_server(
                (LOOPBACK, self.port), backlog=_WAITING
            )
            self._listener.setblocking(False)
            self._loop.add_reader(self._listener, self._accept, self._listener)

    def _accept(self, listener: socket.socket) -> None:
        # The client may have gone already.
        with contextlib.suppress(OSError):
            client, _ = listener.accept()
            client.setblocking(False)
            self._accepted += 1
            sockets = [client]
            task = self._loop.create_task(self._serve(client, sockets))
            self._links[task] = sockets
            task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._links.pop(task, None)

    async def _serve(self, client: socket.socket, sockets: list[socket.socket]) -> None:
        """Carry what both ends say until one of them hangs up."""
        try:
            await self._flows.wait()
            behind = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sockets.append(behind)
            behind.setblocking(False)
            await self._loop.sock_connect(behind, (LOOPBACK, self._target))
            for each in sockets:
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await _first(self._ask(client, behind), self._answer(behind, client))
        except OSError:
            # Nobody is behind, or one end was reset: so is the other.
            _reset(sockets)
        for each in sockets:
            each.close()

    async def _ask(self, client: socket.socket, behind: socket.socket) -> None:
        while chunk := await self._loop.sock_recv(client, _CHUNK):
            if self._delay:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._healed.wait(), self._delay)
            if self._sees is not None and self._sees(chunk):
                self._sees = None
                self._cutting = self._loop.create_task(self._cut())
                # It ends this very task, too, which must not wait for it.
                await asyncio.Event().wait()
            await self._deliver(chunk, behind)
        await self._flows.wait()

    async def _answer(self, behind: socket.socket, client: socket.socket) -> None:
        while chunk := await self._loop.sock_recv(behind, _CHUNK):
            await self._deliver(chunk, client)
        await self._flows.wait()

    async def _deliver(self, chunk: bytes, to: socket.socket) -> None:
        await self._flows.wait()
        await self._loop.sock_sendall(to, chunk)


async def _first(*works: Coroutine[Any, Any, None]) -> None:
    """Wait for the first to end, and end the others."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def _reset(sockets: list[socket.socket]) -> None:
    for each in sockets:
        if each.fileno() != -1:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            each.close()
