"""Serve on a free port of the loopback interface, and say on which.

In production: `uvicorn --factory ferry_service.app:create_app --workers 4`.
"""

import socket

import uvicorn

from ferry_service.app import create_app

listening = socket.create_server(("127.0.0.1", 0))
config = uvicorn.Config(create_app(), log_level="warning")
print(listening.getsockname()[1], flush=True)
uvicorn.Server(config).run(sockets=[listening])
