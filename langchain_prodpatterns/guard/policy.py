"""What to do with each type of value, where, and for whom. Pure functions."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.guard.normalizing import plain_text

Action = Literal["block", "redact", "hash", "pseudonymize", "mask", "flag", "allow"]
"""What can be done with a value.

`block` raises `GuardBlocked`; `redact` puts `[EMAIL]` in its place; `hash` puts
`[EMAIL:3f9c...]` there, by which equal values can be told; `pseudonymize` a stand-in
from which the vault restores the value; `mask` puts `*` in place of all but its last
four letters and digits; `flag` only records it; `allow` does not look for it.
"""

Direction = Literal["input", "output", "document", "tool"]
"""What a text is: what goes to a model, what comes from it, or what a retriever or a
tool gave."""

Handling = Action | Literal["restore"]
"""What is done with what was found: a policy's action, or a stand-in is restored."""

INJECTION = "injection"
"""The type under which a policy names what the judge finds."""

CANARY = "canary"
"""The type of a canary's token in an answer."""

ANY = "*"
"""Every type of value. An injection is none."""

SYSTEM, USER, MODEL, UNTRUSTED = "system", "user", "model", "untrusted"
"""How far texts are trusted: the operator's own prompt, what people write, what models
wrote, and what documents and tools say."""

STRICTEST: Mapping[Handling, int] = {
    "block": 7,
    "redact": 6,
    "hash": 5,
    "pseudonymize": 4,
    "mask": 3,
    "restore": 2,
    "flag": 1,
    "allow": 0,
}
"""Which action wins where values overlap: the highest."""

# A token that is hidden alone leaves the prompt that stood around it.
_UNASKED: Mapping[str, Action] = {CANARY: "block"}
_INJECTION_ACTIONS = ("block", "flag", "allow")
_SHOWN = 4
_LONG_ENOUGH = 2 * _SHOWN


