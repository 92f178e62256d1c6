import time

import pytest

from langchain_prodpatterns.compression.sentences import joins_back, sentence_ends


def sentences(text: str) -> list[str]:
    found, start = [], 0
    for end in sentence_ends(text, 0, len(text)):
        found.append(text[start:end].strip())
        start = end
    return [each for each in found if each]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Wait... What? No!! Yes.", ["Wait...", "What?", "No!!", "Yes."]),
        ("Wait... what?", ["Wait... what?"]),
        ('He said "Stop." Then he left.', ['He said "Stop."', "Then he left."]),
        (
            '"What?" he asked. (It was late.) So',
            ['"What?" he asked.', "(It was late.)", "So"],
        ),
        ("It costs 3.50 euros. Pay.", ["It costs 3.50 euros.", "Pay."]),
        ("See example.com for more. Bye.", ["See example.com for more.", "Bye."]),
        ("A tokenized text . It goes on .", ["A tokenized text .", "It goes on ."]),
        ("In 1912. Then it sank.", ["In 1912.", "Then it sank."]),
        ("1. First do this. 2. Then that.", ["1. First do this.", "2. Then that."]),
    ],
)
def test_common_marks(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Smith met Mrs. Jones.",
        "Prof. E. B. White wrote it.",
        "Compare e.g. Berlin and Rome.",
        "See Fig. 3 on p. 12 of vol. 2.",
        "Acme Inc. Europe is a company.",
        "The U.S. Senate met on Jan. 5.",
        "J. R. R. Tolkien was a writer.",
        "Mr. and Mrs. Smith vs. Jones.",
        "Er wohnt z.B. Hamburg gegenüber.",
    ],
)
def test_an_abbreviation_ends_no_sentence(text: str) -> None:
    assert sentences(text) == [text]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("He moved to the U.S. They followed.", "He moved to the U.S."),
        ("It belongs to Acme Inc. The price fell.", "It belongs to Acme Inc."),
        ("They won World War I. The end came.", "They won World War I."),
        ("He said no. Nobody moved.", "He said no."),
        ("We met in Dec. Everyone came.", "We met in Dec."),
        ("Tea, milk, etc. The rest is for you.", "Tea, milk, etc."),
    ],
)
def test_what_abbreviates_can_also_end_a_sentence(text: str, first: str) -> None:
    assert sentences(text)[0] == first


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("今日は晴れです。明日は雨です！本当？はい。", 4),
        ("他说：“好。”然后走了。", 2),
        ("यह पहला है। यह दूसरा है।", 2),
        ("ما اسمك؟ اسمي علي. شكرا.", 3),
        ("یہ پہلا ہے۔ یہ دوسرا ہے۔", 2),
        ("Սա առաջինն է։ Սա երկրորդն է։", 2),
        ("ይህ የመጀመሪያው ነው። ይህ ሁለተኛው ነው።", 2),
        ("นี่คือประโยคแรก\nนี่คือประโยคที่สอง", 2),
    ],
)
def test_other_scripts(text: str, count: int) -> None:
    assert len(sentences(text)) == count


def test_where_nothing_is_capitalized_small_letters_begin_sentences() -> None:
    lower = "revenue rose. the fee of acme inc. fell by 3.5 percent. why? e.g. for tax."
    assert sentences(lower) == [
        "revenue rose.",
        "the fee of acme inc. fell by 3.5 percent.",
        "why?",
        "e.g. for tax.",
    ]
    assert sentences(f"Then {lower}")[0] == f"Then {lower}"


def test_a_line_break_inside_prose_ends_nothing() -> None:
    assert sentences("A line that is\nbroken by hand. Next.") == [
        "A line that is\nbroken by hand.",
        "Next.",
    ]


def test_a_mark_keeps_what_combines_with_it() -> None:
    text = "好。\ufe0e然后。"
    assert next(iter(sentence_ends(text, 0, len(text)))) == 3


def test_ends_are_inside_the_part_asked_for() -> None:
    text = "No. Left out. Inside it. And this. Not this."
    start, end = text.index("Inside"), text.index("Not this")
    ends = list(sentence_ends(text, start, end))
    assert ends[-1] == end
    assert all(start < each <= end for each in ends)


@pytest.mark.parametrize(
    ("character", "joins"),
    [("a", False), ("\u0301", True), ("\u200d", True), ("\udc00", True), ("中", False)],
)
def test_joins_back(character: str, *, joins: bool) -> None:
    assert joins_back(character) is joins


@pytest.mark.parametrize(
    "unit", [".", "!", ". ", "'", '."', "A.", "Mr. ", "1. ", "。", ".a", "( "]
)
def test_time_is_linear(unit: str) -> None:
    def seconds(length: int) -> float:
        text = unit * (length // len(unit))
        started = time.process_time()
        list(sentence_ends(text, 0, len(text)))
        return time.process_time() - started

    # Quadratic time would be 64 times as long: hours, not the second that is allowed.
    assert seconds(400_000) < 50 * max(seconds(50_000), 0.05)
