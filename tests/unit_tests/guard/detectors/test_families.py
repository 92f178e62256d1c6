import random

import pytest

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.guard import (
    DEFAULT_DETECTORS,
    Detector,
    PatternDetector,
    PhoneDetector,
)
from langchain_prodpatterns.guard.detectors import resolve_detectors
from langchain_prodpatterns.guard.detectors.base import is_wordy
from langchain_prodpatterns.guard.detectors.card import passes_luhn
from langchain_prodpatterns.guard.detectors.iban import passes_mod97
from langchain_prodpatterns.guard.scanning import Record, Scanner
from tests.unit_tests.guard.planted import VALUES


def found(name: str, text: str) -> set[str]:
    (detector,) = resolve_detectors([name])
    return {text[start:end] for start, end in detector.find(text)}


def taken(name: str, text: str) -> set[str]:
    """Return what is taken out of a text, overlapping places as one."""
    scanner = Scanner(resolve_detectors([name]), {name: "redact"})
    return {text[span.start : span.end] for span in scanner.find(text, Record())}


@pytest.mark.parametrize(
    "frame", ["{}", "see {} now", '{{"x":"{}"}}', "<{}>", "a: {}."]
)
@pytest.mark.parametrize(("name", "value"), VALUES)
def test_planted_values_are_found_whole(name: str, value: str, frame: str) -> None:
    places = found(name, frame.format(value))
    assert any(value in place for place in places)
    assert all(len(place) <= len(value) + 1 for place in places)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("mailto:ann@example.com?subject=x", "ann@example.com"),
        ("write ann@example.com.", "ann@example.com"),
        ("ann@mail.example.co.uk,bob", "ann@mail.example.co.uk"),
        ("jürgen@müller.de", "jürgen@müller.de"),
        ("请联系ann@example.com谢谢", "ann@example.com"),
        ("o'brien@example.com", "o'brien@example.com"),
        ("git@github.com, please", "git@github.com"),
        ("widgit@example.com: hi", "widgit@example.com"),
    ],
)
def test_emails(text: str, value: str) -> None:
    assert max(found("email", text), key=len) == value


def test_an_email_behind_a_longer_word_is_found() -> None:
    text = "x" * 100 + "jane@example.com"
    assert "jane@example.com" in found("email", text)


@pytest.mark.parametrize(
    "text",
    [
        "logo@2x.png",
        "@ximena on the forum",
        "a@b",
        "user@",
        "1 @ 2.50",
        "x@y.",
        "git clone git@github.com:org/repo.git",
    ],
)
def test_not_emails(text: str) -> None:
    assert found("email", text) == set()


@pytest.mark.parametrize(
    "value",
    [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4222222222222",  # 13 digits
        "36700102000000",  # 14, Diners
        "378282246310005",  # 15, American Express
        "6011000990139424",
        "3530111333300000",
        "2223003122003222",
        "6304000000000000018",  # 19, Maestro
    ],
)
def test_cards(value: str) -> None:
    assert found("card", f"pay with {value} today") == {value}


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",  # the checksum is wrong
        "Order #4111111111111111 shipped",
        "tracking code 4111 1111 1111 1111",
        "timestamp 1642873483",
        "uuid b2d08d9b-1cb3-35ca-012e-60e1dff6dbde",
        "sha 4111111111111111ab",
        "x4111111111111111",
        "41111111111111111111111",
        "411111111111",
        "0000000000000000",
        "4242 4242-4242 4242",  # a card is printed with one kind of gap
        "424 242 424 242 424 2",
        "112-7450123-9876543",
        "114-3941689-8772232",
        "1309 6465 4085 1595 1309 7777",
        "466 610 792 651 548 252 228",
    ],
)
def test_not_cards(text: str) -> None:
    assert found("card", text) == set()


