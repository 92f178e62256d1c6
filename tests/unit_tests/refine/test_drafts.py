"""A draft keeps its type, and commentary never becomes a part of it."""

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.prompt_values import StringPromptValue
from pydantic import BaseModel, Field, RootModel, SecretStr

from langchain_prodpatterns.refine.drafts import (
    Draft,
    read_answer,
    read_draft,
    read_reply,
    reply_form,
)
from langchain_prodpatterns.refine.objects import RevisionError
from tests.unit_tests.refine.scripts import Product

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner)
    ),
    max_leaves=8,
)


class Event(BaseModel):
    """A type that JSON alone does not carry, and an alias."""

    day: dt.date
    place_name: str = Field(alias="placeName")


# --- reading drafts


def test_a_text_is_a_draft() -> None:
    draft = read_draft("hello")
    assert (draft.value, draft.text, draft.checked) == ("hello", "hello", "hello")


def test_a_message_is_read_as_its_text() -> None:
    blocks: list[str | dict[str, Any]] = [{"type": "text", "text": "hello"}]
    message = AIMessage(content=blocks)
    draft = read_draft(message)
    assert draft.value is message
    assert draft.text == draft.checked == "hello"


def test_summed_chunks_become_a_message() -> None:
    draft = read_draft(AIMessageChunk(content="hel") + AIMessageChunk(content="lo"))
    assert type(draft.value) is AIMessage
    assert draft.text == "hello"


def test_objects_are_read_as_json_and_checked_as_objects() -> None:
    product = Product(title="Lamp", price=2.5)
    draft = read_draft(product)
    assert json.loads(draft.text) == product.model_dump()
    assert draft.checked == product
    given_dict = {"title": "Lamp", "tags": ["a"]}
    assert json.loads(read_draft(given_dict).text) == given_dict
    assert read_draft(given_dict).checked == given_dict


@pytest.mark.parametrize(
    "value",
    [
        7,
        None,
        ["a", "list"],
        HumanMessage("not an answer"),
        StringPromptValue(text="a prompt"),
    ],
)
def test_anything_else_is_no_draft(value: Any) -> None:
    with pytest.raises(TypeError, match=f"got {type(value).__name__}; to draft"):
        read_draft(value)


@pytest.mark.parametrize("value", [{1: "a"}, {"a": ({"b": {None: "secret"}},)}])
def test_keys_that_json_would_change_are_refused(value: Any) -> None:
    with pytest.raises(TypeError, match=r"texts as keys, got (int|NoneType)"):
        read_draft(value)


def test_a_dict_must_hold_json() -> None:
    with pytest.raises(TypeError, match="JSON values only"):
        read_draft({"when": dt.date(2026, 1, 1)})


def test_halves_of_surrogate_pairs_reach_no_critic() -> None:
    assert read_draft("a\ud800b").text == "a?b"
    assert read_draft({"a": "\ud800"}).text.encode()


# --- fingerprints


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a\nb", "a\r\nb  \n"),
        ("  a", "a"),
        ("caf\u00e9", "cafe\u0301"),
    ],
)
def test_what_a_reader_cannot_see_changes_no_fingerprint(one: str, other: str) -> None:
    assert read_draft(one).fingerprint == read_draft(other).fingerprint


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("if x:\n    y", "if x:\n        y"),
        ("Hello", "hello"),
        ("a b", "a  b"),
    ],
)
def test_what_may_matter_changes_it(one: str, other: str) -> None:
    assert read_draft(one).fingerprint != read_draft(other).fingerprint


# --- replies of a language model


@pytest.mark.parametrize(
    "reply",
    [
        '{"revision": "better"}',
        '```json\n{"revision": "better"}\n```',
        '```\n{"revision": "better"}\n```',
        ' {"revision": "better", "changes": "a word"} ',
        '<think>Maybe {"revision": "worse"}?</think>\n{"revision": "better"}',
        '\n<think>\n</think>```json\n{"revision": "better"}\n```',
    ],
)
def test_the_revision_is_what_the_json_holds(reply: str) -> None:
    assert read_reply(read_draft("good"), reply) == Draft("better", "better")
    assert read_reply(read_draft("good"), AIMessage(reply)).value == "better"


