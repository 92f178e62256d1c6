"""How one run of a guard looks at texts: by the policy, for its tenant and its user."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from langchain_prodpatterns.guard.carriers import METADATA
from langchain_prodpatterns.guard.classifier import InjectionClassifier, Suspicion
from langchain_prodpatterns.guard.detectors import AsyncDetector, Detector
from langchain_prodpatterns.guard.injection import InjectionRequest
from langchain_prodpatterns.guard.policy import (
    INJECTION,
    MODEL,
    STRICTEST,
    SYSTEM,
    UNTRUSTED,
    USER,
    Action,
    Direction,
    Handling,
    Place,
    Policy,
)
from langchain_prodpatterns.guard.scanning import Record, Scanner, note, replaced
from langchain_prodpatterns.guard.stand_ins import StandIns
from langchain_prodpatterns.guard.vault import PSEUDONYM, stand_in_detector

# A longer one may spell a text.
_NUMBER = re.compile("-?[0-9]{1,40}")
_TOOLS = ("tool", "function")
UNTRUSTED_ROLES = ("document", *_TOOLS)
"""The roles of texts whose thresholds are lower."""
_TRUST: Mapping[str, str] = {"system": SYSTEM, "developer": SYSTEM, "ai": MODEL}


class Screens(Protocol):
    """A classifier, or what one said before."""

    @property
    def waits(self) -> bool:
        """Whether texts leave for an embedder, and so must hold no value."""
        ...

    def screen(self, text: str, *, untrusted: bool = False) -> Suspicion:
        """Say what a text looks like."""
        ...


class Scanners:
    """A scanner for every place that the policy tells from others."""

    def __init__(
        self, detectors: Sequence[Detector], policy: Policy, *, restores: bool
    ) -> None:
        """Pair detectors with a policy.

        Args:
            detectors: The detectors.
            policy: What to do with what they find.
            restores: Whether stand-ins are looked for too, to restore the values.
        """
        self.policy = policy
        self._detectors = tuple(detectors)
        self._restores = restores
        # Filled as needed: two threads that fill the same place write the same.
        self._known: dict[Place, tuple[Scanner, Action]] = {}
        self.waits = any(isinstance(each, AsyncDetector) for each in detectors)
        """Whether a detector may wait, for a model or another process."""

    def at(self, place: Place) -> tuple[Scanner, Action]:
        """Return the scanner for a place, and what is done with injections there.

        Args:
            place: Where a text stands.

        Returns:
            Both; what is done with injections is `allow` where none are looked for.
        """
        place = self.policy.told_apart(place)
        found = self._known.get(place)
        if found is None:
            found = self._known[place] = self._pair(place)
        return found

    def _pair(self, place: Place) -> tuple[Scanner, Action]:
        actions = self.policy.actions(place)
        injection = actions.pop(INJECTION, "allow")
        handling: dict[str, Handling] = dict(actions)
        detectors = self._detectors
        if self._restores:
            # What a model says of its own accord has no stand-in to go back to.
            for name, action in actions.items():
                handling[name] = "redact" if action == "pseudonymize" else action
            handling[PSEUDONYM] = "restore"
            detectors = (*detectors, stand_in_detector())
        return Scanner(detectors, handling), injection


@dataclass(frozen=True, slots=True)
class Lookout:
    """Who looks at the texts of one run."""

    scanners: Scanners
    """What is looked for."""
    direction: Direction
    """What the guard guards."""
    trust: str
    """How far its user is trusted."""
    tenant: str | None
    """For whom the run is."""
    write: StandIns
    """What writes in the place of values."""
    classifier: Screens | None = None
    """Who tells what is plainly an injection, and what plainly none."""
    told: Callable[[Scanner], Scanner] | None = None
    """Makes of a scanner one that knows what the detectors that wait said."""

    @classmethod
    def of(
        cls,
        scanners: Scanners,
        direction: Direction,
        configurable: Mapping[str, Any],
        write: StandIns,
        classifier: InjectionClassifier | None = None,
    ) -> "Lookout":
        """Read from a config for whom to look, and how far to trust.

        Args:
            scanners: What is looked for.
            direction: What the guard guards.
            configurable: The `configurable` of the config.
            write: What writes in the place of values.
            classifier: Who tells injections.

        Returns:
            Who looks.
        """
        tenant, trust = configurable.get("tenant"), configurable.get("trust")
        return cls(
            scanners,
            direction,
            USER if trust is None else str(trust),
            None if tenant is None else str(tenant),
            write,
            classifier,
        )

    def record(self) -> Record:
        """Begin an empty record."""
        return Record(key=self.write.key)

    def at(self, role: str) -> tuple[Scanner, Action]:
        """Return the scanner for texts of one role, and the action on injections.

        Args:
            role: As a carrier names it.
        """
        scanner, injection = self.scanners.at(self._place(role))
        return scanner if self.told is None else self.told(scanner), injection

    def _place(self, role: str) -> Place:
        if role == "document":
            return Place("document", UNTRUSTED, self.tenant)
        if role in _TOOLS:
            return Place("tool", UNTRUSTED, self.tenant)
        written = MODEL if self.direction == "output" else self.trust
        trust = _TRUST.get(role, written)
        return Place(self.direction, trust, self.tenant)


def gives_orders(text: str, role: str) -> bool:
    """Whether a text may be an injection.

    The system prompt is the operator's own; it is full of orders to the model. A
    number, or what a provider says, gives no orders at all.

    Args:
        text: The text.
        role: As a carrier names it.
    """
    mine = role in ("system", METADATA) or _NUMBER.fullmatch(text) is not None
    return not mine and bool(text.strip())


@dataclass(slots=True)
class Look:
    """What one look at the texts of a value gave."""

    lookout: Lookout
    """Who looks."""
    record: Record
    """What was found."""
    seen: dict[str, Action] = field(default_factory=dict)
    """What the judge gets to see of each text that it is asked about, every value taken
    out; and what is done where it is an injection."""
    attack: Suspicion | None = None
    """What the classifier takes for an attack that is to be blocked."""

    def visit(self, text: str, role: str, label: str) -> str:
        """Guard one text."""
        scanner, injection = self.lookout.at(role)
        spans = scanner.find(text, self.record, label=label)
        for span in spans:
            note(text, span, 0, self.record)
        if injection != "allow" and gives_orders(text, role):
            shown = replaced(text, spans, 0, len(text), hide=True)
            if self._is_in_doubt(text, shown, role, injection):
                before = self.seen.get(shown, "allow")
                self.seen[shown] = max(before, injection, key=STRICTEST.__getitem__)
        return replaced(text, spans, 0, len(text), write=self.lookout.write)

    def _is_in_doubt(self, text: str, shown: str, role: str, action: Action) -> bool:
        """Ask the classifier, if there is one: what it is sure of needs no judge."""
        classifier = self.lookout.classifier
        if classifier is None:
            return True
        screened = shown if classifier.waits else text
        try:
            suspicion = classifier.screen(screened, untrusted=role in UNTRUSTED_ROLES)
        except Exception as error:  # noqa: BLE001 - an embedder's; its words may quote
            failure = f"classifier ({type(error).__name__})"
            if failure not in self.record.failures:
                self.record.failures.append(failure)
            return True
        if suspicion.opinion == "attack":
            self.record.injections += 1
            if action == "block" and self.attack is None:
                self.attack = suspicion
        if suspicion.opinion == "gray":
            self.record.gray += 1
        return suspicion.opinion == "gray"

    @property
    def action(self) -> Action:
        """What is done where the judge takes one of the texts for an injection."""
        return max(self.seen.values(), key=STRICTEST.__getitem__, default="allow")

    def request(self, direction: str) -> InjectionRequest:
        """Put what was seen before the judge, in one go."""
        return InjectionRequest(text="\n\n".join(self.seen), direction=direction)