@pytest.mark.parametrize(
    "cue",
    [
        "order",
        "tracking",
        "ref",
        "reference",
        "invoice",
        "ticket",
        "timestamp",
        "isbn",
        "serial",
        "part",
        "sku",
        "parcel",
        "shipment",
        "ean",
        "upc",
        "gtin",
        "barcode",
    ],
)
@pytest.mark.parametrize(
    "frame",
    [
        "Please charge this {} to 4242 4242 4242 4242",
        "Pay my {} with 4242 4242 4242 4242.",
        "{} my card 4242 4242 4242 4242",
        "{}: use card 4242 4242 4242 4242",
        "{} paid, 4242 4242 4242 4242",
        "card for {} 4242 4242 4242 4242",
    ],
)
def test_a_word_before_a_card_does_not_hide_it(frame: str, cue: str) -> None:
    assert found("card", frame.format(cue)) == {"4242 4242 4242 4242"}


@pytest.mark.parametrize(
    "text",
    [
        "Order no. 4242424242424242",
        "order number: 4242424242424242",
        "reference (4242424242424242)",
        "ticket id=4242424242424242",
        "the barcode is 4242424242424242",
    ],
)
def test_a_label_says_what_a_number_is(text: str) -> None:
    assert found("card", text) == set()


@pytest.mark.parametrize(
    "value",
    [
        "4222 2222 2222 2",
        "3670 010200 0000",
        "3782 822463 10005",
        "6304 0000 0000 0000 018",
        "621234 5678901234569",
    ],
)
def test_cards_as_they_are_printed(value: str) -> None:
    assert taken("card", f"{value}.") == {value}


FOURS = "4111 1111 1111 1111"


@pytest.mark.parametrize(
    ("text", "cards"),
    [
        (f"{FOURS} 1226", {FOURS}),  # when it expires
        (f"1234 {FOURS}", {FOURS}),
        (f"1234 {FOURS} 5678", set()),
        (f"{FOURS} 1234 5678", set()),
        (f"1234 5678 {FOURS}", set()),
        (f"1234\t{FOURS}\t5678", set()),
        (f"card 1234 {FOURS} 5678", {FOURS}),
        (f"+1 415 555 2670 {FOURS}", {FOURS}),
        (f"{FOURS} 5500 0055 5555 5559", {FOURS, "5500 0055 5555 5559"}),
        (f"{FOURS} {FOURS} {FOURS}", {FOURS}),
    ],
)
def test_a_row_of_fours_is_a_table_but_for_cards(text: str, cards: set[str]) -> None:
    assert found("card", text) == cards


def test_rows_of_numbers_are_seldom_taken_for_cards() -> None:
    draw = random.Random(7)
    rows = [
        " ".join(str(draw.randint(10 ** (size - 1), 10**size - 1)) for _ in range(10))
        for size in (3, 4)
        for _ in range(500)
    ]
    assert sum(bool(found("card", row)) for row in rows) <= 5


def test_the_tail_of_an_iban_is_no_card_but_what_follows_a_whole_one_is() -> None:
    assert found("card", "IT16 H185 3885 9356 8881 3428 011") == set()
    whole = "ES91 2100 0418 4502 0005 1332"
    assert "4111 1111 1111 1111" in found("card", f"{whole} 4111 1111 1111 1111")


def test_two_cards_side_by_side_are_two() -> None:
    both = "4111111111111111 5500005555555559"
    assert found("card", both) == set(both.split())


@pytest.mark.parametrize(
    ("digits", "right"), [("79927398713", True), ("79927398710", False), ("18", True)]
)
def test_luhn(digits: str, *, right: bool) -> None:
    assert passes_luhn(digits) is right


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("IBAN GB82 WEST 1234 5698 7654 32 PLEASE PAY", "GB82 WEST 1234 5698 7654 32"),
        ("gb82west12345698765432", "gb82west12345698765432"),
        ("FR14 2004 1010 0505 0001 3M02 606.", "FR14 2004 1010 0505 0001 3M02 606"),
        ("NO93 8601 1117 947", "NO93 8601 1117 947"),
    ],
)
def test_ibans(text: str, value: str) -> None:
    assert found("iban", text) == {value}


