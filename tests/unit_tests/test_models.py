"""What a model tells about itself."""

from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel, SimpleChatModel
from langchain_core.language_models.fake import FakeListLLM
from langchain_core.runnables import ConfigurableField
from langchain_core.runnables.base import RunnableBindingBase

from langchain_prodpatterns.models import (
    are_temperatures,
    at_temperature,
    is_sync_only,
    layers,
    model_name,
    takes_temperature,
)
from langchain_prodpatterns.testing import ScriptedChatModel


class Simple(SimpleChatModel):
    @property
    def _llm_type(self) -> str:
        return "simple"

    def _call(self, *args: Any, **kwargs: Any) -> str:
        return "hi"


MODEL = ScriptedChatModel(default="hi", model_name="small")
FIXED = ScriptedChatModel(default="hi", profile={"temperature": False})


def test_the_profile_may_forbid_a_temperature() -> None:
    assert takes_temperature(MODEL)
    assert not takes_temperature(FIXED)
    assert not takes_temperature(FIXED.bind(stop=["x"]).with_retry())


def test_the_name_is_found_through_bindings() -> None:
    assert model_name(MODEL.bind(stop=["x"]).with_retry()) == "small"


def test_the_layers_end_with_the_model() -> None:
    field = ConfigurableField(id="name")
    dynamic = MODEL.configurable_fields(model_name=field)
    wrapped = dynamic.with_fallbacks([FIXED]).bind(stop=["x"])
    assert layers(wrapped)[-1] is MODEL


def test_which_models_have_no_async_of_their_own() -> None:
    assert is_sync_only(Simple())
    assert is_sync_only(Simple().bind(stop=["x"]).with_retry())
    assert not is_sync_only(MODEL)
    assert is_sync_only(FakeListChatModel(responses=["hi"]))
    assert not is_sync_only(FakeListLLM(responses=["hi"]))
    assert not is_sync_only(None)


def test_a_temperature_is_bound_where_the_model_takes_one() -> None:
    bound = at_temperature(MODEL, 0.7)
    assert isinstance(bound, RunnableBindingBase)
    assert bound.kwargs == {"temperature": 0.7}
    assert at_temperature(MODEL, None) is MODEL
    assert at_temperature(FIXED, 0.7) is FIXED


@pytest.mark.parametrize(
    ("values", "are"),
    [
        ((0, 0.7, None), True),
        ((), False),
        ("0", False),
        ((-1,), False),
        ((True,), False),
        (0.5, False),
    ],
)
def test_temperatures_are_numbers_from_zero_up(values: Any, are: bool) -> None:
    assert are_temperatures(values) is are