@pytest.mark.parametrize(
    "reply",
    [
        "Here is the improved version: better",
        'Here is the improved version: {"revision": "better"}',
        '{"revision": "better"} I hope you like it!',
        "The original answer remains.",
        '{"revision": 7}',
        '{"revision": null}',
        '{"revision": ""}',
        '{"revision": "  "}',
        '{"answer": "better"}',
        '["better"]',
        '"better"',
        '{"revision": "cut of',
        '<think>{"revision": "better"}',
        'Well. <think></think>{"revision": "better"}',
        "",
    ],
)
def test_what_is_not_that_json_is_no_revision(reply: str) -> None:
    with pytest.raises(RevisionError):
        read_reply(read_draft("good"), reply)


@given(st.text())
def test_a_text_survives_the_way_there_and_back(text: str) -> None:
    reply = json.dumps({"revision": text})
    if text.strip():
        assert read_reply(read_draft("good"), reply).value == text
    else:
        with pytest.raises(RevisionError):
            read_reply(read_draft("good"), reply)


def test_line_breaks_may_stand_in_the_json_as_they_are() -> None:
    reply = '{"revision": "line one\n\tline two"}'
    assert read_reply(read_draft("good"), reply).value == "line one\n\tline two"
    body = read_reply(read_draft({"body": "a"}), '{"body": "a\nb"}').value
    assert body == {"body": "a\nb"}
    product = read_draft(Product(title="Lamp", price=1))
    new = read_reply(product, '{"title": "Bright\nlamp", "price": 1}').value
    assert new == Product(title="Bright\nlamp", price=1)


def test_a_reply_that_is_no_json_is_called_that() -> None:
    for value in ("good", {"a": 1}, Product(title="t", price=1)):
        with pytest.raises(RevisionError, match=r"^the revision is not JSON$"):
            read_reply(read_draft(value), "Sure!")
    with pytest.raises(RevisionError, match=r"^revision: model_type$"):
        read_reply(read_draft("good"), "[]")


def test_half_of_a_surrogate_pair_is_refused() -> None:
    class Login(BaseModel):
        user: str
        password: SecretStr

    login = Login(user="ann", password=SecretStr("s3cret"))
    for value in (login, {"user": "ann"}):
        with pytest.raises(RevisionError, match=r"^the revision is not JSON$"):
            read_reply(read_draft(value), '{"user": "\\ud800"}')
    new = read_reply(read_draft(login), '{"user": "\\ud83d\\ude00", "password": "*"}')
    assert new.value == Login(user="\U0001f600", password=SecretStr("*"))


@given(st.text())
def test_garbage_is_refused_and_never_crashes(text: str) -> None:
    for value in ("good", {"a": 1}, Product(title="t", price=1)):
        with pytest.raises(RevisionError):
            read_reply(read_draft(value), f"No! {text}")


def test_a_message_is_revised_in_a_copy_with_facts_of_its_own() -> None:
    old = AIMessage(
        "good",
        id="old",
        name="writer",
        additional_kwargs={"parsed": "good"},
        response_metadata={"model_name": "old-model"},
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
    )
    usage = {"input_tokens": 5, "output_tokens": 5, "total_tokens": 10}
    reply = AIMessage(
        '{"revision": "better"}',
        response_metadata={"model_name": "reviser"},
        usage_metadata=usage,
    )
    before = old.model_copy(deep=True)
    new = read_reply(read_draft(old), reply).value
    assert isinstance(new, AIMessage)
    assert new.content == "better"
    assert new.name == "writer"
    assert new.id not in (old.id, None)
    assert new.additional_kwargs == {}
    assert new.response_metadata == {"model_name": "reviser"}
    assert new.usage_metadata == usage
    assert old == before


def test_two_revisions_never_share_an_id() -> None:
    draft = read_draft(AIMessage("good"))
    ids = {read_reply(draft, '{"revision": "x"}').value.id for _ in range(3)}
    assert len(ids) == 3


def test_an_object_is_revised_as_an_object() -> None:
    draft = read_draft(Product(title="Lamp", price=2.5))
    new = read_reply(draft, '```json\n{"title": "Bright lamp", "price": 2.5}\n```')
    assert new.value == Product(title="Bright lamp", price=2.5)
    assert json.loads(new.text)["title"] == "Bright lamp"


@pytest.mark.parametrize(
    "reply",
    [
        '{"title": "Lamp"}',
        '{"title": "Lamp", "price": "much"}',
        "[]",
        "Lamp",
        '{"revision": "Lamp"}',
    ],
)
def test_an_object_that_does_not_validate_is_no_revision(reply: str) -> None:
    with pytest.raises(RevisionError) as caught:
        read_reply(read_draft(Product(title="Lamp", price=2.5)), reply)
    assert "much" not in str(caught.value)


