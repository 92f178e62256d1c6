"""What a revision changes in an object, and what it must leave as it is."""

import datetime as dt
import json
from typing import Annotated, Any, Literal

import pytest
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    RootModel,
    SecretStr,
    computed_field,
)

from langchain_prodpatterns.refine.drafts import read_answer, read_draft, read_reply
from langchain_prodpatterns.refine.objects import RevisionError
from tests.unit_tests.refine.scripts import revised


class Base(BaseModel):
    a: int = 1


class Sub(Base):
    b: int = 2


class Account(BaseModel):
    """What JSON shows only in part."""

    title: str
    token: SecretStr = SecretStr("")
    internal_id: str = Field(default="", exclude=True)
    item: Base = Base()
    items: list[Base] = []
    by_name: dict[str, Base] = {}


class Closed(BaseModel):
    """Allows nothing but its fields, and computes one from them."""

    model_config = ConfigDict(extra="forbid")

    title: str

    @computed_field
    def length(self) -> int:
        return len(self.title)


class Aliased(BaseModel):
    """Read under one name, written under another."""

    title: str = Field(validation_alias="t_in", serialization_alias="t_out")
    note: str = Field(default="", validation_alias=AliasChoices("n", "remark"))


class Strict(BaseModel):
    """Takes a date from JSON, but no text for a date from Python."""

    model_config = ConfigDict(strict=True)

    day: dt.date


class Open(BaseModel):
    """Keeps what it does not know."""

    model_config = ConfigDict(extra="allow")

    token: SecretStr = SecretStr("")


def test_a_secret_is_shown_to_nobody_and_survives() -> None:
    account = Account(title="x", token=SecretStr("s3cret"))
    assert "s3cret" not in read_draft(account).text
    new = revised(account, title="better")
    assert new == Account(title="better", token=SecretStr("s3cret"))


def test_a_field_that_is_not_shown_survives_whatever_the_reply_says() -> None:
    account = Account(title="x", internal_id="7")
    assert revised(account, title="better").internal_id == "7"
    assert revised(account, title="better", internal_id="8").internal_id == "7"


def test_subclasses_survive_at_any_depth() -> None:
    account = Account(
        title="x", item=Sub(b=5), items=[Sub(b=6)], by_name={"k": Sub(b=7)}
    )
    new = revised(account, title="better", item={"a": 3}, items=[{"a": 4}])
    assert (new.item, new.items) == (Sub(a=3, b=5), [Sub(a=4, b=6)])
    assert new.by_name == {"k": Sub(b=7)}
    assert revised(account, by_name={"k": {"a": 9}}).by_name == {"k": Sub(a=9, b=7)}
    assert account.item == Sub(b=5)


def test_items_that_are_still_there_survive_when_others_come_or_go() -> None:
    account = Account(title="x", items=[Sub(a=1, b=5), Sub(a=2, b=6)])
    assert revised(account, items=[{"a": 2}]).items == [Sub(a=2, b=6)]
    grown = [{"a": 1}, {"a": 2}, {"a": 3}]
    expected = [Sub(a=1, b=5), Sub(a=2, b=6), Base(a=3)]
    assert revised(account, items=grown).items == expected


def test_what_is_computed_is_not_asked_for() -> None:
    assert json.loads(read_draft(Closed(title="x")).text) == {"title": "x"}
    assert revised(Closed(title="x"), title="better").length == 6


def test_aliases_of_both_directions() -> None:
    aliased = Aliased(t_in="x", n="old")
    assert revised(aliased, t_out="better") == Aliased(t_in="better", n="old")
    assert revised(aliased, note="new") == Aliased(t_in="x", n="new")
    reply = json.dumps({"t_in": "better", "note": "old"})
    new = read_reply(read_draft(aliased), reply).value
    assert new == Aliased(t_in="better", n="old")


def test_strict_types_are_read_from_json() -> None:
    new = revised(Strict(day=dt.date(2026, 1, 1)), day="2026-02-01")
    assert new == Strict(day=dt.date(2026, 2, 1))


def test_fields_that_were_added_survive() -> None:
    opened = Open.model_validate({"token": "s3cret", "more": {"a": 1}})
    new = revised(opened, more={"a": 2}, other=3)
    assert new.model_extra == {"more": {"a": 2}, "other": 3}
    assert new.token == SecretStr("s3cret")


def test_a_root_with_a_secret() -> None:
    Tokens = RootModel[dict[str, SecretStr]]  # noqa: N806 - it is a type
    draft = read_draft(Tokens({"a": SecretStr("s3cret"), "b": SecretStr("")}))
    shown = json.loads(draft.text)
    new = read_reply(draft, json.dumps(shown | {"b": "new"})).value
    assert new == Tokens({"a": SecretStr("s3cret"), "b": SecretStr("new")})


def test_values_that_have_no_way_back_from_json() -> None:
    class Odd(BaseModel):
        title: str
        made: Annotated[object, PlainSerializer(lambda _: "made of code")]

    made = object()
    assert revised(Odd(title="x", made=made), title="better").made is made


@pytest.mark.parametrize(
    "reply",
    ['{"title": 7}', "[]", '"x"', "null", '{"title": "x", "item": {"a": "much"}}'],
)
def test_the_whole_must_validate(reply: str) -> None:
    draft = read_draft(Account(title="x", token=SecretStr("s3cret")))
    with pytest.raises(RevisionError) as caught:
        read_reply(draft, reply)
    assert "much" not in str(caught.value)


