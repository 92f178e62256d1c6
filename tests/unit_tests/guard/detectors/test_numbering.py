from collections.abc import Iterator

import phonenumbers
import pytest
from phonenumbers import Leniency, PhoneNumberFormat, PhoneNumberMatcher

from langchain_prodpatterns.guard.detectors import numbering
from langchain_prodpatterns.guard.detectors.numbering import NumberingPlans


def examples() -> Iterator[tuple[str, str]]:
    """Yield an example of every region and type, as it is written there and abroad."""
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in range(5):
            number = phonenumbers.example_number_for_type(region, kind)
            for style in (PhoneNumberFormat.NATIONAL, PhoneNumberFormat.INTERNATIONAL):
                if number is not None:
                    yield region, phonenumbers.format_number(number, style)


def test_nothing_that_the_plans_accept_is_sorted_out_before() -> None:
    for region, value in examples():
        plans, digits = NumberingPlans([region]), value.lstrip("+")
        usual = PhoneNumberMatcher(
            digits, region, leniency=Leniency.STRICT_GROUPING, max_tries=1
        )
        if any(match.raw_string == digits for match in usual):
            assert plans.is_usual(digits), region
        if _is_valid(digits, region):
            assert plans.is_national(digits), region
        if value.startswith("+") and _is_valid(value, None):
            assert plans.is_international(value), region


def _is_valid(value: str, region: str | None) -> bool:
    number = phonenumbers.parse(value, region)
    return bool(phonenumbers.is_valid_number(number))


@pytest.mark.parametrize(
    ("value", "usual"),
    [
        ("(212) 736-5000", True),
        ("212 736 5000", True),
        ("01 42 68 53 00", True),
        ("21 27 36 50 00", False),
        ("1 42 68 53 00", False),  # written without the 0
        ("999 999 9999", False),
    ],
)
def test_usual_groups(value: str, *, usual: bool) -> None:
    assert NumberingPlans(["US", "FR"]).is_usual(value) is usual


def test_a_number_is_parsed_once_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []

    def note(value: str, region: str | None) -> str:
        parsed.append(value)
        return "number"

    monkeypatch.setattr(numbering, "_valid", note)
    plans = NumberingPlans(["US"])
    for value in ("212 736 5000", "(212) 736-5000", "212 736 5000"):
        assert plans.is_national(value)
    assert parsed == ["2127365000"]
    assert NumberingPlans(["US"]).is_national("212 736 5000")
    assert parsed == ["2127365000"] * 2, "no number stays in memory"
