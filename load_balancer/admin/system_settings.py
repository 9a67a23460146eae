"""Where the balancer of a running system has its settings from: config.yml, and what was changed since it was read.

S1  What an operator changed outlives the process: a restart, or kill -9, begins with it. A new start of the system does
    not: whoever starts it removes the file (settings.runtime.BALANCER_FILE).
S2  A file of settings that is wrong is refused as a whole, with the line and the key of each mistake.
S3  A record that cannot be used (another version of this program wrote it) is not used, and the log says so.
"""

import dataclasses
import json
import logging
from collections.abc import Sequence
from typing import Any

from load_balancer.admin.forms import document_of, read_server
from load_balancer.admin.orders import Difference, carried_out, difference, plan, with_live
from load_balancer.options import Options, ServerAddress, from_settings
from settings import Runtime, Settings, SettingsError, load
from settings.model import LoadBalancer
from settings.runtime import BALANCER_FILE
from settings.secrets import write_owner_only

log = logging.getLogger(__name__)


class RefusedError(Exception):
    """The settings were not taken; the message says why, a line for each mistake."""


@dataclasses.dataclass(frozen=True)
class Reading:
    """Two settings, what holds before and what would hold with the file of now, and which keys of the file differ."""

    settings: Settings
    before: Options
    after: Options
    keys: Difference


class SystemSettings:
    """``options``: what the process is to begin with, what was changed by hand before included."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._file = runtime.state / BALANCER_FILE
        self._settings = runtime.settings
        self.options = self._options(self._settings)
        self._go_on()

    def catch_up(self) -> Options:
        """What is to hold now, where the life before took orders while this one started."""
        self._go_on()
        return self.options

    def read_again(self) -> Reading:
        """Takes some ten milliseconds, so in a thread; raises RefusedError."""
        runtime = self._runtime
        if runtime.config is None:
            raise RefusedError("this balancer does not know which file its settings came from")
        try:
            wanted = load(runtime.config, overrides=runtime.overrides)
        except SettingsError as error:
            raise RefusedError(str(error)) from error
        try:
            settings = with_live(self._settings, wanted)
        except ValueError as error:
            raise RefusedError(f"{runtime.config}: {error}") from error
        keys = difference(self._settings, wanted)
        return Reading(settings, self._options(self._settings), self._options(settings), keys)

    def took(self, reading: Reading) -> None:
        self._settings = reading.settings

    def keep(self, servers: Sequence[ServerAddress]) -> None:
        """S1; raises OSError."""
        write_owner_only(
            self._file,
            {
                "revision": self._runtime.balancer_revision,
                "load_balancer": self._settings.load_balancer.model_dump(mode="json"),
                "servers": {server.name: document_of(server) for server in servers},
            },
        )

    def _options(self, settings: Settings) -> Options:
        return from_settings(
            settings, self._runtime.addresses, self._runtime.state, self._runtime.secrets.control_token
        )

    def _go_on(self) -> None:
        """S1, S3."""
        try:
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            self._take_over(kept)
        except FileNotFoundError:
            return
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            log.warning("what was changed by hand is not taken over, %s cannot be used: %s", self._file, error)

    def _take_over(self, kept: dict[str, Any]) -> None:
        """The file's newer words, over what was changed by hand before. A restart by command brings newer ones."""
        running = self._runtime.settings
        section = LoadBalancer.model_validate(kept["load_balancer"])
        before = running.with_load_balancer_of(running.model_copy(update={"load_balancer": section}))
        settings = before if kept["revision"] == self._runtime.balancer_revision else running
        servers = {name: read_server(name, document)[0] for name, document in kept["servers"].items()}
        options = self._options(settings)
        orders = plan(self._options(before), options, servers).orders
        self._settings = settings
        self.options = dataclasses.replace(options, servers=tuple(carried_out(orders, servers).values()))
