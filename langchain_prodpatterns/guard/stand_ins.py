"""What is written in the place of a value."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field

from langchain_prodpatterns.guard.policy import replacement
from langchain_prodpatterns.guard.vault import NOBODY, STAND_IN, Scope, Vault

# Without a key of the user's, equal values are told only within a process.
PROCESS_KEY = secrets.token_bytes(32)
_DIGITS = 16
_STAND_IN = re.compile(STAND_IN)


def digest_of(value: str, key: bytes) -> str:
    """Return a keyed digest of a value (HMAC-SHA-256, 64 bits of it).

    Args:
        value: The value.
        key: The key, without which nobody can guess the value.

    Returns:
        Hexadecimal digits.
    """
    data = value.encode("utf-8", "surrogatepass")
    return hmac.new(key, data, hashlib.sha256).hexdigest()[:_DIGITS]


@dataclass(frozen=True, slots=True)
class StandIns:
    """Writes what stands in a value's place, and restores what stood in one."""

    key: bytes = field(default=PROCESS_KEY, repr=False)
    """For `hash`."""
    vault: Vault | None = None
    """For `pseudonymize` and `restore`."""
    scope: Scope = NOBODY
    """Whose values they are."""

    def __call__(self, value: str, type_: str, action: str) -> str:
        """Return what to write.

        Args:
            value: The value; for `restore` a text with stand-ins.
            type_: Its type.
            action: What the policy does with it.

        Returns:
            The text. What is restored is not looked at again, and a stand-in that is
            not known stays as it is.
        """
        if action == "hash":
            return f"[{type_.upper()}:{digest_of(value, self.key)}]"
        if self.vault is not None and action == "pseudonymize":
            return self.vault.stand_in(value, type_, self.scope)
        if self.vault is not None and action == "restore":
            return _STAND_IN.sub(self._restored, value)
        return replacement(value, type_, action)

    def _restored(self, found: re.Match[str]) -> str:
        vault = self.vault
        value = None if vault is None else vault.restore(found[0], self.scope)
        return found[0] if value is None else value
