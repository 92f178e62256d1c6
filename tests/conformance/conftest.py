"""Every test of the contract runs over every case."""

import pytest

from tests.conformance.cases import CASES, SECRET, Case
from tests.conformance.doubles import StrictModel


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture
def model(case: Case) -> StrictModel:
    return StrictModel(respond=case.respond, api_key=SECRET)
