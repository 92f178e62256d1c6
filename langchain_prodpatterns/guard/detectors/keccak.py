"""Keccak-256, of many short messages at once: the hash of Ethereum.

It is not the SHA-3 of `hashlib`, which pads otherwise. Written after the Keccak
reference, version 3.0 (Bertoni, Daemen, Peeters and Van Assche, 2011).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_Lanes = npt.NDArray[np.uint64]

BLOCK = 136
"""Bytes of a block; a message must be shorter."""

_ROUNDS = 24
# Offsets of the rotations by x and y, in the order in which a walk over the lanes
# meets them; the lane at 0, 0 stays.
_OFFSETS = np.array(
    [
        [0, 36, 3, 41, 18],
        [1, 44, 10, 45, 2],
        [62, 6, 43, 15, 61],
        [28, 55, 25, 21, 56],
        [27, 20, 39, 8, 14],
    ],
    dtype=np.uint64,
)[:, :, None]
_BACK = (np.uint64(64) - _OFFSETS) % np.uint64(64)
_X, _Y = np.meshgrid(np.arange(5), np.arange(5), indexing="ij")
# Lane x, y is taken from x + 3y, x.
_FROM = (_X + 3 * _Y) % 5, _X


def _round_constants() -> list[np.uint64]:
    """Return what is mixed in each round, from the register that defines it."""
    constants, register = [], 1
    for _ in range(_ROUNDS):
        constant = 0
        for bit in range(7):
            if register & 1:
                constant |= 1 << ((1 << bit) - 1)
            register = (register << 1) ^ (0x171 if register & 0x80 else 0)
        constants.append(np.uint64(constant))
    return constants


_CONSTANTS = _round_constants()


def keccak256(messages: Sequence[bytes]) -> list[bytes]:
    """Hash messages.

    Args:
        messages: Each shorter than `BLOCK` bytes.

    Returns:
        32 bytes for each.
    """
    padded = b"".join(_padded(message) for message in messages)
    block = np.frombuffer(padded, dtype="<u8").reshape(len(messages), BLOCK // 8)
    lanes: _Lanes = np.zeros((25, len(messages)), dtype=np.uint64)
    lanes[: BLOCK // 8] = block.T
    state = lanes.reshape(5, 5, -1).swapaxes(0, 1)  # lane x, y is number x + 5y
    for constant in _CONSTANTS:
        state = _round(state, constant)
    digest = state.swapaxes(0, 1).reshape(25, -1)[:4].T
    return [row.astype("<u8").tobytes() for row in digest]


def _padded(message: bytes) -> bytes:
    """Fill a message up to a block: a bit behind it, a bit at the end."""
    block = bytearray(message.ljust(BLOCK, b"\0"))
    block[len(message)] ^= 0x01
    block[-1] ^= 0x80
    return bytes(block)


def _round(state: _Lanes, constant: np.uint64) -> _Lanes:
    columns = np.bitwise_xor.reduce(state, axis=1)
    around = np.roll(columns, -1, axis=0)
    turned = (around << np.uint64(1)) | (around >> np.uint64(63))
    state = state ^ (np.roll(columns, 1, axis=0) ^ turned)[:, None]
    state = ((state << _OFFSETS) | (state >> _BACK))[_FROM]
    state = state ^ (~np.roll(state, -1, axis=0) & np.roll(state, -2, axis=0))
    state[0, 0] ^= constant
    return state
