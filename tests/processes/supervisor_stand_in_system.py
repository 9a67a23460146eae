"""A system of stand-ins under the real supervisor: ``python -m tests.processes.supervisor_stand_in_system STATE BASE``.

base-1 <- middle-1, middle-2 <- top-1; everything else is what `main.py up` does after its plan is made.
"""

import asyncio
import functools
import sys
from pathlib import Path

from settings import Runtime, Secrets, Settings
from settings.addresses import Addresses
from supervisor import leftovers, lock, probes
from supervisor.console import Console
from supervisor.options import Options
from supervisor.running import System, logging_to, stop_signals
from supervisor.spec import Spec

STAND_IN = Path(__file__).with_name("supervisor_stand_in.py")


def stand_in(name: str, port: int, behaviour: str = "ready", depends_on: tuple[str, ...] = ()) -> Spec:
    return Spec(
        name=name,
        kind="stand-in",
        argv=(sys.executable, str(STAND_IN), str(port), behaviour),
        probe=functools.partial(probes.http_ready, port),
        url=f"http://127.0.0.1:{port}",
        ports=(port,),
        depends_on=depends_on,
        alive=functools.partial(probes.http_alive, port),
        unready=functools.partial(probes.http_unready, port),
    )


def specs(base: int) -> list[Spec]:
    return [
        stand_in("base-1", base + 1, "family"),
        stand_in("middle-1", base + 2, depends_on=("base-1",)),
        stand_in("middle-2", base + 3, depends_on=("base-1",)),
        stand_in("top-1", base + 4, depends_on=("middle-1", "middle-2")),
        stand_in("traffic", base + 5),
    ]


async def run(state: Path, base: int) -> None:
    state = lock.prepare_folder(state)
    with lock.take(state), logging_to(state / "logs" / "supervisor.log", "INFO"):
        left = leftovers.end(state)
        console = Console()
        console.note(f"leftovers {len(left)}")
        runtime = Runtime(
            state=state,
            settings=Settings(),
            addresses=Addresses(base),
            database_url="postgresql+psycopg://nobody@127.0.0.1:1/none",
            broker_url="postgres",
            broker_is_ours=False,
            secrets=Secrets.read_or_make(state, []),
        )
        runtime.write()
        system = System(Options(state / "config.yml", state, base), runtime, specs(base), console)
        with stop_signals(system.supervisor):
            await system.run()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), int(sys.argv[2])))