@pytest.mark.parametrize(
    "text",
    [
        "GB83 WEST 1234 5698 7654 32",  # the check digits are wrong
        "DE77843671548116895317",
        "XX82WEST12345698765432",
        "commit 491bd3b1ae477ffdabbfa756cd93af43",
    ],
)
def test_not_ibans(text: str) -> None:
    assert found("iban", text) == set()


def test_mod97() -> None:
    assert passes_mod97("GB82WEST12345698765432")
    assert not passes_mod97("GB82WEST12345698765423")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("ring +1 201-555-1855.", "+1 201-555-1855"),
        ("+61412344765", "+61412344765"),
        ("Call me on 201-555-1838 after six", "201-555-1838"),
        ("(201) 555-1838", "(201) 555-1838"),
        ("at 0121 234 7786 today", "0121 234 7786"),
        ("tel: 2015551838", "2015551838"),
        ("phone 01 23 45 67 89", "01 23 45 67 89"),
        ("call +44 121 234 7786 12", "+44 121 234 7786"),
        ("+44 121 234 7786 4111 1111 1111 1111", "+44 121 234 7786"),
    ],
)
def test_phones(text: str, value: str) -> None:
    assert value in found("phone", text)


@pytest.mark.parametrize(
    "text",
    [
        "Order #7754790187501 shipped",
        "timestamp 1642873483 ok",
        "2024-11-23 10:30",
        "from 2019-2023 on",
        "section 6.8.3.7",
        "It costs $82,302.66",
        "ISBN 978-2-4152-6055-8",
        "ratio 7:10:31",
        "uuid b2d08d9b-1cb3-35ca-012e-60e1dff6dbde",
        "2015551838",  # no groups, and nothing announces it
        "+999 999 999 999",
        "call 12345",
        "We will reach 1 000 000 users",
        "reach 1.000.000 customers",
        "The message has 12.345.678 bytes",
        "text me the total of 123 456 000 EUR",
        "Urlaub vom 03.12.24 - 13.01.25",
        "01-02-25 03-04-25",
        "01.02.25 03.04.25 05.06.25",
        "call on 03.12.24 13:30",
        "call on 03/12/24 13 30",
        "in 2019 555 1234",
        "Bestellnummer 030 901820",
        "commande n\u00b0 06 12 34 56 78",
        "num\u00e9ro de client : 06 12 34 56 78",
    ],
)
def test_not_phones(text: str) -> None:
    assert found("phone", text) == set()


INTERNATIONAL = ["+33 1 42 68 53 00", "+14155552671", "+1 212 736 5000"]


@pytest.mark.parametrize("number", INTERNATIONAL)
@pytest.mark.parametrize(
    "frame",
    [
        "I'm in Paris: {}",
        "Call our office in Paris: {}",
        "my account phone is {}",
        "phone id: {}",
        "contact info (since 2020): {}",
        "version 2, tel {}",
        "order {}",
        "in {}",
        "Ann,{},Paris",
        "end.{}",
        "1,{}",
    ],
)
def test_nothing_hides_or_halves_an_international_number(
    frame: str, number: str
) -> None:
    assert taken("phone", frame.format(number)) == {number}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("based in Austin (512) 472-1234", "(512) 472-1234"),
        ("I live in Boston, 617-253-1000", "617-253-1000"),
        ("Ann,212-736-5000,x", "212-736-5000"),
        ("order by phone: 212 736 5000", "212 736 5000"),
        ("my account's phone is 212 736 5000", "212 736 5000"),
        ("Phone # 212-736-5000", "212-736-5000"),
        ("((212) 736-5000)", "(212) 736-5000"),
        ("(((212) 736-5000)))", "(212) 736-5000"),
        ("(212) 736-5000 (2 rooms)", "(212) 736-5000"),
        ("+33 (0)1 42 68 53 00", "+33 (0)1 42 68 53 00"),
        ("0033 1 42 68 53 00", "0033 1 42 68 53 00"),
        ("Sign in 415-555-2671", "415-555-2671"),
        ("in (415) 555-2671", "(415) 555-2671"),
        ("They are answering at 78 651 450", "78 651 450"),
        ("call our shop, 612 345 678", "612 345 678"),
        ("06.12.34.56.78", "06.12.34.56.78"),
        ("Telefon: 3012345678", "3012345678"),
        ("4111 1111 1111 1111\n415-555-2671", "415-555-2671"),
        ("+999 201-555-1838", "+999 201-555-1838"),
    ],
)
def test_the_nearest_word_says_what_digits_are(text: str, value: str) -> None:
    assert taken("phone", text) == {value}


