import re
from collections.abc import Iterator

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from phonenumbers import Leniency, PhoneNumberFormat, PhoneNumberMatcher

from langchain_prodpatterns.guard.detectors import numbering
from langchain_prodpatterns.guard.detectors.grouping import groups_of
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


REGIONS = ("US", "GB", "DE", "FR", "IT", "RU", "AU", "NL")


@st.composite
def written(draw: st.DrawFn) -> tuple[str, str]:
    """Draw digits of which many are numbers, in groups of which many are usual."""
    region = draw(st.sampled_from(REGIONS))
    kind = draw(st.integers(0, 4))
    number = phonenumbers.example_number_for_type(region, kind)
    style = draw(st.sampled_from([PhoneNumberFormat.NATIONAL, PhoneNumberFormat.E164]))
    value = phonenumbers.format_number(number, style) if number else "030 123456"
    chars = list(value.replace("+", draw(st.sampled_from(["00", "", "0"]))))
    for at in draw(st.lists(st.integers(0, len(chars) - 1), max_size=4)):
        chars[at] = draw(st.sampled_from("0123456789"))
    for at in draw(st.lists(st.integers(1, len(chars)), max_size=4)):
        chars.insert(at, draw(st.sampled_from(["", " ", "-", "0", "5"])))
    return region, "".join(chars)


@settings(max_examples=400)
@given(written())
@example(("DE", "0551 027 9304 1267"))
@example(("DE", "094-0882 523"))
def test_the_plans_have_the_last_word(drawn: tuple[str, str]) -> None:
    region, value = drawn
    plans, digits = NumberingPlans([region]), re.sub("[^0-9]", "", value)
    found = PhoneNumberMatcher(
        value, region, leniency=Leniency.STRICT_GROUPING, max_tries=1
    )
    usual = any(match.raw_string == value for match in found)
    groups = groups_of(region)
    assert usual or not plans.is_usual(value)
    assert not usual or groups is None or groups.may_be(value)
    assert plans.is_international(f"+{digits}") is _is_valid(f"+{digits}", None)


def test_one_plus_too_many_hides_no_number() -> None:
    assert NumberingPlans([]).is_international("++44 121 234 7786")


def test_numbers_that_are_none_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbering, "_valid", lambda value, region: 1 / 0)
    plans = NumberingPlans(["US", "DE"])
    # No area code, a group cut in two, no country, no number of that country.
    for value in ("299 555 0100", "21 27 36 50 00", "0244 2224"):
        assert not plans.is_usual(value)
    for value in ("+999 123456", "+44 0000 000000", "+"):
        assert not plans.is_international(value)


def _is_valid(value: str, region: str | None) -> bool:
    try:
        number = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        return False
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


def test_without_what_phonenumbers_keeps_to_itself_it_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr("phonenumbers.data._ALT_NUMBER_FORMATS")

    assert groups_of.__wrapped__("DE") is None
