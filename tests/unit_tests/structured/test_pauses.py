"""How long a retry waits."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest

from langchain_prodpatterns.structured.pauses import LONGEST, pause, retry_after


def failing(headers: Any) -> Exception:
    error = RuntimeError("slow down")
    error.response = SimpleNamespace(headers=headers)  # type: ignore[attr-defined]  # as clients do
    return error


@pytest.mark.parametrize(("retries", "least"), [(1, 0.5), (2, 1.0), (3, 2.0)])
def test_pauses_grow_and_differ(retries: int, least: float) -> None:
    pauses = [pause(retries) for _ in range(50)]

    assert all(least <= one <= least + 0.5 for one in pauses)
    assert len(set(pauses)) > 1


def test_what_is_no_retry_waits_for_nothing() -> None:
    assert pause(0, asked=20.0) == 0


@pytest.mark.parametrize(
    ("asked", "waited"), [(20.0, 20.0), (3600.0, LONGEST), (LONGEST, LONGEST)]
)
def test_the_provider_is_listened_to_within_reason(asked: float, waited: float) -> None:
    assert pause(1, asked) == waited
    assert 0.5 <= pause(1, asked=0.01) <= 1.0


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("3", 3.0), ("0.5", 0.5), ("0", 0.0)],
)
def test_seconds_are_read(given: str, seconds: float) -> None:
    assert retry_after(failing({"retry-after": given})) == seconds


def test_a_date_is_read() -> None:
    then = datetime.now(UTC) + timedelta(seconds=60)

    for date in (then, then.replace(tzinfo=None)):
        seconds = retry_after(failing({"retry-after": format_datetime(date)}))
        assert seconds == pytest.approx(60, abs=5)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        None,
        "retry-after: 3",
        {"retry-after": "soon"},
        {"retry-after": "-1"},
        {"retry-after": "nan"},
        {"retry-after": "inf"},
        {"retry-after": ""},
        {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"},
        {"retry-after": "Wed, 99 Oct 2015 99:28:00 GMT"},
    ],
)
def test_nothing_is_asked_for(headers: Any) -> None:
    assert retry_after(failing(headers)) is None


def test_an_error_without_a_response_asks_for_nothing() -> None:
    assert retry_after(TimeoutError()) is None
