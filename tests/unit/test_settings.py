"""Every mistake in the settings is told at once, with its place and the nearest valid key (P7)."""

from pathlib import Path

import pytest

from settings import Runtime, Secrets, SettingsError, load
from settings.addresses import HIGHEST_OFFSET, Addresses
from settings.model import Settings
from settings.runtime import manufacturer_codes

ROOT = Path(__file__).parents[2]


def problems(
    text: str | bytes, tmp_path: Path, environment: dict[str, str] | None = None, *overrides: str
) -> list[str]:
    path = tmp_path / "config.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SettingsError) as caught:
        load(path, environment or {}, overrides)
    return [str(problem).replace(f"{path}", "config.yml") for problem in caught.value.problems]


@pytest.mark.parametrize("value", ["!!bool maybe", "!!int ''", "!!timestamp soon", "!!float x", "[" * 5_000])
def test_a_value_that_yaml_itself_cannot_make_is_a_mistake_too(tmp_path: Path, value: str) -> None:
    """P7: the parser raises more than its own errors."""
    assert problems(f"customers:\n  threads: {value}\n", tmp_path)
    (problem,) = problems("", tmp_path, None, f"customers.threads={value}")
    assert problem.startswith("--set: customers.threads: ")


def test_an_endless_file_is_not_read_to_its_end() -> None:
    with pytest.raises(SettingsError, match="is larger than"):
        load(Path("/dev/zero"), {})


def test_the_shipped_config_names_every_key_and_its_default() -> None:
    import yaml

    shipped = yaml.safe_load((ROOT / "config.yml").read_text())
    assert shipped == Settings().model_dump()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "simulation:\n  month_secnds: 5\n",
            "config.yml:2: simulation.month_secnds: unknown key; did you mean simulation.month_seconds?",
        ),
        ("simulaton:\n  seed: 5\n", "config.yml:1: simulaton: unknown key; did you mean simulation?"),
        ("simulation:\n  seed: 1\n  seed: 2\n", "config.yml:3: simulation.seed: duplicate key, first on line 2"),
        (
            'customers:\n  instances: "3"\n',
            "config.yml:2: customers.instances: input should be a valid integer (given: '3')",
        ),
        (
            "customers:\n  instances: yes\n",
            "config.yml:2: customers.instances: input should be a valid integer (given: True)",
        ),
        (
            "customers:\n  instances: 0\n",
            "config.yml:2: customers.instances: input should be greater than or equal to 1 (given: 0)",
        ),
        (
            "customers:\n  instances: 1000\n",
            "config.yml:2: customers.instances: input should be less than or equal to 16 (given: 1000)",
        ),
        (
            "load_balancer:\n  engine: nginx\n",
            "config.yml:2: load_balancer.engine: input should be 'builtin' or 'haproxy' (given: 'nginx')",
        ),
        (
            "load_balancer:\n  default_server:\n    maxconn: 2\n    weigth: 3\n",
            (
                "config.yml:4: load_balancer.default_server.weigth: unknown key; "
                "did you mean load_balancer.default_server.weight?"
            ),
        ),
        (
            "load_balancer:\n  servers:\n    web-2: {weight: 257}\n",
            "config.yml:3: load_balancer.servers.web-2.weight: input should be less than or equal to 256 (given: 257)",
        ),
        ("simulation: 5\n", "config.yml:1: simulation: expected sections with keys"),
        ("simulation:\n  seed: [1\n", "config.yml:3: is not valid YAML: expected ',' or ']', but got '<stream end>'"),
        ("- 1\n", "config.yml:1: expected sections with keys"),
        (b"simulation:\n  seed: \xff\n", "config.yml:2: is not UTF-8"),
        (
            "simulation:\n\tseed: 1\n",
            "config.yml:2: is not valid YAML: found character '\\t' that cannot start any token",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str | bytes, expected: str, tmp_path: Path) -> None:
    assert problems(text, tmp_path)[0] == expected


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    found = problems(
        "simulation:\n  seed: -1\n  month: 3\n",
        tmp_path,
        {"CDS_CART__LINES_MAX": "none", "PATH": "x"},
        "broker.ulr=postgres",
        "nonsense",
    )
    assert len(found) == 5
    assert any(problem.startswith("CDS_CART__LINES_MAX: cart.lines_max:") for problem in found)
    assert "--set: broker.ulr: unknown key; did you mean broker.url?" in found
    assert "--set: nonsense: expected a.b=value" in found


