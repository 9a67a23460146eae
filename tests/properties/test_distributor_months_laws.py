"""Laws of the calendar for any epoch, length and moment (K1 to K3)."""

from datetime import UTC, datetime, timedelta

from hypothesis import assume, example, given
from hypothesis import strategies as st

from distributor.months.calendar import Calendar

calendars = st.builds(
    Calendar,
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - gets its zone
    st.timedeltas(timedelta(microseconds=1), timedelta(days=1)),
)
passed = st.timedeltas(timedelta(0), timedelta(days=300))


@given(calendars, st.timedeltas(timedelta(days=-300), timedelta(days=300)))
def test_every_moment_lies_in_the_span_of_its_month_and_in_no_other(calendar: Calendar, since: timedelta) -> None:
    moment = calendar.epoch + since
    number = calendar.month_at(moment)
    assert calendar.start(number) <= moment < calendar.end(number)
    assert calendar.end(number) == calendar.start(number + 1)


@given(calendars, passed, st.integers(1, 1_000))
def test_a_jump_only_moves_forward_and_never_skips_a_month(calendar: Calendar, since: timedelta, number: int) -> None:
    now = calendar.epoch + since
    jumped = calendar.jump_after(number, now)
    assert jumped.epoch <= calendar.epoch
    assert jumped.month_at(now) == max(calendar.month_at(now), number + 1)
    assert jumped.jump_after(number, now) == jumped


@given(calendars, passed, st.timedeltas(timedelta(milliseconds=1), timedelta(days=1)))
@example(Calendar(datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=1)), timedelta(hours=30), timedelta(hours=23))
def test_another_length_neither_skips_nor_repeats_a_month(
    calendar: Calendar, since: timedelta, length: timedelta
) -> None:
    now = calendar.epoch + since
    assume(
        calendar.month_at(now) * length.total_seconds() < 700_000 * 86_400
    )  # else the epoch would lie before the year 1
    assert calendar.with_length(length, now).month_at(now) == calendar.month_at(now)
