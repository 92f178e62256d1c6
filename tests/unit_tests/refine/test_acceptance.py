"""What replaces the best, and what does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.refine.acceptance import (
    Comparison,
    Preference,
    by_preference,
    by_score,
    by_verifiers,
    read_accept,
)
from langchain_prodpatterns.refine.results import (
    CriticKind,
    Score,
    Scores,
    deciding,
    overall,
)

values = st.none() | st.sampled_from([0.0, 0.25, 0.5, 1.0])


def scores_of(kind: CriticKind, *given_values: float | None) -> Scores:
    return tuple(Score(f"c{i}", kind, value) for i, value in enumerate(given_values))


def verifiers(*given_values: float | None) -> Scores:
    return scores_of("verifier", *given_values)


def criteria(*given_values: float | None) -> Scores:
    return scores_of("criteria", *given_values)


@pytest.mark.parametrize(
    ("accept", "tests"),
    [
        ("verifier>pairwise>score", ("verifier", "pairwise", "score")),
        ("verifier > score", ("verifier", "score")),
        ("verifier>pairwise", ("verifier", "pairwise")),
        ("pairwise>score", ("pairwise", "score")),
        ("verifier", ("verifier",)),
        ("pairwise", ("pairwise",)),
        ("score", ("score",)),
    ],
)
def test_any_part_in_order_is_accepted(accept: str, tests: tuple[str, ...]) -> None:
    assert read_accept(accept) == tests


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "score>verifier",
        "verifier>>score",
        "scores",
        "verifier,score",
        "score>score",
    ],
)
def test_another_order_or_an_unknown_word_is_refused(accept: str) -> None:
    with pytest.raises(ConfigurationError, match="'verifier>pairwise>score'"):
        read_accept(accept)


@pytest.mark.parametrize(
    ("best", "new", "expected"),
    [
        (verifiers(1.0), verifiers(1.0), "undecided"),
        (verifiers(0.0), verifiers(0.0), "undecided"),
        (verifiers(0.0), verifiers(1.0), "better"),
        (verifiers(1.0), verifiers(0.0), "worse"),
        (verifiers(0.5), verifiers(0.75), "better"),
        (verifiers(0.75), verifiers(0.5), "worse"),
        # Nothing makes up for a verifier that gets worse.
        (verifiers(0.0, 0.0, 1.0), verifiers(1.0, 1.0, 0.9), "worse"),
        (verifiers(0.0, 1.0), verifiers(0.5, 1.0), "better"),
        # A verifier that is broken proves nothing.
        (verifiers(1.0), verifiers(None), "worse"),
        (verifiers(0.0), verifiers(None), "worse"),
        (verifiers(None), verifiers(None), "undecided"),
        (verifiers(None), verifiers(1.0), "undecided"),
        (verifiers(None), verifiers(0.9), "worse"),
        (verifiers(None, 0.0), verifiers(1.0, 0.5), "better"),
        # Criteria are none of its business.
        (criteria(1.0), criteria(0.0), "undecided"),
        ((), (), "undecided"),
    ],
)
def test_no_verifier_may_get_worse(
    best: Scores, new: Scores, expected: Comparison
) -> None:
    assert by_verifiers(best, new) == expected


@given(st.lists(st.tuples(values, values), min_size=1, max_size=4))
def test_what_is_better_by_verifiers_is_worse_in_none(
    pairs: list[tuple[float | None, float | None]],
) -> None:
    best = verifiers(*(pair[0] for pair in pairs))
    new = verifiers(*(pair[1] for pair in pairs))
    if by_verifiers(best, new) == "better":
        assert all(
            now is not None and now >= old for old, now in pairs if old is not None
        )
        assert by_verifiers(new, best) == "worse"


@pytest.mark.parametrize(
    ("best", "new", "expected"),
    [
        (criteria(0.5), criteria(0.75), "better"),
        (criteria(0.5), criteria(0.25), "worse"),
        (criteria(0.5), criteria(0.5), "undecided"),
        (criteria(0.5), criteria(None), "worse"),
        # What is not known of the best may be better than anything but full marks.
        (criteria(None), criteria(0.0), "undecided"),
        (criteria(None), criteria(0.75), "undecided"),
        (criteria(None), criteria(1.0), "better"),
        (criteria(None, None), criteria(1.0, None), "undecided"),
        # The criteria of the best were skipped because it fails a verifier.
        (
            (*verifiers(0.0), *criteria(None)),
            (*verifiers(1.0), *criteria(0.25)),
            "better",
        ),
        (
            (*verifiers(0.0), *criteria(None)),
            (*verifiers(0.0), *criteria(None)),
            "undecided",
        ),
        (
            (*verifiers(None), *criteria(None)),
            (*verifiers(1.0), *criteria(0.25)),
            "undecided",
        ),
        (criteria(None), criteria(None), "undecided"),
        # Only what scored the best is compared; a missing score there is a loss.
        (criteria(0.5, None), criteria(0.5, 1.0), "undecided"),
        (criteria(0.5, None), criteria(0.75, 0.0), "better"),
        (criteria(0.5, 0.0), criteria(1.0, None), "worse"),
        # Without criteria the verifiers are the score.
        (verifiers(0.5), verifiers(0.75), "better"),
        # With criteria they are not.
        (
            (*verifiers(0.0), *criteria(0.75)),
            (*verifiers(1.0), *criteria(0.5)),
            "worse",
        ),
    ],
)
def test_the_score_must_be_higher(
    best: Scores, new: Scores, expected: Comparison
) -> None:
    assert by_score(best, new) == expected


def test_weights_count() -> None:
    best = (Score("a", "criteria", 1.0, 3.0), Score("b", "criteria", 0.0, 1.0))
    new = (Score("a", "criteria", 0.5, 3.0), Score("b", "criteria", 1.0, 1.0))
    assert overall(best) == pytest.approx(0.75)
    assert overall(new) == pytest.approx(0.625)
    assert by_score(best, new) == "worse"
    assert by_score(new, best) == "better"


def test_noise_of_floats_is_no_difference() -> None:
    best = tuple(Score(str(i), "criteria", 0.1, 0.1) for i in range(3))
    new = (Score("0", "criteria", 0.1 + 1e-12, 0.1), *best[1:])
    assert by_score(best, new) == "undecided"


@given(st.lists(values, min_size=1, max_size=4), st.lists(values, min_size=4))
def test_unscored_never_beats_scored(
    old: list[float | None], new: list[float | None]
) -> None:
    new = new[: len(old)]
    comparison = by_score(criteria(*old), criteria(*new))
    if comparison == "better":
        assert any(value is not None for value in new)
        assert not any(
            was is not None and now is None for was, now in zip(old, new, strict=True)
        )


@pytest.mark.parametrize(
    ("first", "swapped", "expected"),
    [
        ("revision", "revision", "better"),
        ("revision", "best", "worse"),
        ("revision", "neither", "worse"),
        ("revision", None, "undecided"),
        ("best", None, "worse"),
        ("neither", None, "undecided"),
        (None, None, "undecided"),
    ],
)
def test_a_preference_must_survive_the_swap(
    first: Preference | None, swapped: Preference | None, expected: Comparison
) -> None:
    assert by_preference(first, swapped) == expected


def test_a_draft_with_an_unscored_part_has_no_score() -> None:
    assert overall(criteria(1.0, None)) is None
    assert overall(()) is None
    assert overall((*verifiers(None), *criteria(0.5))) == 0.5


def test_criteria_decide_where_there_are_any() -> None:
    mixed = (*verifiers(0.0), *criteria(0.5))
    assert deciding(mixed) == mixed[1:]
    assert deciding(mixed[:1]) == mixed[:1]