@pytest.mark.parametrize("gap", [" ", ", ", "; ", " / "])
def test_a_long_list_of_numbers_is_found_to_its_end(gap: str) -> None:
    numbers = [f"212-736-500{digit}" for digit in range(9)]
    assert taken("phone", gap.join(numbers)) == set(numbers)


def test_a_slash_parts_two_numbers() -> None:
    places = found("phone", "415-555-2671/415-555-2672")
    assert {"415-555-2671", "415-555-2672"} <= places


def test_french_pairs_stand_side_by_side() -> None:
    both = {"01 42 68 53 00", "01 42 68 53 01"}
    assert taken("phone", "01 42 68 53 00 01 42 68 53 01") == both


@pytest.mark.parametrize(
    "text",
    [
        "1 2 3 4 5 6 7 8 9 10 11 12",
        "30 45 67 89 12 34 56 78",
        "order 212-736-5000",
        "ticket no. 212-736-5000",
        "$212-736-5000",
        "1,234 567 8901",
    ],
)
def test_rows_labels_and_amounts_are_no_phones(text: str) -> None:
    assert found("phone", text) == set()


def test_regions_say_whose_national_notation_counts() -> None:
    text = "al 912 34 56 78 hoy"
    assert list(PhoneDetector(["ES"]).find(text)) == [(3, 15)]
    assert list(PhoneDetector(["GB"]).find(text)) == []


@pytest.mark.parametrize("regions", [["XX"], "US", ["us"]])
def test_unknown_regions_are_refused(regions: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="two-letter"):
        PhoneDetector(regions)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("host=10.215.97.221:8080", "10.215.97.221"),
        ("[172.61.9.226] GET", "172.61.9.226"),
        ("from 8.8.4.4.", "8.8.4.4"),
        ("net 10.1.0.0/16", "10.1.0.0"),
        ("peer fe80::4ead:ef30:98a4:9ad4 up", "fe80::4ead:ef30:98a4:9ad4"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("at 2001:db8::1: gone", "2001:db8::1"),
        ("::ffff:10.1.2.3", "::ffff:10.1.2.3"),
        ("2001::1", "2001::1"),
        ("1::2:3", "1::2:3"),
        ("hosts[2001:db8::a:1]", "2001:db8::a:1"),
        ("db.internal/10.2.3.4:5432", "10.2.3.4"),
        ("ip.addr==10.2.3.4", "10.2.3.4"),
        ("peer=10.2.3.4", "10.2.3.4"),
        ("upgrade the server at 10.2.3.4", "10.2.3.4"),
        ("move from 10.2.3.4 to 10.2.3.5", "10.2.3.5"),
    ],
)
def test_ips(text: str, value: str) -> None:
    assert value in found("ip", text)


