"""A private RabbitMQ node: an ordinary foreground child with folders, name, ports, users and cookie of its own.

N1  Only 127.0.0.1 listens, for AMQP and for Erlang's distribution; the cookie is in an owner-only file, never in argv.
N2  No epmd, neither ours nor the machine's: the VM starts its distribution itself on a fixed port (-erl_epmd_port), and
    RabbitMQ skips everything about epmd when it finds its distribution running.
N3  There is no guest. Users come from the secrets: admin declares, relay may only publish to the events' exchange, each
    manufacturer may only read its own queue and set messages of it aside, with the reason, by its own dead-letter
    exchange. Nobody but admin may write to the default exchange.
"""

import base64
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PLACES = "/usr/lib/rabbitmq/lib/rabbitmq_server-*"  # Debian and Ubuntu; elsewhere plugins/ lies beside sbin/
MEMORY_MIB_MAX = 384  # the node sits near 130 MiB when idle (measured); beyond this it blocks publishers
DISK_FREE_MIB_MIN = 100
WRITE_AHEAD_LOG_BYTES_MAX = 64_000_000  # kept in memory too; the default of 512 MB came to the limit above (measured)


@dataclass(frozen=True)
class Installation:
    """``home``: the folder with ``plugins/``; ``erl``: the Erlang launcher, which replaces itself by the VM."""

    home: Path
    erl: Path


def find_installation() -> Installation | None:
    """The RabbitMQ of this machine, without its wrapper script (that one changes the user and the folders)."""
    erl = shutil.which("erl")
    script = shutil.which("rabbitmq-server", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin")
    if erl is None or script is None:
        return None
    beside_script = Path(script).resolve().parent.parent
    packaged = sorted(Path("/").glob(PLACES.lstrip("/")), reverse=True)
    for home in (beside_script, *packaged):
        if any((home / "plugins").glob("rabbit-*")):
            return Installation(home, Path(erl))
    return None


@dataclass(frozen=True)
class Node:
    """One private node with everything it writes below ``folder``."""

    installation: Installation
    folder: Path
    port: int
    distribution_port: int
    name: str

    def argv(self) -> tuple[str, ...]:
        """The VM in the foreground. Two schedulers and small tables: it carries a classroom, not a bank."""
        kernel = {
            "inet_dist_use_interface": "{127,0,0,1}",
            "inet_dist_listen_min": str(self.distribution_port),
            "inet_dist_listen_max": str(self.distribution_port),
            "prevent_overlapping_partitions": "false",
        }
        return (
            *(str(self.installation.erl), "-noinput", "-sname", self.name),
            *("-start_epmd", "false", "-erl_epmd_port", str(self.distribution_port)),
            *("-boot", "start_sasl", "-s", "rabbit", "boot"),
            *("+W", "w", "+B", "i", "+S", "2:2", "+SDio", "4", "+P", "65536", "+Q", "8192"),
            # RabbitMQ's own defaults for the allocators; without busy waiting, for an idle node should cost nothing.
            *("+MBas", "ageffcbf", "+MHas", "ageffcbf", "+MBlmbcs", "512", "+MHlmbcs", "512", "+MMmcs", "30"),
            *("+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"),
            *(word for key, value in kernel.items() for word in ("-kernel", key, value)),
            *("-syslog", "logger", "[]", "-syslog", "syslog_error_logger", "false"),
        )

    def environment(self) -> dict[str, str]:
        folder = str(self.folder)
        plugins = str(self.installation.home / "plugins")
        return {
            "HOME": folder,  # where Erlang looks for the cookie
            "ERL_LIBS": plugins,
            "ERL_CRASH_DUMP_BYTES": "0",
            "RABBITMQ_HOME": str(self.installation.home),
            "RABBITMQ_PLUGINS_DIR": plugins,
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{folder}/advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
            "RABBITMQ_GENERATED_CONFIG_DIR": f"{folder}/generated",
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_LOGS": "-",
        }

    def prepare(
        self, cookie: str, passwords: Mapping[str, str], manufacturer_codes: Iterable[str], installation_id: str
    ) -> None:
        """Write the node's files. Users and permissions are imported at every start: new manufacturers get theirs."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_owner_only(self.folder / ".erlang.cookie", cookie)
        _write_owner_only(self.folder / "enabled_plugins", "[].\n")
        _write_owner_only(
            self.folder / "definitions.json", json.dumps(definitions(passwords, manufacturer_codes, installation_id))
        )
        lines = [
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            "log.console = true",
            "log.console.level = info",
            "log.file = false",
            f"vm_memory_high_watermark.absolute = {MEMORY_MIB_MAX}MiB",
            f"disk_free_limit.absolute = {DISK_FREE_MIB_MIN}MiB",
            f"raft.wal_max_size_bytes = {WRITE_AHEAD_LOG_BYTES_MAX}",
            # Relative to the node's folder, its working directory: an absolute path may hold what this format cannot.
            "load_definitions = definitions.json",
        ]
        _write_owner_only(self.folder / "rabbitmq.conf", "\n".join(lines) + "\n")


def node_name(installation_id: str) -> str:
    """Two systems on a machine never meet, whatever their cookies are."""
    return f"cds-{installation_id}@localhost"


def definitions(
    passwords: Mapping[str, str], manufacturer_codes: Iterable[str], installation_id: str
) -> dict[str, object]:
    """Virtual host, users and permissions (N3) in RabbitMQ's own format; the names are broker/rabbitmq/topology.py's."""
    ours = re.escape(f"cds.{installation_id}.")
    codes = [code for code in manufacturer_codes if code in passwords]
    rights = [
        _permission("admin", ".*", ".*", ".*"),
        _permission("relay", "^$", f"^{ours}events$", "^$"),
        *(_permission(c, "^$", f"^{ours}{re.escape(c)}\\.dead$", f"^{ours}{re.escape(c)}$") for c in codes),
    ]
    return {
        "vhosts": [{"name": "/"}],
        "users": [
            {
                "name": name,
                "password_hash": password_hash(name, passwords[name]),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": ["administrator"] if name == "admin" else [],
            }
            for name in ("admin", "relay", *codes)
        ],
        "permissions": rights,
    }


def password_hash(user: str, password: str) -> str:
    """RabbitMQ's salted SHA-256. The salt follows from the password, so that the file stays the same from start to
    start; that weakens nothing, for the passwords are 256 random bits, which no table of hashes can hold."""
    salt = hashlib.sha256(f"{user}:{password}".encode()).digest()[:4]
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _permission(user: str, configure: str, write: str, read: str) -> dict[str, str]:
    return {"user": user, "vhost": "/", "configure": configure, "write": write, "read": read}


def _write_owner_only(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
