"""A consumer in a process of its own, for tests that kill it. Prints ``begun <number>`` and ``done <number>``.

A message with ``deadly`` ends the process at once; one with ``hold`` keeps it busy until it is killed.
"""

import json
import os
import sys
import threading

from broker import Message
from tests.broker_world import make_carrier

DEATH = 9


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def handle(message: Message) -> None:
    number = message.body["number"]
    say(f"begun {number}")
    if message.body.get("deadly"):
        os._exit(DEATH)
    if message.body.get("hold"):
        threading.Event().wait()
    say(f"done {number}")


def main() -> None:
    description = json.loads(sys.argv[1])
    carrier = make_carrier(description["kind"], description["url"], description["settings"])
    carrier.consumer(description["recipients"]).run(handle, threading.Event())


if __name__ == "__main__":
    main()
