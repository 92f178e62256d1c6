"""Links are found with less work than their pattern takes, and as it says."""

from hypothesis import example, given
from hypothesis import strategies as st

from langchain_prodpatterns.guard.detectors import PatternDetector
from langchain_prodpatterns.guard.detectors.url import LONGEST, UrlDetector

PIECES = st.sampled_from(
    ["aa://", "https://", "a", "://", "x" * 5_000, " ", "\\n", ".", '"', "1", "+a"]
)


@given(st.lists(PIECES, max_size=14))
@example(["aa://"] * (LONGEST // 4))
@example(["aa://", "x" * LONGEST, "bb://", "y"])
@example(["aa://", " ", "aa://", "\\n", "aa://"])
def test_links_are_matched_as_their_pattern_says(pieces: list[str]) -> None:
    text, detector = "".join(pieces), UrlDetector()
    assert list(detector.matches(text)) == list(PatternDetector.matches(detector, text))
