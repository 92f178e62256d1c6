"""Steps of time for bars."""

from hypothesis import given
from hypothesis import strategies as st

from langchain_prodpatterns.reports.times import period_of

NOON = 1_700_049_600.0  # 2023-11-15 12:00 UTC, a Wednesday
HOUR, DAY = 3_600.0, 86_400.0


@given(st.lists(st.floats(0, 4e9), min_size=1, max_size=20))
def test_every_moment_has_a_step_and_there_are_few(times: list[float]) -> None:
    period = period_of(times)

    assert 1 <= len(period.names) <= 31
    assert len(set(period.names)) == len(period.names) or period.unit == "minute"
    for at in times:
        place = period.place(at)
        assert 0 <= place < len(period.names)
        start = period.start + place * period.seconds
        assert start <= at < start + period.seconds


def test_the_finest_step_is_chosen_of_which_there_are_few() -> None:
    for length, unit in [
        (0.0, "minute"),
        (20 * 60, "minute"),
        (5 * HOUR, "hour"),
        (9 * DAY, "day"),
        (100 * DAY, "week"),
        (1_000 * DAY, "5 weeks"),
    ]:
        assert period_of([NOON, NOON + length]).unit == unit


def test_steps_begin_where_people_begin_them() -> None:
    assert period_of([NOON + 61.0]).names == ("12:01",)
    assert period_of([NOON, NOON + 5 * HOUR]).names[0] == "11-15 12:00"
    assert period_of([NOON, NOON + 9 * DAY]).names[0] == "2023-11-15"
    assert period_of([NOON, NOON + 99 * DAY]).names[0] == "2023-11-13"  # a Monday