@dataclass(frozen=True, slots=True)
class Rule:
    """What to do with values, where all that it names applies.

    ```python
    policy = [
        Rule("redact"),
        Rule("block", types="card", direction="output"),
        Rule("allow", types=("email", "phone"), tenant="support"),
    ]
    ```
    """

    action: Action
    """What to do."""
    types: str | Sequence[str] = ANY
    """The types of values: names of detectors, `"injection"`, or `"*"` for all types of
    values."""
    direction: Direction | None = None
    """Where: `input`, `output`, `document` or `tool`; `None` for everywhere."""
    trust: str | None = None
    """Of whom: `system`, `user`, `model`, `untrusted`, or what the config calls its
    user (`configurable={"trust": "staff"}`); `None` for everybody."""
    tenant: str | None = None
    """For whom: `configurable={"tenant": ...}`; `None` for all."""

    def names(self) -> tuple[str, ...]:
        """Return the types as a tuple."""
        return (self.types,) if isinstance(self.types, str) else tuple(self.types)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text stands, as rules see it."""

    direction: Direction
    """What it is."""
    trust: str
    """How far it is trusted."""
    tenant: str | None = None
    """For whom the run is."""


PolicyLike = Mapping[str, Action | str] | Sequence[Rule]
"""What `policy=` takes: type to action, or rules."""


class Policy:
    """The rules of a guard: of those that apply, the last one counts."""

    def __init__(
        self, given: PolicyLike | None, types: Collection[str], *, judged: bool
    ) -> None:
        """Check rules.

        Where none applies values are redacted; injections and canaries are blocked.

        Args:
            given: What the user gave.
            types: The names of the guard's detectors.
            judged: Whether the guard looks for injections.

        Raises:
            ConfigurationError: When a rule names what is not known.
        """
        self._types = tuple(types)
        self._judged = judged
        self._rules = tuple(_read(given))
        for rule in self._rules:
            self._check(rule)
        self._trusts = frozenset(rule.trust for rule in self._rules)
        self._tenants = frozenset(rule.tenant for rule in self._rules)

    @property
    def uses(self) -> frozenset[str]:
        """The actions that some rule asks for."""
        return frozenset(rule.action for rule in self._rules)

    def actions(self, place: Place) -> dict[str, Action]:
        """Return the action for every type at one place.

        Args:
            place: Where a text stands.

        Returns:
            Type to action, with `injection` where the guard looks for some.
        """
        complete = {name: _UNASKED.get(name, "redact") for name in self._types}
        if self._judged:
            complete[INJECTION] = "block"
        for rule in self._rules:
            if _applies(rule, place):
                names = rule.names()
                chosen = self._types if ANY in names else ()
                for name in {*chosen, *names} - {ANY}:
                    complete[name] = rule.action
        return complete

    def told_apart(self, place: Place) -> Place:
        """Return a place as far as the rules tell it from others.

        Args:
            place: Where a text stands.

        Returns:
            A place with the same actions, one of finitely many.
        """
        return Place(
            place.direction,
            place.trust if place.trust in self._trusts else "",
            place.tenant if place.tenant in self._tenants else None,
        )

    def _check(self, rule: Any) -> None:
        if not isinstance(rule, Rule):
            msg = (
                "policy maps types to actions, {'email': 'block'}, or is a list of "
                f"Rules, got one that holds {rule!r}"
            )
            raise ConfigurationError(msg)
        if not _names_types(rule.types):
            msg = (
                "a rule's types are a name such as 'email', '*', or a list of names "
                f"that is not empty, got {rule.types!r}"
            )
            raise ConfigurationError(msg)
        for name in rule.names():
            self._check_type(name, rule.action)
        if rule.direction not in (None, *get_args(Direction)):
            known = ", ".join(get_args(Direction))
            msg = f"policy has no direction {rule.direction!r}; known: {known}"
            raise ConfigurationError(msg)
        for field in ("trust", "tenant"):
            value = getattr(rule, field)
            if not (value is None or (isinstance(value, str) and value)):
                msg = f"a rule's {field} is a text that is not empty, got {value!r}"
                raise ConfigurationError(msg)

    def _check_type(self, name: str, action: str) -> None:
        known = {*self._types, ANY, *((INJECTION,) if self._judged else ())}
        if name not in known:
            hint = "" if self._judged else "; 'injection' needs a judge or a classifier"
            names = ", ".join(sorted(known - {ANY}))
            msg = f"policy names no type {name!r}; known: {names}{hint}"
            raise ConfigurationError(msg)
        allowed = _INJECTION_ACTIONS if name == INJECTION else get_args(Action)
        if action not in allowed:
            msg = (
                f"policy has no action {action!r} for {name!r}; known: "
                f"{', '.join(allowed)}"
            )
            raise ConfigurationError(msg)


def _read(given: PolicyLike | None) -> Iterator[Any]:
    if given is None:
        return
    if isinstance(given, Mapping):
        for name, action in given.items():
            yield Rule(action, types=name)  # type: ignore[arg-type]  # checked next
    elif isinstance(given, Sequence) and not isinstance(given, str):
        yield from given
    else:
        msg = (
            "policy maps types to actions, {'email': 'block'}, or is a list of Rules, "
            f"got {given!r}"
        )
        raise ConfigurationError(msg)


def _names_types(types: Any) -> bool:
    if isinstance(types, str):
        return True
    several = isinstance(types, Collection) and not isinstance(types, Mapping)
    return several and bool(types) and all(isinstance(each, str) for each in types)


def _applies(rule: Rule, place: Place) -> bool:
    return (
        rule.direction in (None, place.direction)
        and rule.trust in (None, place.trust)
        and rule.tenant in (None, place.tenant)
    )


def replacement(value: str, type_: str, action: str) -> str:
    """Return what stands in a value's place, where that needs no key and no vault.

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
    shown = _SHOWN if sum(map(_says_something, value)) >= _LONG_ENOUGH else 0
    masked: list[str] = []
    for char in reversed(value):
        if _says_something(char) and shown == 0:
            masked.append("*")
        else:
            shown -= _says_something(char)
            masked.append(char)
    return "".join(reversed(masked))


def _says_something(char: str) -> bool:
    """Whether a character is a letter or a digit, or stands for one: `\u24d0`."""
    return char.isalnum() or plain_text(char).isalnum()
