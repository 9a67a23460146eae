"""A PostgreSQL of the benchmark's own: the product's programs and settings, but for the time of the filling."""

import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from supervisor import postgres
from supervisor.spawn import start_child

CONNECTIONS_MAX = 20
START_SECONDS_MAX = 60.0
FILLING = (
    "fsync=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=16GB",
    "checkpoint_timeout=1h",
    "autovacuum=off",
)
"""Nothing that is lost in a crash of the filling is worth keeping; the data files are the same afterwards."""


@dataclass(frozen=True)
class Server:
    cluster: postgres.Cluster
    port: int
    password: str

    def url(self, database: str) -> str:
        return self.cluster.url(self.port, self.password, database)

    def make_database(self, name: str) -> str:
        """An empty one; its URL."""
        url = self.cluster.superuser_url(self.port, self.password).replace("+psycopg", "")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} OWNER {postgres.ROLE}".encode())
        return self.url(name)

    @contextmanager
    def running(self, state: Path, *options: str) -> Iterator[psutil.Process]:
        """``options`` beside the product's; ended by a shutdown that writes everything."""
        more = [word for option in options for word in ("-c", option)]
        with (state / "postgres.log").open("ab") as log:
            argv = [*self.cluster.argv(self.port, CONNECTIONS_MAX), *more]
            process = start_child(argv, output=log, account=self.cluster.account, folder=state)
            try:
                self._wait_until_it_answers(process)
                yield psutil.Process(process.pid)
            finally:
                self.cluster.end_leftovers()
                process.wait(START_SECONDS_MAX)

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        url = self.cluster.superuser_url(self.port, self.password).replace("+psycopg", "")
        while True:
            try:
                psycopg.connect(url, connect_timeout=2).close()
            except psycopg.OperationalError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    message = f"PostgreSQL did not start: {error}"
                    raise RuntimeError(message) from error
                time.sleep(0.05)
            else:
                return


def make_server(state: Path, port: int) -> Server:
    password = uuid.uuid4().hex
    cluster = postgres.locate(state, uuid.uuid4().hex)
    cluster.initialise(password)
    return Server(cluster, port, password)
