"""What a guarded stream leaks, whether it equals one look, and what it holds back.

Texts of planted values, plain and hidden, beside and across each other, come in random
chunks. Counted are streams that let a piece of five characters of a value go which one
look takes out, and streams whose sum is not what one look at the whole text gives.
Prose in chunks of four characters, about a token each, tells what is held back and what
a chunk costs. Run `python -m benchmarks.guard_stream [CHUNKINGS [SEED]]` or
`python benchmarks/guard_stream.py`.
"""

import base64
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator

from guard import rows

from langchain_prodpatterns.guard.detectors import resolve_detectors
from langchain_prodpatterns.guard.scanning import Record, Scanner, replaced
from langchain_prodpatterns.guard.streaming import TextStream

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_FILLERS = (
    " ", ", ", "\n", " and ", "; ", " - ", "The quick brown fox, ", "call me at ",
    "order no. ", "\u200b", "%", "x", "\u00e9 ", "(", "1 ", " at ", " dot ", "eyJ",
)  # fmt: skip
_PIECE = 5
_TEXTS_APART = 20


def values(rng: random.Random) -> list[str]:
    """Make one value of each kind that is hard to stream."""

    def token(size: int) -> str:
        return "7q" + "".join(rng.choices(_LETTERS, k=size))

    return [
        f"{token(4).lower()}.doe@corp.example.co.uk",
        "4111 1111 1111 1111",
        "5500005555555559",
        "DE89 3704 0044 0532 0130 00",
        "+44 121 234 7786",
        "192.168.17.204",
        "078-05-1120",
        f"https://files.example.org/reset?token={token(rng.randint(20, 2000))}",
        f"postgres://admin:{token(12)}@db.example.net/main",
        f"eyJ{token(40)}.eyJ{token(rng.randint(40, 600))}.{token(43)}",
        f"sk-proj-{token(40)}",
        f"ghp_{token(36)}",
    ]


def hidden(value: str, rng: random.Random) -> str:
    """Write a value in a way that people do not see, or that programs undo."""
    ways: list[Callable[[str], str]] = [
        lambda text: text,
        "\u200b".join,
        lambda text: "".join(chr(0xE0000 + ord(char)) for char in text),
        lambda text: "".join(
            chr(ord(char) + 0xFEE0) if char != " " else "\u3000" for char in text
        ),
        lambda text: f" {base64.b64encode(text.encode()).decode()} ",
        lambda text: " " + "".join(f"%{ord(char):02X}" for char in text) + " ",
        lambda text: text.replace("@", " [at] ").replace(".", " (dot) "),
    ]
    # What is decoded is bounded, and an address is all that one spells out.
    usable = len(ways) if "@corp" in value else len(ways) - 1
    usable = usable if len(value) < 200 else 4
    return rng.choice(ways[:usable])(value)


def texts(rng: random.Random) -> Iterator[tuple[str, list[str]]]:
    """Yield texts and the values in them."""
    while True:
        planted = [hidden(each, rng) for each in rng.sample(values(rng), 3)]
        parts = [each for value in planted for each in (rng.choice(_FILLERS), value)]
        yield "It is" + "".join(parts) + rng.choice(_FILLERS), planted


def leaked(before: str, after: str, planted: list[str]) -> bool:
    """Whether a piece of a value came out that one look takes out."""
    return any(
        piece in after and piece not in before
        for value in planted
        for piece in {value[at : at + _PIECE] for at in range(len(value) - _PIECE + 1)}
    )


def chunkings(count: int, seed: int, using: Scanner) -> dict[str, str]:
    """Stream texts in random chunks."""
    rng, unequal, leaks = random.Random(seed), 0, 0
    source = texts(rng)
    for turn in range(count):
        if turn % _TEXTS_APART == 0:
            text, planted = next(source)
            expected = replaced(text, using.find(text, Record()), 0, len(text))
        largest = rng.choice((1, 3, 8, 40, 200))
        stream, out, at = TextStream(using, Record()), "", 0
        while at < len(text):
            size = rng.randint(1, largest)
            out, at = out + stream.feed(text[at : at + size]), at + size
        out += stream.finish()
        unequal += out != expected
        leaks += leaked(expected, out, planted)
    return {
        "chunkings": f"{count:,}",
        "streams with a leak": f"{leaks}",
        "streams unlike one look": f"{unequal}",
    }


def prose(using: Scanner) -> dict[str, str]:
    """Stream prose in chunks of four characters."""
    text = " ".join(row["text"] for row in rows("tab")[1:12:2])[:30_000]
    stream, held = TextStream(using, Record()), list[int]()
    started = time.process_time()
    for start in range(0, len(text), 4):
        stream.feed(text[start : start + 4])
        held.append(stream.held)
    chunk = (time.process_time() - started) * 1e6 / len(held)
    started = time.process_time()
    using.find(text, Record())
    whole = (time.process_time() - started) * 1e6 / (len(text) / 1024)
    return {
        "held back, mean characters": f"{statistics.mean(held):.1f}",
        "held back, p95 characters": f"{statistics.quantiles(held, n=20)[-1]:.0f}",
        "us a chunk": f"{chunk:.0f}",
        "us a KB of prose": f"{whole:.0f}",
    }


def main() -> None:
    """Print one table."""
    detectors = resolve_detectors(None)
    using = Scanner(detectors, {each.name: "redact" for each in detectors})
    given = [int(each) for each in sys.argv[1:]]
    count, seed = [*given, *(100_000, 7)[len(given) :]]
    for name, value in (chunkings(count, seed, using) | prose(using)).items():
        print(f"{name:<32}{value:>10}")


if __name__ == "__main__":
    main()
