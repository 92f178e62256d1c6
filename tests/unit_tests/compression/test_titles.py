import pytest

from langchain_prodpatterns.compression.bm25 import words
from langchain_prodpatterns.compression.titles import Titles, name_words


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Inferno (1980 film)", " inferno "),
        ("The Long Roads", " the long road "),
        ("European_Union_law", " european union law "),
        ("It (film)", ""),
        ("", ""),
        ("(1980 film)", ""),
        ("東京都", " 東京 京都 "),
    ],
)
def test_a_title_as_a_text_would_name_it(title: str, expected: str) -> None:
    assert name_words(title) == expected


def test_whole_words_name_and_the_own_document_does_not() -> None:
    titles = Titles(["Rome", "", "Paris"])
    assert titles.named_in(words("From Rome to Paris.")).tolist() == [1, 0, 1]
    assert titles.named_in(words("From Romeo, Parisian."), but=0).tolist() == [0, 0, 0]
    assert titles.named_in(words("From Rome to Paris."), but=0).tolist() == [0, 0, 1]


def test_what_several_documents_are_called_is_shared_out() -> None:
    titles = Titles(["Inferno (1980 film)", "Rome", "Inferno (2016 film)"])
    assert titles.named_in(words("In Inferno, Rome")).tolist() == [0.5, 1, 0.5]


def test_without_titles_nothing_is_named() -> None:
    assert Titles(["", ""]).named_in(["rome"]).tolist() == [0, 0]
    assert Titles([]).named_in(["rome"]).tolist() == []