@pytest.mark.parametrize(
    "text",
    [
        "See section 1.6.3.2",
        "Upgrade to version 5.10.18.1",
        "Build 139.19.99.8 passed",
        "v1.2.3.4",
        "1.2.3",
        "1.2.3.4.5",
        "300.1.1.1",
        "std::vector",
        "abc::def",
        "::1",
        "::",
        "12:34:56",
        "aa:bb:cc:dd:ee:01",
        "lst[::2]",
        "x[1::2] and y[0::10]",
        "a[::2, 1::3]",
        "x[1000::2]",
        "1:2:3:4:5:6:7:8",
        "10:20:30:40:50:60:70:80",
        "numpy==1.26.4.1",
        "numpy>=1.26.4.1",
        "Chrome/120.0.0.0 Safari/537.36",
        "upgrade from 1.2.3.4 to 1.2.3.5",
        "upgraded numpy to 1.26.4.1",
        "Version: 1.2.3.4",
    ],
)
def test_not_ips(text: str) -> None:
    assert found("ip", text) == set()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("go https://u:pw@h.example/x", "https://u:pw@h.example/x"),
        (
            "[a](https://a.example/r?x=1&token=abcdef12)",
            "https://a.example/r?x=1&token=abcdef12",
        ),
        ("a.example/r?access_token=abcdef12 .", "?access_token=abcdef12"),
        (
            "https://a.example/reset-password/0123456789abcdef0123",
            "https://a.example/reset-password/0123456789abcdef0123",
        ),
        (
            "https://s3.example/f?X-Amz-Signature=00ff00ff",
            "https://s3.example/f?X-Amz-Signature=00ff00ff",
        ),
        (
            "https://a.example/?code=4fXa9Qm2Zk8Lw3Vt0",
            "https://a.example/?code=4fXa9Qm2Zk8Lw3Vt0",
        ),
        (
            "https://a.example/go?to=https://b.example/?token=abcdef12",
            "https://a.example/go?to=https://b.example/?token=abcdef12",
        ),
        (
            '{"a":"postgres://u:p@h/db","mail":"x@y.example"}',
            "postgres://u:p@h/db",
        ),
    ],
)
def test_private_links(text: str, value: str) -> None:
    assert value in found("url", text)


@pytest.mark.parametrize(
    "text",
    [
        "https://www.example.com",
        "https://example.com/docs/login/overview",
        "https://example.com/?page=2&code=200&key=name",
        "ssh://git@example.com/repo",
        "http://localhost:3000/@vite/client",
        "fetch('http://a.example:80','b@c.example')",
        "https://example.com/a?token=1",
        "http://",
    ],
)
def test_public_links_are_not_private(text: str) -> None:
    assert found("url", text) == set()


@pytest.mark.parametrize(
    "link",
    [
        "postgresql+asyncpg://app:hunter2secret@db:5432/x",
        "mysql+mysqlconnector://u:pw12345@h/db",
        "redis://:password@localhost:6379",
        "postgres://u:p#ssword@host/db",
        "postgres://u:pa/ss@host/db",
        "postgres://u:p@ss@host/db",
        "postgres://u:p?ss@host/db",
        "https://user:pa'ss@host/",
    ],
)
@pytest.mark.parametrize("frame", ["{}", "DATABASE_URL={}", "('{}', 'x@y')", '"{}"'])
def test_passwords_in_links(frame: str, link: str) -> None:
    assert taken("url", frame.format(link)) == {link}


def test_any_url_takes_every_link_without_the_punctuation() -> None:
    assert found("any_url", "(see https://example.com/a.)") == {"https://example.com/a"}
    assert found("any_url", "http://") == set()


HEX = "50e8400fe29b41d4a716446655440000b2d08d9b"
RANDOM = "q7Wm2Zx9Lp4Kt8VbR5nYc3HdJ6sTgF1kXuQzNa0P" * 3