@pytest.mark.parametrize(
    ("overrides", "fragment"),
    [
        (["database.lock_timeout_ms=9000"], "lock_timeout_ms < statement_timeout_ms"),
        (["load_balancer.connect_timeout_ms=20000"], "connect_timeout_ms must not be greater"),
        (["load_balancer.server_timeout_ms=5000"], "must be greater than database.statement_timeout_ms"),
        (["customers.instances=16", "customers.threads=64"], "database.connections_max is 120, but the processes need"),
        (["load_balancer.servers={web-9: {weight: 2}}"], "no server 'web-9'; the servers are web-1, web-2"),
        (["load_balancer.servers={web-1: {maxqueue: 2}}"], "load_balancer.servers.web-1: maxqueue needs maxconn"),
        (["load_balancer.default_server.maxqueue=2"], "load_balancer.default_server: maxqueue needs maxconn"),
        (["load_balancer.cookie=a b"], "load_balancer.cookie"),
        (["simulation.month_seconds=5"], "month_seconds_min must not be greater"),
        (["manufacturers.count=300", "database.connections_max=2000"], "more than 100 manufacturer processes"),
    ],
)
def test_impossible_combinations_are_refused(overrides: list[str], fragment: str, tmp_path: Path) -> None:
    assert any(fragment in problem for problem in problems("", tmp_path, {}, *overrides))


def test_precedence_is_default_file_environment_command_line(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text("simulation:\n  seed: 2\n  months_max: 2\ncart:\n  lines_max: 2\n")
    environment = {"CDS_SIMULATION__MONTHS_MAX": "3", "CDS_CART__LINES_MAX": "3"}
    settings = load(path, environment, ["cart.lines_max=4"])
    assert (settings.simulation.seed, settings.simulation.months_max, settings.cart.lines_max) == (2, 3, 4)
    assert settings.customers == Settings().customers


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load(tmp_path / "absent.yml", {})


def test_no_two_processes_share_a_port() -> None:
    addresses = Addresses(8000)
    ports = [
        addresses.shop,
        addresses.load_balancer_admin,
        addresses.observatory,
        addresses.postgres,
        addresses.traffic,
    ]
    ports += [addresses.rabbitmq, addresses.epmd, addresses.erlang_distribution]
    ports += [addresses.web(number) for number in range(1, 17)]
    ports += [addresses.manufacturer_process(number) for number in range(1, 101)]
    ports += [addresses.distributor(number) for number in range(1, 9)]
    assert len(set(ports)) == len(ports)
    assert max(ports) == 8000 + HIGHEST_OFFSET


def test_secrets_are_made_once_kept_owner_only_and_grow_with_the_manufacturers(tmp_path: Path) -> None:
    """S1, S2."""
    first = Secrets.read_or_make(tmp_path, ["m1"])
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    second = Secrets.read_or_make(tmp_path, ["m1", "m2"])
    assert second.session_key == first.session_key
    assert second.manufacturer_keys["m1"] == first.manufacturer_keys["m1"]
    assert set(second.manufacturer_keys) == {"m1", "m2"}
    (tmp_path / "secrets.json").chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        Secrets.read(tmp_path)


def test_a_damaged_secrets_file_is_told_not_replaced(tmp_path: Path) -> None:
    Secrets.read_or_make(tmp_path, ["m1"])
    (tmp_path / "secrets.json").write_text("{")
    with pytest.raises(SettingsError, match="damaged"):
        Secrets.read_or_make(tmp_path, ["m1"])


def test_children_read_what_the_supervisor_wrote(tmp_path: Path) -> None:
    settings = load(ROOT / "config.yml", {}, ["manufacturers.count=5", "manufacturers.manufacturers_per_process=2"])
    secrets = Secrets.read_or_make(tmp_path, manufacturer_codes(settings))
    written = Runtime(tmp_path, settings, Addresses(9000), "postgresql+psycopg://x", "postgres", False, secrets)
    written.write()
    assert Runtime.read(tmp_path) == written
    assert written.manufacturers_of_process(3) == ["m5"]
    assert written.manufacturer_url("m4") == "http://127.0.0.1:9302"
    assert (tmp_path / "runtime.json").stat().st_mode & 0o777 == 0o600


def test_a_state_folder_without_a_system_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no system was started"):
        Runtime.read(tmp_path)


def test_a_strategys_own_file_counts_from_where_it_was_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes and runs work in folders of their own; names and dotted paths are nobody's files."""
    config, here = tmp_path / "course" / "config.yml", tmp_path / "home"
    for folder in (config.parent, here):
        folder.mkdir()
    config.write_text("distributor:\n  strategy: mine.py\n")
    monkeypatch.chdir(here)
    assert load(config, {}).distributor.strategy == str(tmp_path / "course" / "mine.py")
    assert load(config, {}, ["distributor.strategy=sub/mine.py"]).distributor.strategy == str(here / "sub" / "mine.py")
    assert load(config, {"CDS_DISTRIBUTOR__STRATEGY": "/a.py"}).distributor.strategy == "/a.py"
    for name in ("row_lock", "course.mine.Mine"):
        assert load(config, {}, [f"distributor.strategy={name}"]).distributor.strategy == name
