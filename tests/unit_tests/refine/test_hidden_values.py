"""Whose a hidden value is, when the records around it are edited, moved or dropped."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from langchain_prodpatterns.refine.objects import RevisionError
from tests.unit_tests.refine.scripts import revised


class Open(BaseModel):
    """Keeps what it does not know."""

    model_config = ConfigDict(extra="allow")

    token: SecretStr = SecretStr("")


class Record(BaseModel):
    """Hides two values; the number tells records apart."""

    number: int = 0
    text: str = ""
    secret: SecretStr = SecretStr("")
    id: int = Field(default=0, exclude=True)


class Records(BaseModel):
    items: list[Record] = []
    by_key: dict[int, Record] = {}


def record(number: int, text: str) -> Record:
    return Record(number=number, text=text, secret=SecretStr(f"s{number}"), id=number)


def shown(number: int, text: str) -> dict[str, Any]:
    return {"number": number, "text": text, "secret": "**********"}


def told(number: int, text: str, secret_of: int) -> Record:
    """A record, and the number of the one whose hidden values it has."""
    hidden = record(secret_of, "")
    return Record(number=number, text=text, secret=hidden.secret, id=hidden.id)


TWO = Records(items=[record(1, "a"), record(2, "b")])


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([shown(2, "b"), shown(1, "a")], [told(2, "b", 2), told(1, "a", 1)]),
        ([shown(2, "b"), shown(1, "A")], [told(2, "b", 2), told(1, "A", 1)]),
        ([shown(1, "b"), shown(2, "a")], None),
        ([shown(1, "A"), shown(2, "B")], [told(1, "A", 1), told(2, "B", 2)]),
        ([shown(8, "A"), shown(9, "B")], [told(8, "A", 1), told(9, "B", 2)]),
        ([shown(2, "B"), shown(1, "A")], None),
        ([shown(2, "b")], [told(2, "b", 2)]),
        ([shown(2, "B")], None),
        ([shown(1, "A"), shown(2, "b"), shown(3, "c")], None),
        ([shown(1, "a"), shown(2, "b"), shown(3, "c")], None),
        ([], []),
    ],
)
def test_records_keep_what_they_hide(items: Any, expected: Any) -> None:
    if expected is None:
        with pytest.raises(RevisionError, match=r"told apart|the mask of a secret"):
            revised(TWO, items=items)
    else:
        assert revised(TWO, items=items).items == expected


def test_a_new_record_with_values_of_its_own_is_welcome() -> None:
    items = [shown(1, "a"), {"number": 3, "secret": "new"}, shown(2, "b")]
    new = revised(TWO, items=items).items
    own = Record(number=3, secret=SecretStr("new"))
    assert new == [TWO.items[0], own, TWO.items[1]]


def test_of_records_that_look_alike_all_stay_or_none() -> None:
    alike = [told(1, "a", 1), told(1, "a", 2)]
    records = Records(items=[*alike, record(3, "c")])
    new = revised(records, items=[shown(3, "c"), shown(1, "a"), shown(1, "a")])
    assert new.items == [record(3, "c"), *alike]
    assert revised(records, items=[shown(3, "c")]).items == [record(3, "c")]
    with pytest.raises(RevisionError, match="cannot be told apart"):
        revised(records, items=[shown(1, "a"), shown(3, "c")])
    same = Records(items=[record(1, "a"), record(1, "a")])
    assert revised(same, items=[shown(1, "a")]).items == [record(1, "a")]


def test_a_mapping_knows_its_records_by_their_keys() -> None:
    records = Records(by_key={1: record(1, "a"), 2: record(2, "b")})
    new = revised(records, by_key={"2": shown(2, "B"), "1": shown(1, "a")})
    assert new.by_key == {2: told(2, "B", 2), 1: record(1, "a")}
    renamed = revised(records, by_key={"3": shown(1, "a"), "2": shown(2, "b")})
    assert renamed.by_key == {3: record(1, "a"), 2: record(2, "b")}
    assert revised(records, by_key={"2": shown(2, "b")}).by_key == {2: record(2, "b")}
    with pytest.raises(RevisionError, match="cannot be told apart"):
        revised(records, by_key={"3": shown(1, "A"), "2": shown(2, "b")})


def test_a_mapping_with_keys_that_are_one_in_json_is_not_revised_in_part() -> None:
    class Mixed(BaseModel):
        title: str = ""
        by_key: dict[int | str, SecretStr]

    mixed = Mixed(by_key={1: SecretStr("a"), "1": SecretStr("b")})
    assert revised(mixed, title="better").by_key == mixed.by_key
    with pytest.raises(RevisionError, match="cannot be revised in part"):
        revised(mixed, by_key={"1": "**********", "2": "new"})


def test_true_is_not_one() -> None:
    opened = Open.model_validate({"token": "s3cret", "flag": True})
    assert revised(opened, flag=1).model_extra["flag"] is not True


def test_the_mask_of_a_secret_is_no_secret() -> None:
    class Keys(BaseModel):
        main: SecretStr
        spare: SecretStr | None = None
        more: set[SecretStr] = set()

    keys = Keys(main=SecretStr("s3cret"), more={SecretStr("t")})
    for changes in ({"spare": "**********"}, {"more": ["**********", "**********"]}):
        with pytest.raises(RevisionError, match="the mask of a secret"):
            revised(keys, **changes)
    new = revised(keys, more=["**********", "new"])
    assert new.more == {SecretStr("t"), SecretStr("new")}


def test_what_hides_a_part_and_cannot_be_merged_is_not_revised_in_part() -> None:
    @dataclass
    class Login:
        user: str
        id: Annotated[int, Field(exclude=True)] = 0

    class Site(BaseModel):
        title: str
        login: Login

    site = Site(title="x", login=Login("ann", id=7))
    assert revised(site, title="better").login.id == 7
    with pytest.raises(RevisionError, match=r"^Login cannot be revised in part$"):
        revised(site, login={"user": "ben"})


texts = st.sampled_from("abc")


@given(st.lists(texts, max_size=5), st.data())
def test_no_revision_moves_a_hidden_value_to_another_record(
    written: list[str], data: st.DataObject
) -> None:
    records = Records(items=[record(*each) for each in enumerate(written)])
    order = data.draw(st.permutations(range(len(written))))
    kept = order[: data.draw(st.integers(0, len(order)))]
    items = [
        shown(number, written[number] if data.draw(st.booleans()) else data.draw(texts))
        for number in kept
    ]
    with suppress(RevisionError):
        new = revised(records, items=items).items
        assert new == [record(item["number"], item["text"]) for item in items]


@given(st.lists(texts, max_size=5), st.data())
def test_where_nothing_tells_records_apart_none_is_taken_for_another(
    written: list[str], data: st.DataObject
) -> None:
    items = [told(0, text, number) for number, text in enumerate(written)]
    order = data.draw(st.permutations(range(len(written))))
    kept = order[: data.draw(st.integers(0, len(order)))]
    reply = [shown(0, written[number]) for number in kept]
    with suppress(RevisionError):
        new = revised(Records(items=items), items=reply).items
        assert [item.text for item in new] == [written[number] for number in kept]
        assert {item.id for item in new} == set(kept)
        assert all(item in items for item in new)


@given(st.lists(texts, min_size=1, max_size=5), st.data())
def test_an_edit_in_place_or_a_permutation_is_never_refused(
    written: list[str], data: st.DataObject
) -> None:
    records = Records(items=[record(*each) for each in enumerate(written)])
    size = len(written)
    new_texts = data.draw(st.lists(texts, min_size=size, max_size=size))
    edited = [(number, text.upper()) for number, text in enumerate(new_texts)]
    permuted = data.draw(st.permutations(list(enumerate(written))))
    for changes in (edited, permuted):
        new = revised(records, items=[shown(*each) for each in changes]).items
        assert new == [record(*each) for each in changes]
