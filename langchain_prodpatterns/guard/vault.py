"""The vault: stand-ins for private values, and the values for their stand-ins.

A stand-in, `[EMAIL_1_q7wm2zx9lp]`, holds ten random characters of its own (50 bits), so
no text can forge one. What is restored is never looked at again: a value that looks
like a stand-in stays as it is. Values are kept in this process's memory only, for as
long as their session is in use and the time to live after.
"""

import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_prodpatterns.arguments import check_count, check_seconds
from langchain_prodpatterns.guard.detectors.base import PatternDetector

PSEUDONYM = "pseudonym"
"""The type of stand-ins, for the detector that finds them in answers."""

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_RANDOM = 10
STAND_IN = rf"\[[A-Z][A-Z0-9_]{{0,39}}_[0-9]{{1,7}}_[a-z2-7]{{{_RANDOM}}}\]"
"""What a stand-in looks like."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Who may have a value restored."""

    tenant: str | None = None
    """The tenant of the run."""
    session: str | None = None
    """The conversation: `session_id` or `thread_id` in `configurable`."""
    run: str = ""
    """Without a conversation, the run that both guards are a part of."""


NOBODY = Scope()
"""The scope of no run at all."""


def scope_of(configurable: Mapping[str, Any], run: str) -> Scope:
    """Return the scope of a run.

    Args:
        configurable: The `configurable` of its config.
        run: The run around it.

    Returns:
        The conversation, if it belongs to one; else that run.
    """
    tenant = configurable.get("tenant")
    session = configurable.get("session_id")
    if session is None:
        session = configurable.get("thread_id")
    return Scope(
        None if tenant is None else str(tenant),
        None if session is None else str(session),
        "" if session is not None else run,
    )


@dataclass
class _Session:
    """The values of one scope."""

    used: float
    """When it was used last."""
    stand_ins: dict[tuple[str, str], str] = field(default_factory=dict)
    """Type and value to stand-in."""
    values: dict[str, str] = field(default_factory=dict)
    """Stand-in to value."""
    counts: dict[str, int] = field(default_factory=dict)
    """How many there are of each type."""


class Vault:
    """Keeps the values behind stand-ins, for a run or a conversation.

    ```python
    vault = Vault(ttl=3600)
    guard = GuardRunnable(policy={"email": "pseudonymize"}, vault=vault)
    chain = guard.wrap(prompt | llm)
    chain.invoke(value, {"configurable": {"session_id": "conversation 7"}})
    ```

    In one conversation (`session_id` or `thread_id` in `configurable`) a value always
    has the same stand-in; without one, in one run of the chain. Tenants and
    conversations never restore each other's values.
    """

    def __init__(
        self,
        *,
        ttl: float | None = 3600.0,
        max_values: int = 100_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open an empty vault.

        Args:
            ttl: Seconds for which a conversation's values are kept after its last use;
                `None` for ever.
            max_values: Values to keep at most; above it the conversations that were
                not used for longest are forgotten.
            clock: Where the time comes from, in seconds.

        Raises:
            ConfigurationError: When an argument cannot work.
        """
        check_seconds("ttl", ttl)
        check_count("max_values", max_values, optional=False)
        self.ttl = ttl
        self.max_values = max_values
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: OrderedDict[Scope, _Session] = OrderedDict()
        self._runs: dict[str, Scope] = {}
        self._size = 0

    def __len__(self) -> int:
        """Return how many values are kept."""
        with self._lock:
            self._expire()
            return self._size

    def stand_in(self, value: str, type_: str, scope: Scope) -> str:
        """Return the stand-in of a value, and keep the value.

        Args:
            value: The value.
            type_: Its type.
            scope: Who may have it restored.

        Returns:
            The same one for the same value, type and scope, while it is kept.
        """
        with self._lock:
            self._expire()
            session = self._session(scope)
            known = session.stand_ins.get((type_, value))
            if known is not None:
                return known
            number = session.counts[type_] = session.counts.get(type_, 0) + 1
            chance = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
            new = f"[{_label(type_)}_{number}_{chance}]"
            session.stand_ins[type_, value] = new
            session.values[new] = value
            if scope.session is None:
                self._runs[new] = scope
            self._size += 1
            self._make_room(scope)
            return new

    def restore(self, stand_in: str, scope: Scope) -> str | None:
        """Return the value behind a stand-in.

        Args:
            stand_in: What may be one.
            scope: Who asks. A value of a run without a conversation is restored
                wherever that run goes, as no other text can know its stand-in.

        Returns:
            The value; `None` where there is none for this scope.
        """
        with self._lock:
            self._expire()
            if scope.session is None:
                owner = self._runs.get(stand_in)
                if owner is None or owner.tenant != scope.tenant:
                    return None
                scope = owner
            if scope not in self._sessions:
                return None
            return self._session(scope).values.get(stand_in)

    def forget(self, scope: Scope) -> None:
        """Forget the values of a scope.

        Args:
            scope: Whose values.
        """
        with self._lock:
            self._drop(scope)

    def _session(self, scope: Scope) -> _Session:
        """Return a session as the one that was used last."""
        session = self._sessions.setdefault(scope, _Session(0.0))
        session.used = self._clock()
        self._sessions.move_to_end(scope)
        return session

    def _expire(self) -> None:
        if self.ttl is None:
            return
        since = self._clock() - self.ttl
        while self._sessions:
            scope, session = next(iter(self._sessions.items()))
            if session.used > since:
                return
            self._drop(scope)

    def _make_room(self, scope: Scope) -> None:
        while self._size > self.max_values and len(self._sessions) > 1:
            oldest = next(iter(self._sessions))
            if oldest == scope:
                return
            self._drop(oldest)

    def _drop(self, scope: Scope) -> None:
        session = self._sessions.pop(scope, None)
        if session is not None:
            self._size -= len(session.values)
            for stand_in in session.values:
                self._runs.pop(stand_in, None)

    def __repr__(self) -> str:
        return f"Vault(ttl={self.ttl}, max_values={self.max_values})"

    def __deepcopy__(self, memo: dict[int, Any]) -> "Vault":
        return self  # copies of a guard share what the guard has put away

    def __reduce__(self) -> tuple[Any, ...]:
        # Values never leave the process: what is unpickled begins empty.
        return _empty_vault, (self.ttl, self.max_values)


def _label(type_: str) -> str:
    """Write a type so that its stand-ins are found: any name will do for a detector."""
    return re.sub("[^A-Z0-9]", "_", f"{type_.upper():.40}").lstrip("_0123456789") or "X"


def _empty_vault(ttl: float | None, max_values: int) -> Vault:
    return Vault(ttl=ttl, max_values=max_values)


def stand_in_detector() -> PatternDetector:
    """Return the detector that finds stand-ins, known or not."""
    return PatternDetector(PSEUDONYM, STAND_IN)
