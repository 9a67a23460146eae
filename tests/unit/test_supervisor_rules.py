"""The supervisor's decisions without processes: order, restarts, users of the broker, what the environment lacks."""

import base64
import hashlib
import itertools
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import make_url

from broker.rabbitmq import Names
from settings import Runtime, Secrets, Settings, SettingsError
from settings.addresses import HIGHEST_OFFSET, Addresses
from supervisor import environment, postgres, rabbitmq, system
from supervisor.errors import StartError
from supervisor.logs import BYTES_MAX, LogFile
from supervisor.resolution import external_database, refuse_missing_engine, refuse_unusable_urls
from supervisor.restart import Again, Death, GiveUp, Policy, deaths_in_a_row, decide
from supervisor.spec import TRANSITIONS, Spec, State, layers
from tests.conftest import ROOT


async def _never() -> bool:
    return False


def spec(name: str, *depends_on: str) -> Spec:
    return Spec(name=name, kind="test", argv=("true",), probe=_never, depends_on=depends_on)


def names(found: list[list[Spec]]) -> list[list[str]]:
    return [[one.name for one in layer] for layer in found]


def test_independent_processes_share_a_layer() -> None:
    """O1."""
    system = [spec("lb", "web-1", "web-2"), spec("web-1", "db"), spec("web-2", "db"), spec("db"), spec("maker", "db")]
    assert names(layers(system)) == [["db"], ["web-1", "web-2", "maker"], ["lb"]]


@given(st.permutations([("a", ()), ("b", ("a",)), ("c", ("a",)), ("d", ("b", "c")), ("e", ())]))
def test_no_process_stands_before_what_it_depends_on(given_order: list[tuple[str, tuple[str, ...]]]) -> None:
    """O1, whatever the order in which they are listed."""
    found = names(layers([spec(name, *depends_on) for name, depends_on in given_order]))
    flat = list(itertools.chain.from_iterable(found))
    assert sorted(flat) == ["a", "b", "c", "d", "e"]
    for name, depends_on in given_order:
        assert all(flat.index(other) < flat.index(name) for other in depends_on)


def test_a_circle_and_a_missing_dependency_are_mistakes() -> None:
    with pytest.raises(ValueError, match="in a circle: a, b"):
        layers([spec("a", "b"), spec("b", "a")])
    with pytest.raises(ValueError, match="a depends on c, which nobody runs"):
        layers([spec("a", "c")])


def test_a_balancer_that_is_not_installed_is_told_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    wished = Settings.model_validate({"load_balancer": {"engine": "haproxy"}})
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    refuse_missing_engine(Settings())
    with pytest.raises(StartError, match="haproxy is not installed") as refused:
        refuse_missing_engine(wished)
    assert "apt install haproxy" in refused.value.fix


def test_every_process_of_a_system_is_watched(tmp_path: Path) -> None:
    """D1 of liveness.py: whoever adds one must say how it is asked for a sign of life."""
    runtime = Runtime(
        state=tmp_path,
        settings=Settings(),
        addresses=Addresses(),
        database_url="postgresql+psycopg://u@h/d",
        broker_url="amqp://h",
        broker_is_ours=True,
        secrets=Secrets.read_or_make(tmp_path, []),
    )
    cluster = postgres.locate(tmp_path, runtime.secrets.installation_id)
    node = rabbitmq.Node(rabbitmq.Installation(tmp_path, tmp_path), tmp_path, 1, 2, "cds-test@localhost")
    assert [one.name for one in system.specs(runtime, cluster, node) if one.alive is None] == []


def test_every_state_can_end_stopped() -> None:
    """C2: whatever a process is doing, there is a way to the end."""
    reachable = {State.STOPPED}
    for _ in State:
        reachable |= {state for state, after in TRANSITIONS.items() if after & reachable}
    assert reachable == set(State)


def test_pauses_double_up_to_the_longest() -> None:
    """R1."""
    policy = Policy(200, 5_000)
    pauses = [decide(Death(-9, row, starting=False), policy) for row in range(1, 8)]
    assert pauses == [Again(seconds) for seconds in (0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0)]


@given(st.integers(1, 100_000), st.integers(1, 5_000), st.integers(1, 60_000))
def test_a_pause_is_bounded_however_often_it_dies(in_a_row: int, first_ms: int, longest_ms: int) -> None:
    """R1."""
    step = decide(Death(1, in_a_row, starting=False), Policy(first_ms, longest_ms))
    assert isinstance(step, Again)
    assert 0 < step.after_seconds <= longest_ms / 1_000


def test_a_stable_life_resets_the_row() -> None:
    """R1."""
    assert deaths_in_a_row(5, ready_seconds=3.0) == 6
    assert deaths_in_a_row(5, ready_seconds=60.0) == 1


@pytest.mark.parametrize(
    ("exit_code", "in_a_row", "starting", "gives_up"),
    [
        (64, 1, True, True),
        (70, 1, True, True),
        (1, 2, True, False),
        (-9, 3, True, True),
        (64, 1, False, True),
        (70, 1, False, False),
        (1, 50, False, False),
        (0, 1, False, False),
    ],
)
def test_what_ends_the_restarts(exit_code: int, in_a_row: int, *, starting: bool, gives_up: bool) -> None:
    """R2, R3."""
    step = decide(Death(exit_code, in_a_row, starting), Policy())
    assert isinstance(step, GiveUp) is gives_up


