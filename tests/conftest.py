"""No test depends on the proxies of a machine, on its speed or on chance."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "OPENAI_PROXY")

_UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("steady", _UNTIMED, derandomize=True)
settings.register_profile(
    "explore", _UNTIMED, max_examples=500, derandomize=False, print_blob=True
)
# What a benchmark of a promise needs: ten thousand cases and none broken.
settings.register_profile("many", _UNTIMED, max_examples=10_000, derandomize=True)
settings.load_profile("steady")


@pytest.fixture(scope="session", autouse=True)
def _no_proxies() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        for name in PROXIES:
            environment.delenv(name, raising=False)
            environment.delenv(name.lower(), raising=False)
        yield
