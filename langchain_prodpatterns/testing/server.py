"""A uvicorn server in a thread of its own, that stops at once."""

import logging
import socket
import threading
import time
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

_POLL_SECONDS = 0.002
_START_SECONDS = 30.0
_STOP_SECONDS = 30.0

# A scripted disconnect leaves a response unfinished, which uvicorn logs as an error.
# A registered logger would be set up along with the user's own.
_SILENT = logging.Logger("silent", level=logging.CRITICAL + 1)  # noqa: LOG001 - see above


class _QuietProtocol(H11Protocol):
    """HTTP without a word in anybody's log."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _SILENT


class BackgroundServer:
    """Serves an ASGI application on a free port of the loopback interface."""

    def __init__(self, app: Any, closing: threading.Event) -> None:
        """Bind the port; nothing is served yet.

        Args:
            app: The ASGI application.
            closing: Set when the server stops; the application then ends its answers.
        """
        config = uvicorn.Config(
            app,
            http=_QuietProtocol,
            ws="none",
            lifespan="off",
            loop="asyncio",
            access_log=False,
            log_config=None,
            # A client that keeps no connection leaves no socket open behind it, and
            # can be used from one event loop after the other.
            headers=[("connection", "close")],
            timeout_graceful_shutdown=5,
        )
        self._server = uvicorn.Server(config)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._closing = closing
        self._thread = threading.Thread(
            target=self._server.run,
            kwargs={"sockets": [self._socket]},
            name=f"scripted-provider-{self.port}",
            daemon=True,
        )

    def start(self) -> None:
        """Start the thread, and return when the server accepts requests.

        Raises:
            RuntimeError: If the server does not start.
        """
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self._socket.close()
                msg = "the scripted provider's server did not start"
                raise RuntimeError(msg)
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Cut what is still being answered, and return when the thread has ended.

        Raises:
            RuntimeError: If the thread does not end.
        """
        self._closing.set()
        self._server.should_exit = True
        self._thread.join(_STOP_SECONDS)
        self._socket.close()
        if self._thread.is_alive():
            msg = "the scripted provider's server did not stop"
            raise RuntimeError(msg)
