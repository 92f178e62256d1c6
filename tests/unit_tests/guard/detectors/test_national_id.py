from typing import Any

import pytest

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.guard import DEFAULT_DETECTORS
from langchain_prodpatterns.guard.detectors import NationalIdDetector
from langchain_prodpatterns.guard.detectors.national_id import KNOWN


def found(text: str, numbers: Any = KNOWN) -> list[str]:
    return [text[start:end] for start, end in NationalIdDetector(numbers).find(text)]


WITH_A_WORD = [
    ("ar.dni", "DNI", "20.123.456"),
    ("au.tfn", "TFN", "123 456 782"),
    ("be.nn", "rijksregister", "85.07.30-033.28"),
    ("br.cpf", "CPF", "390.533.447-05"),
    ("ca.sin", "SIN", "123-456-782"),
    ("de.idnr", "Steuer-ID", "36 574 261 809"),
    ("dk.cpr", "CPR", "211062-5629"),
    ("es.dni", "DNI", "54362315-K"),
    ("es.nie", "NIE", "X-2482300-W"),
    ("gb.nhs", "NHS number", "943 476 5919"),
    ("in.aadhaar", "Aadhaar", "2341 2341 2346"),
    ("in.pan", "PAN", "ACUPA7085R"),
    ("nl.bsn", "BSN", "1112.22.333"),
    ("pl.pesel", "PESEL", "44051401359"),
    ("se.personnummer", "personnummer", "880320-0016"),
    ("us.itin", "ITIN", "912-90-3456"),
]
ALONE = [
    ("ch.ssn", "756.9217.0769.85"),
    ("cn.ric", "11010519491231002X"),
    ("fi.hetu", "131052-308T"),
    ("fr.nir", "2 53 07 2B 073 004 70"),
    ("fr.nir", "253072B07300470"),
    ("it.codicefiscale", "RCCMNL83S18D969H"),
    ("mx.curp", "BOXW310820HNERXN09"),
]


@pytest.mark.parametrize(("name", "word", "value"), WITH_A_WORD)
def test_a_weak_checksum_needs_a_word(name: str, word: str, value: str) -> None:
    assert found(f"My {word} is {value}, thanks", [name]) == [value]
    assert found(f"My parcel is {value}, thanks") == []


@pytest.mark.parametrize(("name", "value"), ALONE)
def test_a_strong_structure_stands_alone(name: str, value: str) -> None:
    assert found(f"it is {value}.", [name]) == [value]
    assert found(f"it is {value}.") == [value]


@pytest.mark.parametrize(
    "text",
    [
        "NHS number 943 476 5918",  # the checksum
        "NHS number 943-47-65919",  # the layout
        "BSN 123456789",
        "x253072B07300470",
        "253072B07300470x",
        "253192B07300470",  # the month
        "DOCUMENTATION OF THE DNI",
        "PAN ABCDEFGHIJ",
    ],
)
def test_what_is_no_number_of_a_person(text: str) -> None:
    assert found(text) == []


def test_what_follows_a_number_does_not_hide_it() -> None:
    assert found("NHS number 943 476 5919 2024 A", ["gb.nhs"]) == ["943 476 5919"]


def test_a_place_that_the_tables_know_in_part_hides_no_other_number() -> None:
    # The province of this one is known, its county is not.
    text = "part 120416199309109612, BSN 111222333"
    assert found(text) == ["111222333"]


def test_only_the_numbers_that_are_given_are_found() -> None:
    text = "BSN 111222333, PESEL 44051401359"
    assert found(text, ["nl.bsn"]) == ["111222333"]
    assert found(text, ["pl.pesel"]) == ["44051401359"]


def test_every_number_that_is_known_has_a_module() -> None:
    assert len({name for name, *_ in [*WITH_A_WORD, *ALONE]}) > len(KNOWN) // 2
    for name in KNOWN:
        assert found("nothing here 12345678", [name]) == []


def test_its_type_can_be_named() -> None:
    assert NationalIdDetector(["nl.bsn"], name="bsn").name == "bsn"
    assert "national_id" in DEFAULT_DETECTORS


@pytest.mark.parametrize("numbers", [["us.xyz"], "us.itin", []])
def test_unknown_numbers_are_refused(numbers: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"a list of ar\.dni"):
        NationalIdDetector(numbers)
