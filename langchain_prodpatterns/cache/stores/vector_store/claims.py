"""Who is doing what in this process."""

import threading
from collections.abc import Callable

from langchain_prodpatterns.forking import guard


class Claims:
    """Claims of the threads of one process: a `BaseStore` cannot compare and set."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Hold no claim.

        Args:
            clock: Seconds since the epoch.
        """
        self._clock = clock
        self._held: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()
        guard(self, "_lock")

    def claim(self, name: str, holder: str, seconds: float) -> bool:
        """Take or renew a claim, unless another holds it."""
        with self._lock:
            now = self._clock()
            held = {n: one for n, one in self._held.items() if one[1] > now}
            is_free = held.get(name, (holder, 0.0))[0] == holder
            if is_free:
                held[name] = (holder, now + seconds)
            self._held = held
            return is_free

    def release(self, name: str, holder: str) -> None:
        """Drop a claim, if it is this holder's."""
        with self._lock:
            if self._held.get(name, ("", 0.0))[0] == holder:
                del self._held[name]
