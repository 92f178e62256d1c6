"""How near the questions of labeled pairs are."""

from collections.abc import Sequence

from langchain_prodpatterns.cache.calibration import LabeledPair, Measured
from langchain_prodpatterns.cache.guards import fired
from langchain_prodpatterns.cache.steps import unit_vector


def questions_of(pairs: Sequence[LabeledPair]) -> list[str]:
    """Return the texts of pairs, each once."""
    both = ((pair.new_question, pair.stored_question) for pair in pairs)
    return list(dict.fromkeys(text for texts in both for text in texts))


def measured(
    pairs: Sequence[LabeledPair],
    texts: Sequence[str],
    vectors: Sequence[Sequence[float]],
) -> list[Measured]:
    """Compare the questions of pairs.

    Args:
        pairs: The pairs.
        texts: Their questions, as `questions_of` has them.
        vectors: The vector of each question.
    """
    units = dict(zip(texts, map(unit_vector, vectors), strict=True))

    def cosine(pair: LabeledPair) -> float:
        one, other = units[pair.new_question], units[pair.stored_question]
        # What has no direction is like nothing.
        return 0.0 if one is None or other is None else min(float(one @ other), 1.0)

    return [
        Measured(pair, cosine(pair), fired(pair.new_question, pair.stored_question))
        for pair in pairs
    ]