def test_a_reply_that_changes_nothing_is_the_very_object() -> None:
    account = Account(title="x", token=SecretStr("s3cret"))
    assert revised(account) is account


# --- what a reply leaves out


class Quote(BaseModel):
    """All of it is shown; most of it is optional."""

    text: str
    author: str = "unknown"
    tags: list[str] = []


def replied(value: BaseModel, reply: Any) -> Any:
    """The object that a reply makes of it."""
    draft = read_draft(value)
    new = read_reply(draft, json.dumps(reply)).value
    assert read_answer(draft, reply).value == new
    return new


def test_an_optional_field_that_is_left_out_keeps_its_value() -> None:
    quote = Quote(text="x", author="Ann", tags=["a"])
    expected = Quote(text="new", author="Ann", tags=["a"])
    assert replied(quote, {"text": "new"}) == expected
    assert replied(quote, {"text": "new", "remark": "done"}) == expected
    account = Account(title="x", token=SecretStr("s3cret"), by_name={"k": Sub(b=3)})
    new = replied(account, {"title": "new"})
    assert new == account.model_copy(update={"title": "new"})


def test_an_empty_value_clears_a_field() -> None:
    quote = Quote(text="x", author="Ann", tags=["a"])
    assert replied(quote, {"text": "x", "tags": []}) == Quote(text="x", author="Ann")
    account = Account(title="x", token=SecretStr("s3cret"))
    assert replied(account, {"title": "x", "token": ""}) == Account(title="x")


def test_what_was_added_to_a_type_keeps_its_value_too() -> None:
    opened = Open.model_validate({"token": "s3cret", "more": 1, "other": 2})
    assert replied(opened, {"other": 3}).model_extra == {"more": 1, "other": 3}
    plain = Open.model_validate({"more": 1, "other": 2})
    assert replied(plain, {"other": 3}).model_extra == {"more": 1, "other": 3}


def test_a_required_field_must_be_there() -> None:
    for quote in (Quote(text="x"), Account(title="x", token=SecretStr("s3cret"))):
        with pytest.raises(RevisionError, match="missing"):
            replied(quote, {"author": "Ann"})


class Book(BaseModel):
    """Optional fields at a depth, and an optional mapping."""

    first: Quote
    quotes: list[Quote] = []
    notes: dict[str, Quote] = {}


def test_fields_left_out_at_any_depth_keep_their_values() -> None:
    ann = Quote(text="x", author="Ann")
    book = Book(first=ann, quotes=[ann, ann], notes={"k": ann, "gone": ann})
    reply = {
        "first": {"text": "1"},
        "quotes": [{"text": "2"}, {"text": "3"}],
        "notes": {"k": {"text": "4"}},
    }
    one, two, three, four = (Quote(text=text, author="Ann") for text in "1234")
    expected = Book(first=one, quotes=[two, three], notes={"k": four})
    assert replied(book, reply) == expected


def test_an_item_of_which_something_is_left_out_must_be_known() -> None:
    quotes = [Quote(text="x", author="Ann"), Quote(text="y", author="Ben")]
    book = Book(first=quotes[0], quotes=quotes)
    with pytest.raises(RevisionError, match="cannot be told apart"):
        revised(book, quotes=[{"text": "new"}])
    with pytest.raises(RevisionError, match="cannot be told apart"):
        revised(book, quotes=[{"text": "y"}, {"text": "x"}])
    whole = [Quote(text=text, author="Eve", tags=["a"]) for text in ("1", "2", "3")]
    items = [quote.model_dump() for quote in whole]
    assert revised(book, quotes=items).quotes == whole
    first, second = json.loads(read_draft(book).text)["quotes"]
    grown = revised(book, quotes=[second, {"text": "z"}, first]).quotes
    assert grown == [quotes[1], Quote(text="z"), quotes[0]]


class Cat(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["cat"] = "cat"
    name: str = ""


class Dog(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["dog"] = "dog"
    tricks: int = 0


class Owner(BaseModel):
    pet: Cat | Dog
    token: SecretStr = SecretStr("")


@pytest.mark.parametrize("token", ["", "s3cret"])
@pytest.mark.parametrize("reply", [{"kind": "dog"}, {"kind": "dog", "tricks": 2}])
def test_a_part_may_become_another_type_of_its_union(token: str, reply: Any) -> None:
    owner = Owner(pet=Cat(name="Tom"), token=SecretStr(token))
    new = replied(owner, {"pet": reply})
    assert new == Owner(pet=Dog.model_validate(reply), token=SecretStr(token))


def test_a_list_of_several_types_may_change_in_length() -> None:
    class Pets(BaseModel):
        pets: list[Cat | Dog]

    pets = Pets(pets=[Cat(name="Tom"), Dog(tricks=1)])
    new = [Cat(name="Tim"), Dog(tricks=2), Dog(tricks=3)]
    assert revised(pets, pets=[pet.model_dump() for pet in new]).pets == new


def test_strict_types_within_what_is_not_all_shown() -> None:
    class Diary(BaseModel):
        token: SecretStr
        entry: Strict

    diary = Diary(token=SecretStr("s3cret"), entry=Strict(day=dt.date(2026, 1, 1)))
    new = replied(diary, {"token": "**********", "entry": {"day": "2026-02-01"}})
    assert new.entry == Strict(day=dt.date(2026, 2, 1))
    assert new.token == SecretStr("s3cret")
