"""Free ports of the loopback that stay free while nobody listens."""

import random
import socket

LOOPBACK = "127.0.0.1"
_FIRST, _LAST = 20_000, 32_000


def free_port() -> int:
    """Return a free port below those that systems give to outgoing connections.

    So a server finds its port again after it was away.
    """
    # Not what a seed of the tests repeats: many of them look for one at once.
    drawn = random.SystemRandom()
    while True:
        port = drawn.randrange(_FIRST, _LAST)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tried:
            try:
                tried.bind((LOOPBACK, port))
            except OSError:
                continue
        return port
