"""The detectors: one short module a family, found by name."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.guard.detectors.api_key import api_key_detector
from langchain_prodpatterns.guard.detectors.base import (
    AnyOf,
    AsyncDetector,
    BoundedDetector,
    Detector,
    PatternDetector,
    Place,
)
from langchain_prodpatterns.guard.detectors.birth_date import (
    birth_date_detector,
    long_birth_date_detector,
)
from langchain_prodpatterns.guard.detectors.card import CardDetector
from langchain_prodpatterns.guard.detectors.crypto import crypto_detector
from langchain_prodpatterns.guard.detectors.email import EmailDetector
from langchain_prodpatterns.guard.detectors.encoded import encoded_detector
from langchain_prodpatterns.guard.detectors.iban import iban_detector
from langchain_prodpatterns.guard.detectors.ip import ip_detector
from langchain_prodpatterns.guard.detectors.llm import LlmDetector
from langchain_prodpatterns.guard.detectors.mac import mac_detector
from langchain_prodpatterns.guard.detectors.national_id import NationalIdDetector
from langchain_prodpatterns.guard.detectors.phone import PhoneDetector
from langchain_prodpatterns.guard.detectors.presidio import PresidioDetector
from langchain_prodpatterns.guard.detectors.secret import SecretDetector
from langchain_prodpatterns.guard.detectors.spelled import SpelledEmail
from langchain_prodpatterns.guard.detectors.ssn import SsnDetector
from langchain_prodpatterns.guard.detectors.url import UrlDetector, url_detector
from langchain_prodpatterns.guard.policy import INJECTION

__all__ = [
    "DEFAULT_DETECTORS",
    "AsyncDetector",
    "BoundedDetector",
    "Detector",
    "LlmDetector",
    "NationalIdDetector",
    "PatternDetector",
    "PhoneDetector",
    "Place",
    "PresidioDetector",
    "resolve_detectors",
]

# What a value may be that is encoded; of the rest, the words around it tell.
_PLAIN = (
    "api_key",
    "card",
    "crypto",
    "email",
    "iban",
    "ip",
    "mac",
    "phone",
    "ssn",
    "url",
)
_FAMILIES: Mapping[str, Callable[[], Detector]] = {
    "api_key": api_key_detector,
    "birth_date": birth_date_detector,
    "card": CardDetector,
    "crypto": crypto_detector,
    "email": lambda: AnyOf("email", [EmailDetector(), SpelledEmail()]),
    "iban": iban_detector,
    "ip": ip_detector,
    "mac": mac_detector,
    "national_id": NationalIdDetector,
    "phone": PhoneDetector,
    "secret": SecretDetector,
    "ssn": SsnDetector,
    "url": url_detector,
    "encoded": lambda: encoded_detector(resolve_detectors(_PLAIN)),
    # Not in the default set:
    "any_url": UrlDetector,
    "long_birth_date": long_birth_date_detector,
}
_ON_DEMAND = ("any_url", "long_birth_date")

DEFAULT_DETECTORS = tuple(name for name in _FAMILIES if name not in _ON_DEMAND)
"""The names of the detectors that a guard has by default."""


@cache
def _family(name: str) -> Detector:
    """Compile a family's patterns once; detectors have no state."""
    return _FAMILIES[name]()


def resolve_detectors(
    detectors: Sequence[str | Detector] | None,
) -> tuple[Detector, ...]:
    """Turn what the user gave into detectors.

    Args:
        detectors: Names and detectors; `None` for the default set.

    Returns:
        The detectors.

    Raises:
        ConfigurationError: When one is unknown, or two have one name.
    """
    if isinstance(detectors, str) or not isinstance(detectors, Sequence | None):
        msg = f"detectors must be a sequence of names and detectors, got {detectors!r}"
        raise ConfigurationError(msg)
    chosen = DEFAULT_DETECTORS if detectors is None else detectors
    found = [_resolve(each) for each in chosen]
    names = [detector.name for detector in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"each detector needs a name of its own, got {twice} more than once"
        raise ConfigurationError(msg)
    if INJECTION in names:
        msg = (
            f"the name {INJECTION!r} belongs to the judge: name the detector otherwise"
        )
        raise ConfigurationError(msg)
    return tuple(found)


def _resolve(detector: str | Detector) -> Detector:
    if isinstance(detector, str):
        if detector not in _FAMILIES:
            msg = f"no detector {detector!r}; known: {', '.join(sorted(_FAMILIES))}"
            raise ConfigurationError(msg)
        return _family(detector)
    if isinstance(detector, type):
        msg = (
            f"{detector.__name__} is a class, give a detector: {detector.__name__}(...)"
        )
        raise ConfigurationError(msg)
    if isinstance(detector, Detector):
        return detector
    msg = (
        "a detector is a name or has `name` and `find(text)`, got "
        f"{type(detector).__name__}"
    )
    if hasattr(detector, "detector"):
        msg += ": give its `detector`"
    raise ConfigurationError(msg)
