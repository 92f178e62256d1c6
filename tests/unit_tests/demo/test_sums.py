import pytest

from langchain_prodpatterns.demo.sums import to_expression
from langchain_prodpatterns.demo.tools import calculate


@pytest.mark.parametrize(
    ("question", "result"),
    [
        ("What is 17% of 2340?", "397.80"),
        ("What's 17 percent of 2,340?", "397.80"),
        ("How much is 12% of 850 euros?", "102"),
        ("What is 10 + 10% of 50% of 200", "20"),
        ("How much is 5 times 3?", "15"),
        ("How much is 5 x 19 + 40?", "135"),
        ("Please calculate 5x19.", "95"),
        ("2 \u00d7 3 \u00f7 4", "1.50"),
        ("What is 480 divided by 6?", "80"),
        ("What is 6 multiplied by (5 plus 7 minus 2)?", "60"),
    ],
)
def test_a_sum_is_read(question: str, result: str) -> None:
    assert calculate(to_expression(question)) == result


@pytest.mark.parametrize(
    "question",
    [
        "What?",
        "What is the square root of 9 plus 7?",
        "How much are 3 tires at 40 euros each?",
        "What is 5 less than 12?",
        "What is 17% off 2340?",
        "",
    ],
)
def test_what_is_not_understood_comes_back_and_is_refused(question: str) -> None:
    assert to_expression(question) == question
    assert calculate(question).startswith(f"Cannot calculate {question!r}")


def test_what_is_no_sum_is_refused() -> None:
    assert calculate(to_expression("What is 5 3?")).startswith("Cannot calculate '5 3'")
