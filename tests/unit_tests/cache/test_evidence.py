"""Counters of verdicts, by cosine."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.cache.evidence import EDGES, UNSEEN, Cell, Evidence, middles


@given(st.floats(-1, 1), st.booleans())
def test_a_cell_is_found_again_by_its_code(similarity: float, guarded: bool) -> None:
    cell = Cell.of(similarity, guarded=guarded)

    assert Cell.parse(str(cell)) == cell
    assert EDGES[cell.step] <= max(similarity, 0)
    assert similarity < (*EDGES, 2.0)[cell.step + 1]


@pytest.mark.parametrize(
    "code",
    ["", "c", "40", "41c", "999c", "0x", "-1c", " 1c", "1c ", "hint:1c", "judge"],
)
def test_what_is_no_code_names_no_cell(code: str) -> None:
    assert Cell.parse(code) is None


def test_edges_rise_and_their_middles_lie_between() -> None:
    assert EDGES[0] == 0
    assert np.all(np.diff(EDGES) > 0)
    assert np.all(middles() > EDGES)
    assert np.all(middles()[:-1] < EDGES[1:])
    assert middles()[-1] < 1


def test_counters_are_read_by_prefix_and_what_nobody_judged_apart() -> None:
    tallies = {
        "3c": (5, 1),
        "3g": (2, 0),
        "hint:3c": (100, 100),
        f"{UNSEEN}3c": (4, 0),
        "judge": (7, 7),
        "999c": (9, 9),
    }
    evidence = Evidence.of(tallies)

    assert evidence.right[3].tolist() == [5, 2]
    assert evidence.wrong[3].tolist() == [1, 0]
    assert evidence.unseen[3].tolist() == [4, 0]
    assert evidence.total == 8
    assert Evidence.of(tallies, "hint:").right[3].tolist() == [100, 0]


def test_what_was_taken_back_twice_is_never_below_nothing() -> None:
    evidence = Evidence.of({"3c": (-2, 2)})

    assert (evidence.right.min(), evidence.total) == (0, 2)


def test_a_part_is_taken_out_and_other_evidence_is_scaled_in() -> None:
    part = Evidence.of({"3c": (5, 1), f"{UNSEEN}3c": (2, 0)})
    whole = Evidence.of({"3c": (15, 1), "9g": (80, 10), f"{UNSEEN}3c": (3, 0)})

    others = whole.without(part)
    assert (others.total, others.unseen.sum()) == (100, 1)
    pooled = part.plus(others, at_most=10)
    assert pooled.total == pytest.approx(6 + 10)
    assert pooled.wrong[9, 1] == pytest.approx(1)
    assert pooled.unseen[3, 0] == pytest.approx(2.1)
    assert part.plus(others, at_most=1000).total == 106
    assert part.plus(Evidence.none(), at_most=10).total == 6