def test_the_broker_has_one_user_per_company_and_no_guest() -> None:
    """N3."""
    made = rabbitmq.definitions({"admin": "a", "relay": "r", "m1": "x", "m2": "y", "m3": "z"}, ["m1", "m2"], "a1b2")
    users = made["users"]
    assert isinstance(users, list)
    assert [user["name"] for user in users] == ["admin", "relay", "m1", "m2"]
    rights = made["permissions"]
    assert isinstance(rights, list)
    by_user = {right["user"]: right for right in rights}
    assert not re.match(by_user["relay"]["write"], "amq.default")
    names, others = Names("a1b2"), Names("a1b")
    assert re.match(by_user["relay"]["write"], names.events)
    assert re.match(by_user["m1"]["read"], names.queue_of("m1"))
    assert re.match(by_user["m1"]["write"], names.dead_of("m1"))
    for what in (names.queue_of("m11"), names.dead_of("m1"), others.queue_of("m1")):
        assert not re.match(by_user["m1"]["read"], what)


def test_the_broker_stores_hashes_that_rabbitmq_understands() -> None:
    raw = base64.b64decode(rabbitmq.password_hash("m1", "secret"))
    assert raw[4:] == hashlib.sha256(raw[:4] + b"secret").digest()


def test_unusable_urls_are_named_with_what_is_expected() -> None:
    """P7: both at once."""
    settings = Settings.model_validate({"database": {"url": "mysql://x"}, "broker": {"url": "kafka://x"}})
    with pytest.raises(SettingsError) as caught:
        refuse_unusable_urls(settings)
    assert [problem.key for problem in caught.value.problems] == ["database.url", "broker.url"]


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("database", "url", "postgresql://u@db:port/x"),
        ("database", "url", "postgresql://u@[db/x"),
        ("database", "url", "postgresql://u@db:70000/x"),
        ("broker", "url", "amqp://u@rabbit:99999/"),
        ("broker", "rabbitmq_address", "rabbit:port"),
        ("broker", "rabbitmq_address", "amqp://[rabbit"),
    ],
)
def test_an_address_that_cannot_be_read_is_named_and_not_repeated(section: str, key: str, value: str) -> None:
    """P7; an address may hold a password, so it is not shown."""
    with pytest.raises(SettingsError) as caught:
        refuse_unusable_urls(Settings.model_validate({section: {key: value}}))
    assert [problem.key for problem in caught.value.problems] == [f"{section}.{key}"]
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("postgresql://u:p@[::1]:5433/x", "::1"),
        ("postgresql://u:a#b/c?d@db/x", "db"),
        ("postgresql://u@server:p@db:5432/x", "db"),
        ("postgresql:///x?host=/run/postgresql", None),
    ],
)
def test_a_usable_url_is_let_through(url: str, host: str | None) -> None:
    settings = Settings.model_validate(
        {"database": {"url": url}, "broker": {"url": "amqp://u:p@h:5672/v", "rabbitmq_address": "127.0.0.1:5672"}}
    )
    refuse_unusable_urls(settings)
    used = external_database(settings)
    assert used is not None
    assert make_url(used).host == host


def test_a_plain_postgresql_url_is_taken_too() -> None:
    settings = Settings.model_validate({"database": {"url": "postgresql://u:p@db/x"}})
    assert external_database(settings) == "postgresql+psycopg://u:p@db/x"
    assert external_database(Settings()) is None


def test_this_environment_lacks_nothing() -> None:
    assert environment.lacking(ROOT / "pyproject.toml", for_tests=True) == []


def test_a_missing_and_an_old_package_are_lacking(tmp_path: Path) -> None:
    """E1."""
    pyproject = tmp_path / "pyproject.toml"
    pyproject.write_text(
        '[project]\ndependencies = ["flask>=999", "no-such-package", "psycopg[binary]>=3", "pyyaml"]\n'
        "[project.optional-dependencies]\ntest = [\"neither-this>=1; sys_platform != 'win32'\"]\n"
    )
    assert environment.lacking(pyproject, for_tests=False) == ["flask>=999", "no-such-package"]
    assert len(environment.lacking(pyproject, for_tests=True)) == 3


