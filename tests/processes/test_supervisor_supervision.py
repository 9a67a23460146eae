"""Starting, restarting and stopping real child processes (V1 to V3, C1 to C3, R1 to R3 of the supervisor)."""

import asyncio
import dataclasses
import os
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path

import psutil
import pytest

from supervisor.child import Child
from supervisor.errors import StartError
from supervisor.figures import as_text
from supervisor.life import Limits
from supervisor.restart import Policy
from supervisor.spec import Spec, State
from supervisor.supervision import Supervisor
from tests.conftest import PATIENCE_SECONDS, free_port
from tests.processes.supervisor_stand_in_system import stand_in

QUICK = Limits(ready_seconds=60.0, stop_seconds=60.0, policy=Policy(50, 400))
IMPATIENT = dataclasses.replace(QUICK, stop_seconds=1.0)


class World:
    """A supervisor of stand-ins, and the order of the changes that it told of."""

    def __init__(self, logs: Path, *specs: Spec, limits: Limits = QUICK) -> None:
        self.changes: list[tuple[str, State]] = []
        environment = {"PYTHONFAULTHANDLER": "1"}
        self.supervisor = Supervisor(specs, logs, limits, environment=environment, on_change=self._seen)

    def _seen(self, child: Child) -> None:
        self.changes.append((child.spec.name, child.state))

    def when(self, name: str, state: State) -> int:
        return self.changes.index((name, state))

    def pid(self, name: str) -> int:
        pid = self.supervisor.children[name].pid
        assert pid is not None
        return pid

    async def wait_until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, what
            await asyncio.sleep(0.02)


def running(world: World, body: Callable[[], Awaitable[None]]) -> None:
    """Start, do, stop; whatever happens, nothing stays."""

    async def whole() -> None:
        try:
            assert await world.supervisor.start()
            await body()
        finally:
            await world.supervisor.stop()

    run(whole())


def run(whole: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(whole, 120))


def test_start_follows_the_dependencies_and_stop_goes_the_other_way(tmp_path: Path) -> None:
    """O1, O2."""
    low = stand_in("low", free_port())
    high = stand_in("high", free_port(), depends_on=("low",))
    world = World(tmp_path, high, low)

    async def body() -> None:
        assert world.when("low", State.READY) < world.when("high", State.STARTING)

    running(world, body)
    assert world.when("high", State.STOPPED) < world.when("low", State.DRAINING)
    assert "draining" in (tmp_path / "low.log").read_text()


def test_a_killed_process_is_started_again(tmp_path: Path) -> None:
    world = World(tmp_path, stand_in("one", free_port()))

    async def body() -> None:
        child, first = world.supervisor.children["one"], world.pid("one")
        world.supervisor.fault("kill", ["one"])
        await world.wait_until(lambda: child.pid != first and child.state is State.READY, "restarted")
        assert child.restarts == {"died": 1}
        assert ("one", State.BACKOFF) in world.changes

    running(world, body)


def test_a_process_that_keeps_dying_ends_the_start_with_its_last_words(tmp_path: Path) -> None:
    """R2, V1: what had started is stopped again."""
    good = stand_in("good", free_port())
    world = World(tmp_path, good, stand_in("bad", free_port(), "dies", depends_on=("good",)))

    async def body() -> None:
        with pytest.raises(StartError, match="bad could not be started: it ended 3 times") as caught:
            await world.supervisor.start()
        assert caught.value.log_lines == ["stand-in: dies"]

    run(body())
    assert world.changes[-1] == ("good", State.STOPPED)


@pytest.mark.parametrize("behaviour", ["refuses", "blocked"])
def test_a_process_that_says_it_cannot_start_is_not_tried_again(tmp_path: Path, behaviour: str) -> None:
    """R2."""
    world = World(tmp_path, stand_in("bad", free_port(), behaviour))

    async def body() -> None:
        with pytest.raises(StartError):
            await world.supervisor.start()

    run(body())
    assert world.changes.count(("bad", State.STARTING)) == 1


def test_a_process_that_is_never_ready_ends_the_start(tmp_path: Path) -> None:
    limits = Limits(ready_seconds=1.0, stop_seconds=1.0)
    world = World(tmp_path, stand_in("slow", free_port(), "unready"), limits=limits)

    async def body() -> None:
        with pytest.raises(StartError, match="slow was not ready after 1 s"):
            await world.supervisor.start()

    run(body())
    assert world.supervisor.children["slow"].pid is None


