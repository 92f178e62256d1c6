"""Nothing private goes in or out: `GuardRunnable` and what it is made of."""

from langchain_prodpatterns.guard.canary import Canary
from langchain_prodpatterns.guard.classifier import InjectionClassifier, Suspicion
from langchain_prodpatterns.guard.detectors import (
    DEFAULT_DETECTORS,
    BoundedDetector,
    Detector,
    PatternDetector,
    PhoneDetector,
)
from langchain_prodpatterns.guard.guard_runnable import GuardRunnable
from langchain_prodpatterns.guard.injection import InjectionRequest, InjectionVerdict
from langchain_prodpatterns.guard.policy import Rule
from langchain_prodpatterns.guard.spotlight import Spotlight
from langchain_prodpatterns.guard.vault import Vault

__all__ = [
    "DEFAULT_DETECTORS",
    "BoundedDetector",
    "Canary",
    "Detector",
    "GuardRunnable",
    "InjectionClassifier",
    "InjectionRequest",
    "InjectionVerdict",
    "PatternDetector",
    "PhoneDetector",
    "Rule",
    "Spotlight",
    "Suspicion",
    "Vault",
]
