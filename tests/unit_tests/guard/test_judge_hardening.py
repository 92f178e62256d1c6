"""No text talks its way past the judge, whatever the judge does with it."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "guard_judge.py"
JUDGES = ["obeys", "repeats", "copies", "takes the verdict", "invents"]


@pytest.fixture(scope="module")
def hardening() -> ModuleType:
    spec = importlib.util.spec_from_file_location("guard_judge", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_attacks_are_two_hundred(hardening: ModuleType) -> None:
    assert len(set(hardening.ATTACKS)) == 200
    assert list(hardening.MODELS) == JUDGES


@pytest.mark.parametrize("judge", JUDGES)
def test_no_attack_passes(hardening: ModuleType, judge: str) -> None:
    passes = hardening.guarded_by(hardening.MODELS[judge])
    assert [attack for attack in hardening.ATTACKS if passes(attack)] == []


def test_the_judge_that_obeys_does_so_outside_its_delimiters(
    hardening: ModuleType,
) -> None:
    assert all(hardening.unfenced(attack) for attack in hardening.ATTACKS)
    assert hardening.honest() == 20
