import re

import pytest

from langchain_prodpatterns.guard import PatternDetector
from langchain_prodpatterns.guard.detectors import resolve_detectors
from langchain_prodpatterns.guard.scanning import Record, Scanner
from langchain_prodpatterns.guard.spans import Span


def found(text: str, label: str) -> list[str]:
    detectors = resolve_detectors(None)
    scanner = Scanner(detectors, {each.name: "redact" for each in detectors})
    spans = scanner.find(text, Record(), label=label)
    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    return [f"{span.type} {text[span.start : span.end]}" for span in spans]


@pytest.mark.parametrize(
    ("label", "text", "expected"),
    [
        ("ssn", "123456789", ["ssn 123456789"]),
        ("customer_ssn", "123456789", ["ssn 123456789"]),
        ("phone", "4155552671", ["phone 4155552671"]),
        ("phoneNumber", "4155552671", ["phone 4155552671"]),
        ("phone home", "4155552671", ["phone 4155552671"]),
        ("number", "4155552671", []),
        ("order_id", "4242424242424242", []),
        ("orderId", "4242424242424242", []),
        ("x" * 100 + "-order-id", "4242424242424242", []),
        ("card", "4242424242424242", ["card 4242424242424242"]),
        ("version", "1.2.3.4", []),
        ("host", "1.2.3.4", ["ip 1.2.3.4"]),
        ("4111 1111", "1111 1111", []),
    ],
)
def test_a_label_says_what_a_text_is(
    label: str, text: str, expected: list[str]
) -> None:
    assert found(text, label) == expected


def test_a_value_that_begins_in_the_label_goes_from_the_start_of_the_text() -> None:
    own = PatternDetector("own", "id: [0-9]{3}")
    scanner = Scanner([own], {"own": "redact"})
    assert scanner.find("123", Record(), label="id") == [Span(0, 3, "own", "redact")]
    assert scanner.find("x", Record(), label="id: 123") == []


def test_a_detector_without_bounds_sees_the_text_alone() -> None:
    class Whole:
        name = "whole"

        def find(self, text: str) -> list[tuple[int, int]]:
            return [(0, len(text))] if re.fullmatch("[A-Z]+", text) else []

    scanner = Scanner([Whole()], {"whole": "redact"})
    assert len(scanner.find("ANN", Record(), label="name")) == 1
