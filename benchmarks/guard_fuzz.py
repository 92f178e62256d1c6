"""Looks for texts that cost the guard's detectors most, by mutation.

A text is a unit, a few dozen characters long, repeated up to 5 KB. Units that cost more
than others are mutated further; the worst one is then measured at 20 KB. Time is that
of the processor, so that a busy machine changes little.
"""

import random
import time
from collections.abc import Callable

Find = Callable[[str], object]

SMALL, LARGE = 5_000, 20_000
_POOL = 24
_LONGEST_UNIT = 80
_PIECES = [
    *"0123456789abcdefABCDEF .,:;-_/+@#=?&()[]{}<>\"'`\\\n\t%$",
    "12 ", "1.", "1 2 ", "aa://", "://", "u:p@", "?token=abcdefgh", "sk-", "eyJ",
    "AKIA", "-----BEGIN ", "PRIVATE KEY-----\n", "x@a.", "GB82 WEST ", "DE89",
    "4111 1111 ", "4111111111111111", "+1 ", "(((1", "012 345 6789,", "call ", "tel: ",
    "card ", "born ", "1980-03-12", "00:1a:2b:", "0x5aAeb6053F3E94C9", "1BoatSLRHtKNng",
    "bc1q", "password: ", "api_key=", "Bearer ", "q7Wm2Zx9", "BSN ", "NHS ", "943 476 ",
    "aws secret ", "\\n", "\u00a0", "\u2011", "\u00e9", "2001:db8::", "order ",
]  # fmt: skip


def seconds(find: Find, unit: str, size: int, times: int = 1) -> float:
    """Return the least time that a unit takes, repeated up to a size."""
    text = (unit * (size // len(unit) + 1))[:size]
    taken = []
    for _ in range(times):
        started = time.process_time()
        find(text)
        taken.append(time.process_time() - started)
    return min(taken)


def mutated(unit: str, other: str, draw: random.Random) -> str:
    """Return a unit that differs a little from another one."""
    start, end = sorted(draw.choices(range(len(unit) + 1), k=2))
    piece = draw.choice([draw.choice(_PIECES), draw.choice(_PIECES), other, ""])
    changed: str = draw.choice(
        [
            unit[:start] + piece + unit[start:],
            unit[:start] + piece + unit[end:],
            unit[:end] + unit[start:],
        ]
    )
    return changed[:_LONGEST_UNIT] or draw.choice(_PIECES)


def fuzz(find: Find, budget: float, seed: int = 7) -> None:
    """Mutate units until time is up, and print the worst.

    Args:
        find: What is measured.
        budget: Seconds.
        seed: Of the random numbers.
    """
    draw = random.Random(seed)
    pool = [(seconds(find, piece, SMALL), piece) for piece in _PIECES]
    tried, end = len(pool), time.monotonic() + budget
    while time.monotonic() < end:
        pool = sorted(pool, reverse=True)[:_POOL]
        unit = mutated(draw.choice(pool)[1], draw.choice(pool)[1], draw)
        if all(unit != known for _, known in pool):
            pool.append((seconds(find, unit, SMALL), unit))
        tried += 1
    print(f"{tried} texts tried; the worst, at {SMALL:,} and {LARGE:,} characters:")
    for _, unit in sorted(pool, reverse=True)[:5]:
        small, large = (seconds(find, unit, size, 5) for size in (SMALL, LARGE))
        growth = f"x{large / small:.1f}"
        print(f"{small * 1e3:7.1f} ms {large * 1e3:7.1f} ms  {growth}  {unit!r}")
