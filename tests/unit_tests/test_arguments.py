import pytest

from langchain_prodpatterns.arguments import refuse_unknown
from langchain_prodpatterns.errors import ConfigurationError


def test_known_names_pass() -> None:
    refuse_unknown("Thing", {})
    refuse_unknown("Thing", {"name": 1, "index": None}, "name", "index")


def test_the_first_unknown_name_is_named_and_no_value_is() -> None:
    kwargs = {"name": 1, "zeta": "secret", "alpha": "secret"}

    with pytest.raises(ConfigurationError) as caught:
        refuse_unknown("Thing", kwargs, "name")

    assert str(caught.value) == "Thing has no argument 'alpha'"