def test_a_deaf_process_is_killed_after_the_deadline(tmp_path: Path) -> None:
    """C3."""
    world = World(tmp_path, stand_in("deaf", free_port(), "deaf"), limits=IMPATIENT)
    pids: list[int] = []

    async def body() -> None:
        pids.append(world.pid("deaf"))

    running(world, body)
    assert not psutil.pid_exists(pids[0])


def test_a_paused_process_can_be_stopped_in_order(tmp_path: Path) -> None:
    """C3: it is woken to hear the signal, and drains as any other."""
    world = World(tmp_path, stand_in("one", free_port()))

    async def body() -> None:
        world.supervisor.fault("pause", ["one"])
        stopped = psutil.Process(world.pid("one"))
        await world.wait_until(lambda: stopped.status() == psutil.STATUS_STOPPED, "stopped by the fault")
        assert world.supervisor.rows()[0]["fault"] == "paused"

    running(world, body)
    assert "draining" in (tmp_path / "one.log").read_text()


def test_pause_and_resume_reach_the_descendants(tmp_path: Path) -> None:
    world = World(tmp_path, stand_in("one", free_port(), "family"))

    async def body() -> None:
        (grandchild,) = psutil.Process(world.pid("one")).children()
        world.supervisor.fault("pause", ["one"])
        await world.wait_until(lambda: grandchild.status() == psutil.STATUS_STOPPED, "the grandchild is stopped")
        world.supervisor.fault("resume", ["one"])
        await world.wait_until(lambda: grandchild.status() == psutil.STATUS_SLEEPING, "the grandchild goes on")
        assert psutil.Process(world.pid("one")).children() == [grandchild], "neither was replaced"
        assert world.supervisor.rows()[0]["fault"] is None

    running(world, body)


def test_what_a_killed_process_leaves_of_its_group_ends_too(tmp_path: Path) -> None:
    world = World(tmp_path, stand_in("one", free_port(), "family"))

    async def body() -> None:
        killed = world.pid("one")
        (grandchild,) = psutil.Process(killed).children()
        os.kill(killed, signal.SIGKILL)
        await world.wait_until(lambda: not grandchild.is_running(), "the grandchild is gone")
        await world.wait_until(
            lambda: world.supervisor.rows()[0]["pid"] not in {killed, None}, "another one is started"
        )
        assert grandchild not in psutil.Process(world.pid("one")).children()

    running(world, body)


def test_a_slow_process_stutters_until_it_is_resumed(tmp_path: Path) -> None:
    world = World(tmp_path, stand_in("one", free_port()))

    async def body() -> None:
        process = psutil.Process(world.pid("one"))
        world.supervisor.fault("slow", ["one"])
        await world.wait_until(lambda: process.status() == psutil.STATUS_STOPPED, "it stands")
        await world.wait_until(lambda: process.status() == psutil.STATUS_SLEEPING, "it goes on")
        await world.wait_until(lambda: process.status() == psutil.STATUS_STOPPED, "it stands again")
        world.supervisor.fault("resume", ["one"])
        await world.wait_until(lambda: process.status() == psutil.STATUS_SLEEPING, "it goes on")
        assert world.supervisor.rows()[0]["fault"] is None

    running(world, body)


def test_a_slow_process_that_is_paused_stands(tmp_path: Path) -> None:
    """The end of the stutter must not wake what was paused after it."""
    world = World(tmp_path, stand_in("one", free_port()))

    async def body() -> None:
        process = psutil.Process(world.pid("one"))
        world.supervisor.fault("slow", ["one"])
        await world.wait_until(lambda: process.status() == psutil.STATUS_STOPPED, "it stands")
        await world.wait_until(lambda: process.status() == psutil.STATUS_SLEEPING, "it goes on")
        world.supervisor.fault("pause", ["one"])
        await world.wait_until(lambda: process.status() == psutil.STATUS_STOPPED, "it stands")
        for _ in range(15):  # three of the stutter's periods
            await asyncio.sleep(0.02)
            assert process.status() == psutil.STATUS_STOPPED
        assert world.supervisor.rows()[0]["fault"] == "paused"

    running(world, body)