@pytest.mark.parametrize(
    "value",
    [
        "ASIAIOSFODNN7EXAMPLE",
        "github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz0123",
        "glpat-kMl9UfhksGI7n0g0gDJV",
        "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",
        "rk_test_51H8xYzAbCdEfGhIj",
        "npm_1a2B3c4D5e6F7g8H9i0J1k2L3m4N5o6P7q8R",
        "SG.ngeVfQFYQlKU0ufo8x5d1A.TwL2iGABf9DHoTf09kqeF8tAmbihYzrnopKc",
        "whsec_1a2B3c4D5e6F7g8H9i0J1k2L",
        "xoxc-123456789012-123456789012-1a2b3c4d5e6f",
        "xoxd-Zk3QpL9wVt7mXc2b",
        f"lsv2_pt_{HEX[:32]}_{HEX[:10]}",
        f"lsv2_sk_{HEX[:32]}_{HEX[:10]}",
        f"gsk_{RANDOM[:52]}",
        f"xai-{RANDOM[:80]}",
        f"pplx-{RANDOM[:48]}",
        f"r8_{RANDOM[:37]}",
        f"tvly-{RANDOM[:32]}",
        f"tvly-dev-{RANDOM[:32]}",
        f"nvapi-{RANDOM[:64]}",
        f"pcsk_{RANDOM[:6]}_{RANDOM[:60]}",
        f"dapi{HEX[:32]}",
        f"hvs.{RANDOM[:90]}",
        f"AccountKey={RANDOM[:86]}==",
        f"discord.com/api/webhooks/123456789012345678/{RANDOM[:68]}",
        f"bot1234567890:AA{RANDOM[:33]}",
        f"1234567890:AA{RANDOM[:33]}",
    ],
)
def test_more_vendors(value: str) -> None:
    assert found("api_key", f"export TOKEN={value}") == {value}


def test_the_aws_secret_is_one_near_its_name() -> None:
    secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    assert found("api_key", f"aws_secret_access_key = {secret}") == {secret}
    assert found("api_key", f"the checksum is {secret}") == set()


def test_a_private_key_goes_whole_also_in_json_and_cut_off() -> None:
    body = "MIIEowIBAAKCAQEAx7Rk2pQ9vTz0Lm3nYb5cWd8e" * 2
    escaped = rf"-----BEGIN PRIVATE KEY-----\n{body[:64]}\n{body[:20]}=\n-----END PRIVATE KEY-----"
    assert found("api_key", f'"{escaped}"') == {escaped}
    cut = f"-----BEGIN EC PRIVATE KEY-----\n{body[:64]}\n{body[:30]}"
    assert max(found("api_key", cut), key=len) == cut


