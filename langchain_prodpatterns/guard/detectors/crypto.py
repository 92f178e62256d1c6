"""Addresses of cryptocurrencies."""

import re
from collections.abc import Iterable, Iterator
from hashlib import sha256

from langchain_prodpatterns.guard.detectors.base import (
    AnyOf,
    PatternDetector,
    Place,
)
from langchain_prodpatterns.guard.detectors.cues import mention
from langchain_prodpatterns.guard.detectors.keccak import keccak256
from langchain_prodpatterns.guard.detectors.surroundings import before, opening

_END = "(?![0-9A-Za-z])"
_CHAR58 = "[1-9A-HJ-NP-Za-km-z]"
_BASE58 = opening(f"[13LMDT]{_CHAR58}{{25}}") + f"{_CHAR58}{{0,9}}+{_END}"
_SEGWIT = "|".join(
    opening(prefix) + f"{char}{{11,71}}+{_END}"
    for prefix, char in [
        ("bc1", "[02-9ac-hj-np-z]"),
        ("ltc1", "[02-9ac-hj-np-z]"),
        ("BC1", "[02-9AC-HJ-NP-Z]"),
        ("LTC1", "[02-9AC-HJ-NP-Z]"),
    ]
)
_HEX = opening("0x") + f"[0-9A-Fa-f]{{40}}{_END}"
_DIGITS58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUE58 = {char: value for value, char in enumerate(_DIGITS58)}
_DIGITS32 = {
    char: value for value, char in enumerate("qpzry9x8gf2tvdw0s3jn54khce6mua7l")
}
# Version bytes: Bitcoin, Litecoin, Dogecoin and Tron.
_VERSIONS = frozenset([0x00, 0x05, 0x1E, 0x16, 0x30, 0x32, 0x41])
_BYTES58 = 25
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32, _BECH32M = 1, 0x2BC830A3
_NAMED = re.compile(
    mention(
        "eth ether ethereum wallet coin coins crypto erc20 erc-20 usdt usdc metamask "
        "polygon bnb token tokens payout donate donation"
    )
)


class _Base58(PatternDetector):
    def __init__(self) -> None:
        super().__init__("crypto", _BASE58, passes_base58check)


class _Segwit(PatternDetector):
    def __init__(self) -> None:
        super().__init__("crypto", _SEGWIT, passes_bech32)

    def matches(self, text: str) -> Iterator[Place]:
        """Look for what all prefixes end with first: it is seldom there."""
        begins = "c1" in text or "C1" in text
        return super().matches(text) if begins else iter(())


class _Ethereum(PatternDetector):
    """Finds `0x` and 40 hexadecimal digits.

    Mixed case holds a checksum (EIP-55), which decides; else a word must be near.
    """

    def __init__(self) -> None:
        super().__init__("crypto", _HEX)

    def find(self, text: str) -> Iterator[Place]:
        """Find the values, and check all of them in one go."""
        mixed: list[Place] = []
        for start, end in self.matches(text):
            digits = text[start + 2 : end]
            if digits not in (digits.lower(), digits.upper()):
                mixed.append((start, end))
            elif _NAMED.search(before(text, start)):
                yield start, end
        right = pass_eip55([text[start + 2 : end] for start, end in mixed])
        yield from (place for place, each in zip(mixed, right, strict=True) if each)

    def refine(self, text: str, start: int, end: int) -> Iterable[Place]:
        """Check one."""
        return [(start, end)] if pass_eip55([text[start + 2 : end]])[0] else []


def passes_base58check(address: str) -> bool:
    """Whether an address has a known version and the right checksum (Base58Check).

    Args:
        address: Letters and digits of base 58.

    Returns:
        Whether it is right.
    """
    number = 0
    for char in address:
        number = number * 58 + _VALUE58[char]
    zeros = len(address) - len(address.lstrip("1"))
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    data = bytes(zeros) + data
    if len(data) != _BYTES58 or data[0] not in _VERSIONS:
        return False
    return sha256(sha256(data[:-4]).digest()).digest()[:4] == data[-4:]


def passes_bech32(address: str) -> bool:
    """Whether the checksum of a SegWit address is right (BIP 173 and BIP 350).

    Args:
        address: In one case, with its prefix.

    Returns:
        Whether it is right: bech32 for version 0, bech32m for the others.
    """
    prefix, _, data = address.lower().partition("1")
    values = [_DIGITS32[char] for char in data]
    spread = [ord(char) >> 5 for char in prefix] + [0]
    spread += [ord(char) & 31 for char in prefix]
    return _polymod(spread + values) == (_BECH32 if values[0] == 0 else _BECH32M)


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATOR):
            check ^= generator if top >> bit & 1 else 0
    return check


def pass_eip55(addresses: list[str]) -> list[bool]:
    """Whether the case of the letters of addresses is right (EIP-55).

    Args:
        addresses: 40 hexadecimal digits each, without `0x`.

    Returns:
        For each, whether it is right.
    """
    if not addresses:
        return []
    hashes = keccak256([address.lower().encode() for address in addresses])
    return [
        all(
            char.isdigit() or char.isupper() == (int(nibble, 16) > 7)  # noqa: PLR2004 - its highest bit
            for char, nibble in zip(address, digest.hex(), strict=False)
        )
        for address, digest in zip(addresses, hashes, strict=True)
    ]


def crypto_detector() -> AnyOf:
    """Return the detector of addresses of Bitcoin, Ethereum and those like them.

    In the default set: checksums of 30 bits and more make false alarms all but
    impossible, and an address tells all payments of whoever holds it.
    """
    return AnyOf("crypto", [_Base58(), _Segwit(), _Ethereum()])
