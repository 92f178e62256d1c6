"""Nothing private goes in or out: `GuardRunnable` and what it is made of."""

from langchain_prodpatterns.guard.detectors import (
    DEFAULT_DETECTORS,
    BoundedDetector,
    Detector,
    PatternDetector,
    PhoneDetector,
)
from langchain_prodpatterns.guard.guard_runnable import GuardRunnable
from langchain_prodpatterns.guard.injection import InjectionRequest, InjectionVerdict

__all__ = [
    "DEFAULT_DETECTORS",
    "BoundedDetector",
    "Detector",
    "GuardRunnable",
    "InjectionRequest",
    "InjectionVerdict",
    "PatternDetector",
    "PhoneDetector",
]
