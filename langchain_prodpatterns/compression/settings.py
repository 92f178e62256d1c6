"""Refusing settings of a compressor that cannot work."""

from collections.abc import Sequence

from langchain_prodpatterns.arguments import check_count, check_range, is_number
from langchain_prodpatterns.errors import ConfigurationError


def check_kind(argument: str, value: object, kind: type) -> None:
    """Refuse what is not of a kind; `None` is the default.

    Args:
        argument: Its name, for the message.
        value: What was given.
        kind: A class or a protocol.

    Raises:
        ConfigurationError: When it is something else.
    """
    # A string has a method `split`, but is no splitter.
    if value is not None and (isinstance(value, str) or not isinstance(value, kind)):
        name = kind.__name__
        a = "an" if name[0] in "AEIOU" else "a"
        msg = f"{argument} must be {a} {name}, got {type(value).__name__}"
        raise ConfigurationError(msg)


def check_choice(argument: str, value: str, choices: Sequence[str]) -> None:
    """Refuse a word that is not one of those that mean something.

    Args:
        argument: Its name, for the message.
        value: What was given.
        choices: The words.

    Raises:
        ConfigurationError: When it is none of them.
    """
    if value not in choices:
        msg = f"{argument} must be one of {', '.join(choices)}, got {value!r}"
        raise ConfigurationError(msg)


def check_limits(
    token_budget: int | None, ratio: float | None, min_score: float | None
) -> None:
    """Refuse limits that nothing or everything could meet.

    Args:
        token_budget: Tokens of the result.
        ratio: The share of the tokens of the input.
        min_score: The least score of a passage.

    Raises:
        ConfigurationError: When one of them cannot work.
    """
    check_count("token_budget", token_budget)
    if ratio is not None and not (is_number(ratio) and 0 < ratio <= 1):
        msg = (
            f"ratio is the share of the tokens that may stay, above 0 and at most 1, "
            f"got {ratio!r}; for four times less pass 0.25"
        )
        raise ConfigurationError(msg)
    if min_score is not None and not is_number(min_score):
        msg = f"min_score must be a finite number, got {min_score!r}"
        raise ConfigurationError(msg)


def check_similarity(min_similarity: float | None, embeddings: object) -> None:
    """Refuse a cosine that is none, or that nothing can measure.

    Args:
        min_similarity: The least cosine of the nearest passage.
        embeddings: What measures it.

    Raises:
        ConfigurationError: When it cannot work.
    """
    if min_similarity is None:
        return
    check_range("min_similarity", min_similarity, -1, 1)
    if embeddings is None:
        msg = (
            "min_similarity is a cosine and needs embeddings; by words alone use "
            "min_score"
        )
        raise ConfigurationError(msg)
