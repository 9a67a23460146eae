"""Who is hung and who is not, whatever the machine does meanwhile (D1 to D3 of liveness.py, G1 to G4 of watchdog.py)."""

import asyncio
import itertools
import os
from collections.abc import Callable, Coroutine

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor import watchdog
from supervisor.liveness import INTERVALS_MAX, LOOKS, LOOKS_MIN, Look, Rules, Silence, Verdict, observe
from supervisor.spec import Spec, State

RULES = Rules(30.0)
INTERVAL = RULES.interval_seconds


def verdicts(*looks: Look, rules: Rules = RULES) -> list[Verdict]:
    silence, told = Silence(0.0), []
    for look in looks:
        silence, verdict = observe(silence, look, rules)
        told.append(verdict)
    return told


def silent(number: int, gap: float = INTERVAL, waited: float = 0.0) -> list[Look]:
    return [Look(gap * count, answered=False, waited_seconds=waited) for count in range(1, number + 1)]


def test_who_never_answers_is_hung_after_the_time_and_not_before() -> None:
    """D1."""
    assert verdicts(*silent(LOOKS)) == [Verdict.SILENT] * (LOOKS - 1) + [Verdict.HUNG]


@pytest.mark.parametrize("gap", [3_600.0, 31.0])
def test_a_machine_that_stood_still_is_no_silence(gap: float) -> None:
    """D2: two looks with an hour between them; each counts as two intervals, so a third and more are needed."""
    assert Verdict.HUNG not in verdicts(*silent(2, gap))
    assert verdicts(*silent(3, gap))[-1] is Verdict.HUNG
    assert INTERVALS_MAX * 2 < LOOKS
    assert LOOKS_MIN > 2


def test_who_waits_for_a_processor_is_starved_and_not_hung() -> None:
    """D2: thirty minutes in which it had no processor; with half of one it takes twice as long."""
    assert Verdict.HUNG not in verdicts(*silent(360, waited=INTERVAL))
    assert verdicts(*silent(2 * LOOKS, waited=INTERVAL / 2)).index(Verdict.HUNG) == 2 * LOOKS - 1


def test_who_is_excused_begins_anew_afterwards() -> None:
    """D3."""
    before = silent(LOOKS - 1)
    excused = [Look(INTERVAL * (LOOKS + count), answered=False, excused=True) for count in range(100)]
    after = [Look(excused[-1].at + INTERVAL * count, answered=False) for count in range(1, LOOKS + 1)]
    told = verdicts(*before, *excused, *after)
    assert told.index(Verdict.HUNG) == len(told) - 1


@given(
    st.lists(st.tuples(st.floats(0.0, 1e6), st.booleans(), st.floats(0.0, 1e6), st.booleans()), max_size=60),
    st.floats(0.1, 86_400.0),
)
def test_nobody_is_hung_who_answered_lately(events: list[tuple[float, bool, float, bool]], seconds: float) -> None:
    """D1, D2, whatever the clock does: before each verdict lie LOOKS_MIN looks and ``seconds`` of real time in silence."""
    rules = Rules(seconds)
    times = list(itertools.accumulate(gap for gap, *_ in events))
    looks = [
        Look(at, answered, waited, excused) for at, (_, answered, waited, excused) in zip(times, events, strict=True)
    ]
    for number, verdict in enumerate(verdicts(*looks, rules=rules)):
        if verdict is Verdict.HUNG:
            since = [at for at, look in zip(times[:number], looks, strict=False) if look.answered or look.excused]
            recent = looks[number + 1 - LOOKS_MIN : number + 1]
            assert len(recent) == LOOKS_MIN
            assert not any(look.answered or look.excused for look in recent)
            assert times[number] - (since[-1] if since else 0.0) >= seconds * (1 - 1e-9)


class Patient:
    """A child whose answers the test gives: one future a question."""

    def __init__(self) -> None:
        self.state = State.READY
        self.fault: str | None = None
        self.pid: int | None = os.getpid()
        self.questions: list[asyncio.Future[bool]] = []
        self.aborted: list[str] = []
        self.spec = Spec("patient", "test", ("true",), self._ready, alive=self.alive)
        self.fails = False

    async def _ready(self) -> bool:
        return True

    async def alive(self, _seconds: float) -> bool:
        self.questions.append(asyncio.get_running_loop().create_future())
        return await self.questions[-1]

    async def abort(self, why: str) -> None:
        self.aborted.append(why)
        if len(self.aborted) == 1:
            raise OSError(why)


def with_patient(body: Callable[[Patient, watchdog._Watch], Coroutine[None, None, None]]) -> None:
    async def whole() -> None:
        patient = Patient()
        await body(patient, watchdog._Watch(patient, patient.alive))

    asyncio.run(whole())


def test_an_answer_to_an_old_question_is_a_sign_of_life() -> None:
    """G1."""

    async def body(patient: Patient, watch: watchdog._Watch) -> None:
        for _ in range(LOOKS):
            watch.ask(30.0)
            await asyncio.sleep(0)
            assert watch.look(RULES) is Verdict.SILENT
        patient.questions[0].set_result(True)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert watch.look(RULES) is Verdict.ALIVE
        watch.forget()

    with_patient(body)


@pytest.mark.parametrize("change", [{"pid": 1}, {"state": State.STARTING}, {"pid": None}, {"state": State.DRAINING}])
def test_a_new_life_and_a_new_state_begin_with_no_silence(change: dict[str, object]) -> None:
    """G3."""

    async def body(patient: Patient, watch: watchdog._Watch) -> None:
        for _ in range(LOOKS):
            watch.ask(30.0)
            watch.look(RULES)
        assert watch.silence.looks == LOOKS
        for name, value in change.items():
            setattr(patient, name, value)
        assert watch.look(RULES) is Verdict.ALIVE
        watch.ask(30.0)
        assert watch.silence.looks == 0
        watch.forget()

    with_patient(body)


def test_a_watchdog_of_0_seconds_asks_nobody_and_another_one_goes_on_whatever_fails() -> None:
    """G4; the first abort of the patient raises."""

    async def body(patient: Patient, _watch: watchdog._Watch) -> None:
        off = watchdog.Watchdog([patient], 0.0, 60.0)
        off.start()
        await asyncio.sleep(0.02)
        assert patient.questions == []
        await off.stop()
        on = watchdog.Watchdog([patient], 0.01, 60.0)
        on.start()
        async with asyncio.timeout(60):
            while len(patient.aborted) < 2:
                await asyncio.sleep(0.01)
        await on.stop()

    with_patient(body)


def test_a_tracer_is_seen_and_this_process_has_none() -> None:
    """D3."""
    assert not watchdog.is_traced(os.getpid())
    assert not watchdog.is_traced(None)
    assert watchdog.waited_seconds(None) == 0.0