def test_aliases_and_dates_survive() -> None:
    draft = read_draft(Event(day=dt.date(2026, 1, 2), placeName="Ulm"))
    assert json.loads(draft.text) == {"day": "2026-01-02", "placeName": "Ulm"}
    assert read_reply(draft, draft.text).value == draft.value


def test_a_root_model_is_revised_too() -> None:
    Names = RootModel[list[str]]  # noqa: N806 - it is a type
    assert read_reply(read_draft(Names(["a"])), '["b", "c"]').value == Names(["b", "c"])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"a": "x"}, {"a": "y"}),
        ({"a": 1}, {"a": 1.5}),
        ({"a": [1]}, {"a": [1, 2, 3]}),
        ({"a": []}, {"a": ["anything"]}),
        ({"a": None}, {"a": {"any": "thing"}}),
        ({"a": {"b": True}}, {"a": {"b": False}}),
        ({"a": [1, "x"]}, {"a": ["y", 2, "z"]}),
    ],
)
def test_a_dict_of_the_same_shape_is_a_revision(old: Any, new: Any) -> None:
    assert read_reply(read_draft(old), json.dumps(new)).value == new


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ({"a": 1}, {"b": 1}, "draft"),
        ({"a": 1}, {"a": 1, "b": 2}, "draft"),
        ({"a": 1, "b": 2}, {"a": 1}, "draft"),
        ({"a": 1}, {"a": "1"}, "draft.a"),
        ({"a": 1}, {"a": True}, "draft.a"),
        ({"a": "x"}, {"a": None}, "draft.a"),
        ({"a": {"b": 1}}, {"a": {"b": []}}, "draft.a.b"),
        ({"a": [1]}, {"a": [1, "x"]}, "draft.a[1]"),
        ({"a": 1}, [1], "draft"),
    ],
)
def test_a_dict_of_another_shape_is_none(old: Any, new: Any, place: str) -> None:
    with pytest.raises(RevisionError) as caught:
        read_reply(read_draft(old), json.dumps(new))
    assert str(caught.value) == f"the revision has another shape at '{place}'"


@given(st.dictionaries(st.text(max_size=3), json_values, max_size=3))
def test_every_dict_has_its_own_shape(value: dict[str, Any]) -> None:
    assert read_reply(read_draft(value), json.dumps(value)).value == value


def test_json_too_deep_to_read_is_no_revision() -> None:
    with pytest.raises(RevisionError):
        read_reply(read_draft({"a": []}), '{"a": ' + "[" * 200_000)


# --- answers of a reviser of the user's own


def test_the_answer_of_an_own_reviser_is_the_draft_itself() -> None:
    text, message = read_draft("good"), read_draft(AIMessage("good"))
    assert read_answer(text, "better").value == "better"
    assert read_answer(text, AIMessage("better")).value == "better"
    assert read_answer(message, "better").value.content == "better"
    reply = AIMessage("better", response_metadata={"model_name": "own"})
    assert read_answer(message, reply).value.response_metadata["model_name"] == "own"


def test_objects_from_an_own_reviser() -> None:
    draft = read_draft(Product(title="Lamp", price=1))
    new = Product(title="Light", price=1)
    assert read_answer(draft, new).value is new
    assert read_answer(draft, {"title": "Light", "price": 1}).value == new
    assert read_answer(read_draft({"a": 1}), {"a": 2}).value == {"a": 2}


@pytest.mark.parametrize(
    ("draft", "answer"),
    [
        ("good", 7),
        ("good", None),
        ("good", " "),
        ("good", {"revision": "x"}),
        ({"a": 1}, "text"),
        ({"a": 1}, {"b": 1}),
        (Product(title="Lamp", price=1), {"title": "Light"}),
        (Product(title="Lamp", price=1), Event(day=dt.date.today(), placeName="x")),  # noqa: DTZ011 - any day
    ],
)
def test_what_cannot_stand_in_is_refused(draft: Any, answer: Any) -> None:
    with pytest.raises(RevisionError):
        read_answer(read_draft(draft), answer)


# --- what the model is asked for


def test_the_form_says_what_shape_to_answer_in() -> None:
    assert '{"revision":' in reply_form(read_draft("x"))
    assert '{"revision":' in reply_form(read_draft(AIMessage("x")))
    form = reply_form(read_draft(Product(title="x", price=1)))
    assert '"price"' in form
    assert "leave out keeps its value" in form
    assert "the keys" in reply_form(read_draft({"a": 1}))
