"""Stand-ins for the tests of the supervisor. As a program: a child that answers /readyz and behaves as it is told.

``python supervisor_stand_in.py PORT [BEHAVIOUR]``: ready (default), deaf (ignores SIGTERM), dies (exit code 1 at once),
refuses (exit code 64), blocked (exit code 70), unready (answers 503), family (starts a child of its own), deadlocks (its
main thread waits for a lock that it holds, as soon as it is ready). After SIGUSR1 it is not ready any more.
"""

import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

EXIT_CODES = {"dies": 1, "refuses": 64, "blocked": 70}


def serve(port: int, behaviour: str) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            has_changed = changed_its_mind.is_set() and self.path == "/readyz"
            body = b'{"ready": false, "reason": "it has changed its mind"}' if has_changed else b""
            self.send_response(503 if behaviour == "unready" or has_changed else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    class Server(ThreadingHTTPServer):
        def service_actions(self) -> None:
            """Called by the main thread once half a second; /healthz is asked whether it is ready first."""
            if behaviour == "deadlocks" and asked:
                wait_for_itself()

    asked: list[str] = []
    changed_its_mind = threading.Event()
    server = Server(("127.0.0.1", port), Handler)
    if behaviour == "family":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        sys.stdout.write(f"child {child.pid}\n")

    def on_signal(*_: object) -> None:
        sys.stdout.write("draining\n")
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, signal.SIG_IGN if behaviour == "deaf" else on_signal)
    signal.signal(signal.SIGUSR1, lambda *_: changed_its_mind.set())
    sys.stdout.write("started\n")
    server.serve_forever()


def wait_for_itself() -> None:
    lock = threading.Lock()
    with lock, lock:
        raise AssertionError


if __name__ == "__main__":
    told = sys.argv[2] if len(sys.argv) > 2 else "ready"
    if told in EXIT_CODES:
        sys.exit(f"stand-in: {told}" if told == "dies" else EXIT_CODES[told])
    serve(int(sys.argv[1]), told)
