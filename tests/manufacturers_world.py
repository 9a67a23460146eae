"""What the tests of manufacturers share: signed requests, a state folder, a process of their own, a look at its ledger."""

import hashlib
import hmac
import http.client
import json
import secrets
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from settings import Runtime, Secrets, Settings
from settings.addresses import Addresses
from settings.runtime import manufacturer_codes

ROOT = Path(__file__).resolve().parent.parent
NOBODY_THERE = "postgresql+psycopg://nobody:none@127.0.0.1:1/none"

# L1, in SQL of the tests' own
CONSERVATION = """
SELECT sku, produced, in_stock, returned,
    (SELECT coalesce(sum(quantity), 0) FROM offer_line AS line JOIN offer USING (month)
     WHERE line.sku = product.sku AND state IN ('offered', 'accepted')) AS out
FROM product WHERE produced <> in_stock + out - returned
"""


def sign(key: str, code: str, method: str, target: str, body: bytes = b"", **changed: str) -> dict[str, str]:
    """The headers of a signed request, written from the agreement alone; ``changed`` replaces the signed values."""
    timestamp = changed.get("timestamp", str(int(time.time())))
    nonce = changed.get("nonce", secrets.token_urlsafe(16))
    text = "\n".join([timestamp, nonce, method, target, hashlib.sha256(body).hexdigest()])
    signature = hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
    return {"X-Manufacturer": code, "X-Timestamp": timestamp, "X-Nonce": nonce, "X-Signature": signature}


def make_runtime(
    state: Path, port: int, database_url: str = NOBODY_THERE, *, broker_url: str = "postgres", **sections: Any
) -> Runtime:
    """A state folder as the supervisor makes it; ``port``: of manufacturer process 1. RabbitMQ counts as ours."""
    settings = Settings.model_validate(sections)
    addresses = Addresses(port - Addresses(0).manufacturer_process(1))
    keys = Secrets.read_or_make(state, manufacturer_codes(settings))
    ours = broker_url != "postgres"
    runtime = Runtime(state, settings, addresses, database_url, broker_url, broker_is_ours=ours, secrets=keys)
    runtime.write()
    return runtime


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: dict[str, str]

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Factory:
    """Manufacturer process 1 of a state folder."""

    runtime: Runtime
    name: str = "manufacturer-1"
    process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return self.runtime.addresses.manufacturer_process(1)

    @property
    def log(self) -> Path:
        return self.runtime.state / "test.log"

    def start(self) -> None:
        command = [sys.executable, "-m", "manufacturers", "--state", str(self.runtime.state), "--name", self.name]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stderr=log)

    def start_ready(self, wait_until: Callable[..., None]) -> None:
        self.start()
        wait_until(self.ready, 20, f"the manufacturer is ready; its log: {self.log}")

    def ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.request("GET", "/readyz").status == 200
        except OSError:
            return False

    def request(self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, target, body or None, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.read(), dict(response.getheaders()))
        finally:
            connection.close()

    def signed(self, method: str, target: str, body: bytes = b"", code: str = "m1") -> Answer:
        key = self.runtime.secrets.manufacturer_keys[code]
        return self.request(method, target, body, sign(key, code, method, target, body))

    def accept(self, month: int, offer: bytes, code: str = "m1") -> Answer:
        body = json.dumps({"content_sha256": hashlib.sha256(offer).hexdigest()}).encode()
        return self.signed("POST", f"/api/v1/offers/{month}/accept", body, code)

    def ledger(self, code: str = "m1") -> Path:
        return self.runtime.state / "manufacturers" / f"{code}.sqlite"

    def end(self, signal_number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(signal_number)
        return self.process.wait(60)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.end(signal.SIGKILL)


def rows(ledger: Path, statement: str) -> list[tuple[Any, ...]]:
    """Read the ledger as the checker does: from another process's point of view, read-only."""
    connection = sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def assert_conserved(ledger: Path) -> None:
    """L1 holds, and the file is sound."""
    assert rows(ledger, CONSERVATION) == []
    assert rows(ledger, "PRAGMA integrity_check") == [("ok",)]
