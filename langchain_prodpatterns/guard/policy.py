"""What to do with each type of value. Pure functions."""

from collections.abc import Collection, Mapping
from typing import Literal, get_args

from langchain_prodpatterns.errors import ConfigurationError

Action = Literal["block", "redact", "mask", "flag", "allow"]
"""What can be done with a value.

`block` raises `GuardBlocked`; `redact` puts `[EMAIL]` in its place; `mask` puts `*` in
place of all but its last four letters and digits; `flag` only records it; `allow` does
not look for it.
"""

INJECTION = "injection"
"""The type under which a policy names what the judge finds."""

STRICTEST: Mapping[Action, int] = {
    "block": 4,
    "redact": 3,
    "mask": 2,
    "flag": 1,
    "allow": 0,
}
"""Which action wins where values overlap: the highest."""

_INJECTION_ACTIONS = ("block", "flag")
_SHOWN = 4
_LONG_ENOUGH = 2 * _SHOWN


def complete_policy(
    policy: Mapping[str, str] | None, types: Collection[str], *, judged: bool
) -> dict[str, Action]:
    """Check a policy and fill in the defaults: redact values, block injections.

    Args:
        policy: Type to action, as the user gave it.
        types: The names of the guard's detectors.
        judged: Whether the guard has a judge.

    Returns:
        An action for every type.

    Raises:
        ConfigurationError: When a type or an action is not known.
    """
    if not isinstance(policy, Mapping | None):
        msg = f"policy maps types to actions, {{'email': 'block'}}, got {policy!r}"
        raise ConfigurationError(msg)
    complete: dict[str, Action] = dict.fromkeys(types, "redact")
    if judged:
        complete[INJECTION] = "block"
    for name, action in (policy or {}).items():
        _check(name, action, complete, judged=judged)
        complete[name] = next(known for known in get_args(Action) if known == action)
    return complete


def _check(name: str, action: str, types: Collection[str], *, judged: bool) -> None:
    if name not in types:
        hint = "" if judged else "; 'injection' needs a judge"
        msg = f"policy names no type {name!r}; known: {', '.join(sorted(types))}{hint}"
        raise ConfigurationError(msg)
    allowed = _INJECTION_ACTIONS if name == INJECTION else get_args(Action)
    if action not in allowed:
        msg = (
            f"policy has no action {action!r} for {name!r}; known: {', '.join(allowed)}"
        )
        raise ConfigurationError(msg)


def replacement(value: str, type_: str, action: Action) -> str:
    """Return what stands in a value's place.

    Args:
        value: The value.
        type_: Its type.
        action: What the policy does with it.

    Returns:
        A placeholder for `redact` and `block`, the masked value for `mask`, else the
        value.
    """
    if action in ("redact", "block"):
        return f"[{type_.upper()}]"
    return mask(value) if action == "mask" else value


def mask(value: str) -> str:
    """Hide all but the last four letters and digits, and all of a short value.

    Args:
        value: The value.

    Returns:
        A text of the same length.
    """
    shown = _SHOWN if sum(map(str.isalnum, value)) >= _LONG_ENOUGH else 0
    masked: list[str] = []
    for char in reversed(value):
        if char.isalnum() and shown == 0:
            masked.append("*")
        else:
            shown -= char.isalnum()
            masked.append(char)
    return "".join(reversed(masked))
