"""What a revision changes in an object, and what it must leave as it is."""

import datetime as dt
import json
from typing import Annotated, Any

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


def revised(value: BaseModel, **changes: Any) -> Any:
    """The object after a reviser changed some keys of the JSON it was shown."""
    draft = read_draft(value)
    shown = json.loads(draft.text)
    reply = json.dumps(shown | changes)
    new = read_reply(draft, reply)
    assert read_answer(draft, shown | changes).value == new.value
    assert type(new.value) is type(value)
    return new.value


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
    given = Open.model_validate({"token": "s3cret", "more": {"a": 1}})
    new = revised(given, more={"a": 2}, other=3)
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
