"""The work grows in step with the text, on the worst texts we know.

Work is counted as lines of Python and calls to C, not as seconds, so that a busy
machine changes nothing; the patterns' own steps are bounded by their proof.
"""

from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk

from langchain_prodpatterns.guard import GuardRunnable
from langchain_prodpatterns.guard.detectors import DEFAULT_DETECTORS, resolve_detectors
from langchain_prodpatterns.guard.scanning import Record, Scanner
from langchain_prodpatterns.guard.streaming import TextStream
from tests.unit_tests.effort import effort_of

WORST = {
    "letters": "a",
    "digits": "1",
    "digit groups": "12 34 ",
    "phone list": "012 345 6789,",
    "phones": "(212) 736-5000\n",
    "counting": "1 2 3 4 5 6 7 8 9 10 11 12\n",
    "table of pairs": "30 45 67 89 12 34 56 78 90 12 34 56\n",
    "table of numbers": "81234 45 907 33981 2046\n",
    "cards": "4111 1111 1111 1111 ",
    "capitals": "GB82 WEST ",
    "at": "a@",
    "dots": "x@a.a.a.",
    "dotted digits": "1.2.3.4.",
    "colons": "2001:db8::",
    "schemes": "a://",
    "longer schemes": "aa://",
    "resets": "aa://b/reset/",
    "users": "aa://u:",
    "links": "https://u:p@h/?token=abcdefgh&",
    "key starts": "sk-",
    "jwt starts": "eyJ",
    "jwt dots": "eyJabcdefghi.eyJabcdefghi.",
    "pem starts": "-----BEGIN ",
    "pem heads": "-----BEGIN PRIVATE KEY-----\n",
    "plus": "+1 ",
    "brackets": "(((1",
    "base64": "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo0MTIz",
    "base64 of base64": "TkRFeE1URXhNVEV4 ",
    "hex of hex": f"{b'4111 1111 1'.hex().encode().hex()} ",
    "escaped escapes": "%2534%2531 ",
    "parameters": "?token=abcdefgh",
    "macs": "00:1a:",
    "coins": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed ",
    "base58": "1BoatSLRHtKNngkdXEeobR76b53LETtpyT ",
    "secrets": "token=a1b2c3d4 ",
    "birth dates": "born 1980-03-12 ",
    "identity numbers": "BSN 111222333 ",
    "spaces": " ",
    "spelled dots": "a dot ",
    "spelled addresses": "a [at] b (dot) ",
    "bare addresses": "jo at b dot c ",
    "short hex": "6162636431323334 ",
    "percent words": "%61%62%63%64%65%66 ",
    "percent twice": "%2541%2542%2543%2544%2545%2546 ",
    "base64 words": "amFuZSBhdCBleGFtcGxlIDQxMTE= ",
    "percent signs": "%",
    "hidden marks": "1\u200b",
    "tags": "\U000e0031",
    "new lines": "\n",
    "groups of ones": "BSN \u2011D 111 1 111 11(11(111 11 1111 15 11(1111 15 ",
}


def scanner() -> Scanner:
    detectors = resolve_detectors([*DEFAULT_DETECTORS, "any_url"])
    return Scanner(detectors, {each.name: "redact" for each in detectors})


@pytest.mark.parametrize("kind", WORST)
def test_twice_the_text_is_at_most_twice_the_work(kind: str) -> None:
    unit, guard = WORST[kind], scanner()
    guard.find(unit * 50, Record())  # what is compiled once is not counted

    def texts(size: int) -> str:
        # Links that end with a scheme are none, which would hide the first thousands.
        return (unit * (size // len(unit) + 1))[:size] + "x"

    half = effort_of(lambda: guard.find(texts(6_000), Record()))
    whole = effort_of(lambda: guard.find(texts(12_000), Record()))
    assert whole <= 2.5 * half + 200


@pytest.mark.parametrize("kind", WORST)
def test_a_character_costs_few_calls(kind: str) -> None:
    unit, guard = WORST[kind], scanner()
    guard.find(unit * 50, Record())
    size = 6_000
    assert (
        effort_of(lambda: guard.find(unit * (size // len(unit)), Record())) <= 40 * size
    )


@pytest.mark.parametrize(
    "kind", ["letters", "digits", "links", "cards", "spelled dots"]
)
def test_a_stream_twice_as_long_is_at_most_twice_the_work(kind: str) -> None:
    unit, guard = WORST[kind], scanner()

    def stream(size: int) -> None:
        text = (unit * (size // len(unit) + 1))[:size]
        flow = TextStream(guard, Record())
        for start in range(0, size, 40):
            flow.feed(text[start : start + 40])
        flow.finish()

    stream(2_000)
    half = effort_of(lambda: stream(10_000))
    whole = effort_of(lambda: stream(20_000))
    assert whole <= 2.6 * half + 200


def test_a_tool_call_in_twice_the_chunks_is_at_most_twice_the_work() -> None:
    guard = GuardRunnable(judge=lambda request: False)

    def stream(count: int) -> None:
        call = {"name": None, "args": "word ", "id": None, "index": 0}
        first = {**call, "name": "f", "id": "1", "args": '{"a": "'}
        chunks: Any = [
            AIMessageChunk(content="", tool_call_chunks=[each])
            for each in [first, *[call] * count]
        ]
        list(guard.transform(iter(chunks)))

    stream(10)
    half = effort_of(lambda: stream(100))
    whole = effort_of(lambda: stream(200))
    assert whole <= 2.6 * half + 200


def test_a_look_at_a_few_words_asks_few_patterns() -> None:
    detectors = resolve_detectors(None)
    guard = Scanner(detectors, {each.name: "redact" for each in detectors})
    words = "the quick brown fox jumps over the lazy dog"
    guard.find(words, Record())
    assert effort_of(lambda: guard.find(words, Record())) <= 300
