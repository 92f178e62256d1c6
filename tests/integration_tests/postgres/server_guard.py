"""Ends a server and removes its folder as soon as standard input is closed.

It is closed by the process that has started the server, or by its death. This script
is run by itself, so that it outlives whatever happens to the tests.
"""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

PATIENCE = 20.0
_PAUSE = 0.02


def end(data: Path) -> None:
    """Stop the server of a folder at once, if one runs, and wait for its end."""
    lock = data / "postmaster.pid"
    for how in (signal.SIGQUIT, signal.SIGKILL):
        try:
            os.kill(int(lock.read_text("utf-8").split("\n", 1)[0]), how)
        except (OSError, ValueError):
            return
        until = time.monotonic() + PATIENCE
        while lock.exists() and time.monotonic() < until:
            time.sleep(_PAUSE)


def main() -> None:
    """Wait, then clean up."""
    folder = Path(sys.argv[1])
    sys.stdin.buffer.read()
    end(folder / "data")
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