def test_a_log_is_bounded_and_keeps_the_last_words(tmp_path: Path) -> None:
    """L2."""
    log = LogFile(tmp_path / "logs" / "one.log")
    with log.open_for_child() as file:
        file.write(b"old\n" * (BYTES_MAX // 8))
        file.flush()
        log.bound()
        file.write(b"\xff last words\n")
        file.flush()
        assert log.last_lines() == ["\ufffd last words"]
    assert log.path.stat().st_size < 100
    assert (tmp_path / "logs" / "one.log.1").stat().st_size == BYTES_MAX // 2


def test_the_last_words_are_those_of_the_present_life(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "one.log")
    for words in (b"first life\n", b"second life\n"):
        with log.open_for_child() as file:
            file.write(words)
    assert log.last_lines() == ["second life"]


@pytest.mark.parametrize(
    ("given_words", "expected"),
    [
        (["up", "--state", "x", "--set=a.b=1"], ["--state", "x", "--set=a.b=1", "up"]),
        (["--port-base", "9000"], ["--port-base", "9000"]),
        (["status", "--json", "--state", "x"], ["--state", "x", "status", "--json"]),
        (["test", "-k", "x", "--state", "y"], ["test", "-k", "x", "--state", "y"]),
        (["check", "--", "--state"], ["check", "--", "--state"]),
    ],
)
def test_common_options_may_follow_the_command(given_words: list[str], expected: list[str]) -> None:
    from command_line.options import hoist_common_options

    assert hoist_common_options(given_words) == expected


def test_wrong_usage_ends_with_64(capsys: pytest.CaptureFixture[str]) -> None:
    """P7: 2 means *unknown* here, so the usual code of wrong usage must not be it."""
    from main import run

    for words in (["dance"], ["up", "--tango"], ["fault"], ["fault", "kill"], ["--port-base", "x"], ["up", "--state"]):
        assert run(words) == 64, words
    assert "error:" in capsys.readouterr().err


def test_the_set_up_is_known_by_the_hash_of_its_lock_file(tmp_path: Path) -> None:
    """E2, E4."""
    lock_file = tmp_path / "requirements.txt"
    lock_file.write_text("flask==3.1\n")
    folder = tmp_path / ".venv"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    stamp = folder / "cds-requirements.sha256"
    assert not environment.is_stamped(folder, lock_file)
    stamp.write_text(hashlib.sha256(lock_file.read_bytes()).hexdigest())
    assert environment.is_stamped(folder, lock_file)
    environment.marker(folder).touch()
    assert not environment.is_stamped(folder, lock_file)
    environment.marker(folder).unlink()
    lock_file.write_text("flask==3.2\n")
    assert not environment.is_stamped(folder, lock_file)


def test_the_highest_port_base_leaves_room_for_every_port() -> None:
    from command_line.options import PORT_BASE_MAX

    assert PORT_BASE_MAX + HIGHEST_OFFSET <= 65_535


def test_a_set_up_that_was_cut_off_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """E2: what lies there, a working interpreter even, is not trusted. E5: what is installed is compiled."""
    lock_file = tmp_path / "requirements.txt"
    lock_file.touch()
    folder = tmp_path / ".venv"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    half_installed = folder / "half-installed"
    half_installed.touch()
    environment.marker(folder).touch()
    asked: list[list[str]] = []

    def run(argv: list[str]) -> None:
        assert not half_installed.exists()
        asked.append(argv)

    monkeypatch.setattr(environment, "_run", run)
    monkeypatch.setattr(environment, "_working_uv", lambda: "uv")
    environment._fill(folder, lock_file)
    assert [argv[:3] for argv in asked] == [["uv", "venv", "--quiet"], ["uv", "pip", "install"]]
    assert "--compile-bytecode" in asked[1]
    assert not environment.marker(folder).exists()


@pytest.mark.parametrize("command", [["status"], ["stop"], ["fault", "kill", "web-1"], ["month", "close"], ["up"]])
def test_a_state_folder_that_leads_nowhere_is_no_fault_of_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    """P7: a symbolic link to itself, and a name beyond the file system's limit."""
    from main import run

    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for state in (tmp_path / "loop", tmp_path / ("x" * 300)):
        code = run([*command, "--state", str(state)])
        assert code in ((70,) if command == ["up"] else (0, 1, 64)), state
        said = capsys.readouterr()
        assert str(state) in said.out + said.err


@pytest.mark.parametrize(
    ("file", "code"), [("supervisor.lock", 70), ("secrets.json", 64), ("runtime.json", 70), ("logs/supervisor.log", 70)]
)
def test_a_file_of_the_state_folder_that_cannot_be_used_is_named(tmp_path: Path, file: str, code: int) -> None:
    """As after one start with sudo and the next without it; a folder in its place stops root as well."""
    state = tmp_path / "state"
    (state / "logs").mkdir(parents=True)
    (state / "supervisor.lock").touch()
    (state / file).unlink(missing_ok=True)
    (state / file).mkdir(mode=0o700)
    elsewhere = ["--set", "broker.url=postgres", "--set", "database.url=postgresql://nobody@127.0.0.1:1/none"]
    argv = [sys.executable, str(ROOT / "main.py"), "up", "--state", str(state), "--port-base", "21090", *elsewhere]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert str(state / file) in done.stderr


def test_a_damaged_runtime_file_is_a_mistake_of_the_state_folder(tmp_path: Path) -> None:
    Secrets.read_or_make(tmp_path, [])
    for text in ("", "{", "[]", "{}", '{"settings": {"months": 1}}', "\xff"):
        (tmp_path / "runtime.json").write_text(text, encoding="latin-1")
        with pytest.raises(SettingsError, match="damaged"):
            Runtime.read(tmp_path)