@pytest.mark.parametrize(
    "before",
    [
        *(" " * indent for indent in range(17)),
        "\t",
        "> ",
        "> > ",
        "# ",
        "// ",
        " * ",
        ";; ",
        "    // ",
        "| ",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\n\r\n", ' \\\n"', '\\n" +\n  "'])
def test_a_private_key_goes_whole_however_it_is_set(before: str, end: str) -> None:
    lines = ["-----BEGIN PRIVATE KEY-----", *[RANDOM[:64]] * 51, RANDOM[:20] + "=="]
    lines.append("-----END PRIVATE KEY-----")
    text = "key:\n" + end.join(before + line for line in lines)
    (place,) = taken("api_key", text)
    assert place == text[text.index("-----") :]


@pytest.mark.parametrize(
    "text",
    [
        "sk-learn",
        "sk-a-long-hyphenated-name-of-something",
        "commit 50879527770df87050444b72860cb934f171d0c7",
        "-----BEGIN CERTIFICATE-----",
        "hf_short",
        "eyJust a word",
        "risk_live_and_let_live_1234567890",
    ],
)
def test_not_keys(text: str) -> None:
    assert found("api_key", text) == set()


@pytest.mark.parametrize(
    "text", ["My SSN is 076-08-2349.", "ssn=028 77 0824", "social security 078051120"]
)
def test_ssns(text: str) -> None:
    assert len(found("ssn", text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "000-19-1227",
        "666-96-8648",
        "933-12-4486",
        "386-00-1234",
        "386-91-0000",
        "386-91 1234",
        "part no 232-11-0915",
        "1386-91-1234",
        "078051120",
    ],
)
def test_not_ssns(text: str) -> None:
    assert found("ssn", text) == set()


def test_a_pattern_of_ones_own() -> None:
    badge = PatternDetector("badge", r"EMP-[0-9]{4}", lambda value: value[-1] != "0")
    assert isinstance(badge, Detector)
    assert list(badge.find("EMP-1234 EMP-1230")) == [(0, 8)]


def test_every_start_is_tried() -> None:
    assert list(PatternDetector("pair", "[ab]{2}").find("aba")) == [(0, 2), (1, 3)]


@pytest.mark.parametrize("name", ["", "Badge", "my badge", "1x", "x" * 41])
def test_names_are_plain(name: str) -> None:
    with pytest.raises(ConfigurationError, match="name"):
        PatternDetector(name, "a")


def test_what_is_no_pattern_is_refused_without_a_chain_of_errors() -> None:
    with pytest.raises(ConfigurationError, match="not a regular expression") as caught:
        PatternDetector("x", "(")
    assert caught.value.__context__ is None


def test_the_default_set_leaves_public_links_alone() -> None:
    names = [detector.name for detector in resolve_detectors(None)]
    assert names == list(DEFAULT_DETECTORS)
    assert "any_url" not in names


@pytest.mark.parametrize(
    ("detectors", "why"),
    [
        (["emial"], "known: any_url, api_key, birth_date, card"),
        ("email", "sequence"),
        (["email", "email"], "more than once"),
        ([PatternDetector("injection", "a")], "belongs to the judge"),
        ([object()], "find"),
    ],
)
def test_wrong_detectors_are_refused(detectors: list[str], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        resolve_detectors(detectors)


@pytest.mark.parametrize(
    "text",
    [
        "score 0.4221165755827173 found",
        "[55.64327542525381, 1.5663878529057547]",
        "score 0.763774618976614 found",
        "at -0.12942366931967797, 53.645284576743364 there",
        "0734 74241 56 9397 4789 61613 42 2 0108 5400 8960 90760 09 941 4 2 0",
        "the barcode 4308392107481 says",
        "it is 650-9672286-0826993 then",
        "Mobile sales: 2019 2020 2021 2022",
        "https://docs.example.com/login/getting-started-with-oauth2-tokens",
        "https://example.com/verify/fact-check-2024-election",
        "https://example.com/?session=2024-spring-evening",
        "task sk-learn-intern-2024-summer-project",
    ],
)
def test_ordinary_prose_is_left_alone(text: str) -> None:
    assert [name for name in DEFAULT_DETECTORS if found(name, text)] == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("card", "4111.1111.1111.1111"),
        ("card", "my card: 4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
        ("card", "my card: 41 11 11 11 11 11 11 11"),
        ("card", "my card: 4111 11111111 1111"),
        ("phone", "call 030.12345678"),
        ("url", "https://a.example/invite/123e4567-e89b-12d3-a456-426614174000"),
        ("url", "https://a.example/invite/ab12-cd34-ef56-gh78"),
        ("url", "https://a.example/reset/aGVsbG8-Zm9v_YmFy1234"),
        ("url", "https://a.example/RESET/0123456789abcdef0123"),
        ("api_key", "sk-proj-abc-T7hYw2Kq9ZmB4xRn6VcL8sPd"),
    ],
)
def test_what_only_looks_ordinary_is_found(name: str, text: str) -> None:
    assert any(text.endswith(place) for place in found(name, text))


@pytest.mark.parametrize(
    ("value", "wordy"),
    [
        ("how-to-invite-10-people", True),
        ("getting_started_with_oauth2", True),
        ("two-parts", False),
        ("one-x4y5-two-z6w7", False),
        ("one-two-abcd1234", False),
        ("one-two-aBcD", False),
    ],
)
def test_words_and_numbers(value: str, *, wordy: bool) -> None:
    assert is_wordy(value) is wordy