def test_a_fault_that_one_process_cannot_have_is_done_to_none(tmp_path: Path) -> None:
    waiting = dataclasses.replace(stand_in("guest", free_port()), on_demand=True, awaited=False)
    world = World(tmp_path, stand_in("one", free_port()), waiting)

    async def body() -> None:
        with pytest.raises(LookupError, match="guest is not running"):
            world.supervisor.fault("pause", ["one", "guest"])
        assert psutil.Process(world.pid("one")).status() != psutil.STATUS_STOPPED

    running(world, body)


def test_a_graceful_restart_drains_and_counts_as_no_death(tmp_path: Path) -> None:
    world = World(tmp_path, stand_in("one", free_port()))

    async def body() -> None:
        child, first = world.supervisor.children["one"], world.pid("one")
        world.supervisor.fault("restart", ["one"])
        await world.wait_until(lambda: child.pid != first and child.state is State.READY, "restarted")
        assert child.restarts.total() == 0
        assert "draining" in (tmp_path / "one.log").read_text()

    running(world, body)


def test_a_stop_during_the_start_is_not_lost(tmp_path: Path) -> None:
    """V2."""
    world = World(tmp_path, stand_in("slow", free_port(), "unready"))

    async def body() -> None:
        start = asyncio.create_task(world.supervisor.start())
        await world.wait_until(lambda: ("slow", State.STARTING) in world.changes, "it starts")
        world.supervisor.request_stop()
        assert await start is False
        await world.supervisor.stop()

    run(body())
    assert world.supervisor.children["slow"].state is State.STOPPED


def test_a_second_request_does_not_wait_for_the_deadline(tmp_path: Path) -> None:
    """V3: the deadline is longer than what this test may take."""
    world = World(tmp_path, stand_in("deaf", free_port(), "deaf"), limits=Limits(60.0, 600.0))

    async def body() -> None:
        world.supervisor.request_stop()
        world.supervisor.request_stop()

    running(world, body)
    assert world.supervisor.children["deaf"].state is State.STOPPED


def test_a_fault_names_what_it_does_not_know(tmp_path: Path) -> None:
    """P7: nothing is done to the known one either."""
    world = World(tmp_path, stand_in("one", free_port()))

    async def body() -> None:
        with pytest.raises(LookupError, match=r"no process is called two; there are: one"):
            world.supervisor.fault("kill", ["one", "two"])
        assert world.supervisor.children["one"].state is State.READY

    running(world, body)


def test_a_process_that_hangs_says_where_and_is_started_again_but_not_one_that_was_paused(tmp_path: Path) -> None:
    """C5, D3, G3: one whose main thread waits for itself, one that somebody stopped by hand, one that was told to pause."""
    stuck, stopped, paused = (
        stand_in(name, free_port(), behaviour)
        for name, behaviour in (("stuck", "deadlocks"), ("stopped", "ready"), ("paused", "ready"))
    )
    limits = dataclasses.replace(QUICK, watchdog_seconds=1.0)
    world = World(tmp_path, stuck, stopped, paused, limits=limits)

    async def body() -> None:
        children = world.supervisor.children
        first = {name: world.pid(name) for name in children}
        os.kill(first["stopped"], signal.SIGSTOP)
        world.supervisor.fault("pause", ["paused"])
        await world.wait_until(lambda: children["stuck"].restarts["hung"], "the deadlock is found")
        await world.wait_until(lambda: children["stopped"].restarts["hung"], "the stop is found")
        await world.wait_until(lambda: children["stopped"].state is State.READY, "started again")
        assert world.pid("stopped") != first["stopped"]
        rows = {str(row["name"]): row for row in world.supervisor.rows()}
        assert rows["stopped"]["restarts_by_reason"] == {"died": 0, "hung": 1}
        assert rows["stopped"]["last_end"] == "hung: it gave no sign of life for 1 s, state T (stopped)"
        assert 'supervisor_restarts_total{process="stopped",reason="hung"} 1.0' in as_text(world.supervisor.rows())
        assert (world.pid("paused"), children["paused"].restarts.total()) == (first["paused"], 0)
        assert rows["paused"]["silent_seconds"] == 0

    running(world, body)
    said = (tmp_path / "stuck.log").read_text()
    assert "Fatal Python error: Aborted" in said
    assert "in wait_for_itself" in said
