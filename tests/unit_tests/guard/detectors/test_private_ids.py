"""Hardware addresses, addresses of coins, dates of birth and unknown secrets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.guard import DEFAULT_DETECTORS
from langchain_prodpatterns.guard.detectors import resolve_detectors
from langchain_prodpatterns.guard.detectors.crypto import (
    pass_eip55,
    passes_base58check,
    passes_bech32,
)
from langchain_prodpatterns.guard.detectors.keccak import keccak256
from langchain_prodpatterns.guard.detectors.secret import entropy, is_random
from langchain_prodpatterns.guard.scanning import Record, Scanner, replaced
from langchain_prodpatterns.guard.streaming import TextStream


def found(name: str, text: str) -> set[str]:
    (detector,) = resolve_detectors([name])
    return {text[start:end] for start, end in detector.find(text)}


def test_what_is_looked_for_by_default() -> None:
    assert {"mac", "crypto", "birth_date", "secret"} <= set(DEFAULT_DETECTORS)
    assert "long_birth_date" not in DEFAULT_DETECTORS


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("at 00:1A:2B:3C:4D:5E up", "00:1A:2B:3C:4D:5E"),
        ("(00-1a-2b-3c-4d-5e)", "00-1a-2b-3c-4d-5e"),
        ("arp 00:1a:2b:3c:4d:5e: timeout", "00:1a:2b:3c:4d:5e"),
        ("aabb.ccdd.ee01", "aabb.ccdd.ee01"),
        ("MAC address 10:20:30:40:50:60", "10:20:30:40:50:60"),
        ("wifi aa:bb:cc:dd:ee:ff", "aa:bb:cc:dd:ee:ff"),
    ],
)
def test_macs(text: str, value: str) -> None:
    assert found("mac", text) == {value}


@pytest.mark.parametrize(
    "text",
    [
        "SHA1 AA:BB:CC:DD:EE:FF:00:11:22:33:44",
        "10:20:30:40:50:60",
        "aa:bb:cc:dd:ee:ff",
        "00:1a:2b:3c:4d",
        "00:1a-2b:3c:4d:5e",
        "x00:1a:2b:3c:4d:5e",
        "00:1a:2b:3c:4d:5eg",
        "mac 00:00:00:00:00:00",
        "mac ff:ff:ff:ff:ff:ff",
        "b2d08d9b-1cb3-35ca-012e-60e1dff6dbde",
        "1.aabb.ccdd.ee01",
    ],
)
def test_not_macs(text: str) -> None:
    assert found("mac", text) == set()


def test_the_day_of_death_is_no_date_of_birth() -> None:
    text = "born 1980-03-12, died 2020-01-02"
    assert found("birth_date", text) == {"1980-03-12"}


@pytest.mark.parametrize(
    "value",
    [
        "1BoatSLRHtKNngkdXEeobR76b53LETtpyT",
        "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    ],
)
def test_coins(value: str) -> None:
    assert found("crypto", f'{{"to":"{value}"}}') == {value}
    swapped = value[:-6] + value[-5] + value[-6] + value[-4:]
    assert found("crypto", swapped) == set()


def test_without_a_checksum_a_word_must_be_near() -> None:
    value = "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"
    assert found("crypto", f"my ETH wallet: {value}") == {value}
    assert found("crypto", f"object at {value}") == set()
    assert found("crypto", f"wallet {value}0") == set()


@pytest.mark.parametrize(
    "address",
    [
        "1BoatSLRHtKNngkdXEeobR76b53LETtpyS",  # the checksum
        "11111111111111111111111111",  # the length
        "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ",  # a key
    ],
)
def test_what_is_no_base58check(address: str) -> None:
    assert not passes_base58check(address)


def test_each_version_of_segwit_has_its_checksum() -> None:
    assert not passes_bech32("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5")
    # Version 1 with the checksum of version 0 (BIP 350).
    assert not passes_bech32(
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd"
    )


def test_eip55_of_none_and_of_many() -> None:
    right = "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    assert pass_eip55([]) == []
    assert pass_eip55([right, right.lower(), right]) == [True, False, True]


def test_keccak_is_the_one_of_ethereum() -> None:
    empty, abc, longest = keccak256([b"", b"abc", b"x" * 135])
    assert empty.hex() == (
        "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    )
    assert abc.hex() == (
        "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"
    )
    assert longest == keccak256([b"x" * 135])[0] != empty


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("DOB: 1980-03-12", "1980-03-12"),
        ("Date of birth 03/12/80.", "03/12/80"),
        ("geboren am 03.12.1980", "03.12.1980"),
        ("geb. 3.12.1980 in Ulm", "3.12.1980"),
        ("n\u00e9e le 31/12/1975,", "31/12/1975"),
        ("fecha de nacimiento: 31-12-1990", "31-12-1990"),
        ('"date_of_birth": "1980-03-12"', "1980-03-12"),
        ("d.o.b. (Paris) 12.31.1980", "12.31.1980"),
    ],
)
def test_birth_dates(text: str, value: str) -> None:
    assert found("birth_date", text) == {value}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("He was born on 3 March 1980 in Rome", "3 March 1980"),
        ("geboren am 3. M\u00e4rz 1980", "3. M\u00e4rz 1980"),
        ("n\u00e9e le 1er avril 1975.", "1er avril 1975"),
        ("born in Paris on March 3rd, 1980", "March 3rd, 1980"),
        ("fecha de nacimiento: 3 de mayo de 1990", "3 de mayo de 1990"),
        ("DOB 3 Feb. 1980", "3 Feb. 1980"),
    ],
)
def test_birth_dates_with_the_month_in_letters(text: str, value: str) -> None:
    assert found("long_birth_date", text) == {value}


@pytest.mark.parametrize(
    "text",
    [
        "meeting on 1980-03-12",
        "reborn 1980-03-12",
        "born 1879-03-14",
        "DOB: 1980-13-32",
        "born on 12.3.4",
        "DOB 1980-03-12x",
        "She was born. The meeting is 2024-03-12",
        "meeting 3 March 1980",
        "born 30 February 1980",
        "born 14 March 1879",
        "born 3 apples 1980",
        "version 1.2.3 was born 10.0.0.1",
    ],
)
def test_not_birth_dates(text: str) -> None:
    assert found("birth_date", text) | found("long_birth_date", text) == set()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("password: hunter2hunter2", "hunter2hunter2"),
        ('api_key = "k9Jd8sKq2LmZx"', "k9Jd8sKq2LmZx"),
        ("DB_PASSWORD=Tr0ub4dor&3", "Tr0ub4dor&3"),
        ('{"client_secret": "9fA!kd02mQz"}', "9fA!kd02mQz"),
        ("the password is Tr0ub4dor&3.", "Tr0ub4dor&3"),
        ("Mot de passe : Tr0ub4dor&3", "Tr0ub4dor&3"),
        ("Passwort ist Tr0ub4dor&3", "Tr0ub4dor&3"),
        ("Authorization: Bearer abcDEF123456xyz9", "abcDEF123456xyz9"),
        ("authorization: Basic dXNlcjpodW50ZXIy", "dXNlcjpodW50ZXIy"),
        ("X-Api-Key: 7f3e9a2b44c1d0", "7f3e9a2b44c1d0"),
        ("secret => 'p4ssw0rd-x9'", "p4ssw0rd-x9"),
        ("token:  q7Wm2Zx9Lp4K", "q7Wm2Zx9Lp4K"),
    ],
)
def test_secrets(text: str, value: str) -> None:
    assert found("secret", text) == {value}


@pytest.mark.parametrize(
    "text",
    [
        "commit 845af3befc68a31389d94d51e3449f4d03ee1b8e",
        "sha256: ccdc492b759f144428515117c36a318f29f117043e9f9f577ce70088231d3db6",
        "id=b2d08d9b-1cb3-35ca-012e-60e1dff6dbde",
        "password = os.environ['DB_PASSWORD_1']",
        "password=getpass.getpass(1)",
        "token: str = field()",
        "max_tokens=20000000",
        "password: <your-password-1>",
        "api_key=${API_KEY_1}",
        "API_KEY=your-api-key-123",
        "password: changeme123",
        "password: ********1",
        "secret = config.secret_name",
        "password: short1",
        "the token is important for everybody",
        "password=aaaaaaaaaaaa1",
        "the password for k9Jd8sKq2LmZx",
        "token_count: 123456789abc",
    ],
)
def test_not_secrets(text: str) -> None:
    assert found("secret", text) == set()


@given(st.text(min_size=1, max_size=60))
def test_entropy_is_between_none_and_all_different(value: str) -> None:
    assert -1e-9 <= entropy(value) <= len(value).bit_length()


def test_what_is_random() -> None:
    assert is_random("hunter2hunter2")
    assert not is_random("how-to-use-oauth2-in-2024")
    assert not is_random("internationalization")


def test_a_key_of_a_known_form_is_no_mere_secret() -> None:
    detectors = resolve_detectors(["secret", "api_key"])
    scanner = Scanner(detectors, {each.name: "redact" for each in detectors})
    spans = scanner.find("password=AKIAIOSFODNN7EXAMPLE", Record())
    assert [span.type for span in spans] == ["api_key"]


STREAMED = [
    "DOB: 1980-03-12 and born on 3 March 1980, geb. 3.12.1980.",
    "password: hunter2hunter2, api_key = 'k9Jd8sKq2LmZx' Bearer x",
    "Authorization: Bearer abcDEF123456xyz9\nnext line",
    "NHS number 943 476 5919 2024 A and BSN 111222333.",
    "253072B07300470 X-2482300-W NIE X-2482300-W",
    "mac 00:1a:2b:3c:4d:5e: 0a1b.2c3d.4e5f AA:BB:CC:DD:EE:FF:00",
    "1BoatSLRHtKNngkdXEeobR76b53LETtpyT, 1BoatSLRHtKNngkdXEeobR76b53LETtpyS",
    "my wallet: 0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
]


@pytest.mark.parametrize("size", [1, 3, 7, 20])
@pytest.mark.parametrize("text", STREAMED)
def test_a_stream_equals_one_look(text: str, size: int) -> None:
    detectors = resolve_detectors([*DEFAULT_DETECTORS, "long_birth_date"])
    scanner = Scanner(detectors, {each.name: "redact" for each in detectors})
    whole = TextStream(scanner, Record())
    expected = whole.feed(text) + whole.finish()
    stream = TextStream(scanner, Record())
    parts = [stream.feed(text[at : at + size]) for at in range(0, len(text), size)]
    assert "".join(parts) + stream.finish() == expected
    assert expected == replaced(text, scanner.find(text, Record()), 0, len(text))
    assert expected != text
