"""From two readings of the settings to orders, and from JSON to a server (O1, O2 of admin/orders.py; P7)."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from load_balancer.admin import commands, orders
from load_balancer.admin.forms import FormError, document_of, read_json, read_server, read_state, refuse_double_cookie
from load_balancer.admin.orders import (
    Configure,
    Difference,
    PutServer,
    RemoveServer,
    SetState,
    carried_out,
    difference,
    plan,
)
from load_balancer.admin.system_settings import SystemSettings
from load_balancer.balancing.members import Observe, ServerOptions
from load_balancer.balancing.servers import Admin
from load_balancer.options import Address, Options, OptionsError, ServerAddress, from_settings
from settings import Runtime, Secrets, Settings
from settings.addresses import Addresses
from settings.model import LoadBalancer
from settings.runtime import BALANCER_FILE


def settings(**sections: Any) -> Settings:
    return Settings.model_validate(sections)


def options(of: Settings) -> Options:
    return from_settings(of, Addresses(8000), Path("/state"))


def planned(before: Settings, after: Settings, *by_hand: ServerAddress, without: str = "") -> orders.Plan:
    current = {server.name: server for server in options(before).servers} | {server.name: server for server in by_hand}
    current.pop(without, None)
    return plan(options(before), options(after), current)


def test_keys_are_sorted_by_what_makes_them_hold() -> None:
    """O2."""
    after = settings(
        load_balancer={
            "check_inter_ms": 700,
            "access_log": "json",
            "servers": {"web-2": {"weight": 3}},
            "engine": "haproxy",
        },
        customers={"instances": 4, "simulated": 9},
    )
    assert difference(Settings(), after) == Difference(
        live=("load_balancer.check_inter_ms", "load_balancer.servers.web-2.weight"),
        balancer=("load_balancer.access_log",),
        system=("customers.instances", "load_balancer.engine"),
    )
    assert difference(after, after) == Difference()


def test_every_live_key_exists() -> None:
    assert set(LoadBalancer.model_fields) >= orders.LIVE


def test_what_needs_a_restart_is_not_taken() -> None:
    after = settings(load_balancer={"retries": 1, "access_log": "json"}, customers={"instances": 2})
    taken = orders.with_live(Settings(), after)
    assert (taken.load_balancer.retries, taken.load_balancer.access_log) == (1, "none")
    assert taken.customers == Settings().customers


def test_what_does_not_go_with_the_rest_is_refused() -> None:
    """The timeout of the file goes with the file's database, not with the one that runs."""
    after = settings(
        load_balancer={"server_timeout_ms": 5_000}, database={"statement_timeout_ms": 4_000, "lock_timeout_ms": 1}
    )
    with pytest.raises(ValueError, match=r"server_timeout_ms must be greater than database\.statement_timeout_ms"):
        orders.with_live(Settings(), after)


def test_nothing_changed_nothing_ordered() -> None:
    assert planned(Settings(), Settings()) == orders.Plan(())


def test_only_servers_that_changed_are_ordered() -> None:
    after = settings(load_balancer={"servers": {"web-2": {"weight": 3}}})
    (order,) = planned(Settings(), after).orders
    assert isinstance(order, PutServer)
    assert (order.server.name, order.server.options.weight) == ("web-2", 3)


def test_what_was_changed_by_hand_stays_unless_the_file_says_something_new_of_it() -> None:
    """O1."""
    by_hand = ServerAddress("web-2", Address("10.0.0.9", 80), ServerOptions(weight=50, maxconn=5), Admin.DRAIN)
    after = settings(load_balancer={"servers": {"web-2": {"weight": 3}}})
    (order,) = planned(Settings(), after, by_hand).orders
    assert order == PutServer(dataclasses.replace(by_hand, options=ServerOptions(weight=3, maxconn=5)))


def test_a_server_that_was_removed_by_hand_stays_away() -> None:
    after = settings(load_balancer={"servers": {"web-2": {"weight": 3}}})
    assert planned(Settings(), after, without="web-2") == orders.Plan((), ("web-2",))


def test_servers_come_and_go_with_the_file() -> None:
    two, three = settings(customers={"instances": 2}), settings(customers={"instances": 3})
    added = planned(two, three).orders
    assert added == (PutServer(options(three).servers[2]),)
    assert planned(three, two).orders == (RemoveServer("web-3"),)
    assert carried_out(added, {}).keys() == {"web-3"}
    assert carried_out((RemoveServer("web-3"),), {"web-3": options(three).servers[2]}) == {}


def test_times_and_rules_are_one_order() -> None:
    after = settings(load_balancer={"check_fall": 5, "keep_alive_timeout_ms": 1_000, "algorithm": "leastconn"})
    assert planned(Settings(), after).orders == (Configure(options(after)),)


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"weight": 257}, "weight: input should be less than or equal to 256"),
        ({"weight": "5"}, "weight: "),
        ({"weight": 1.5}, "weight: "),
        ({"wait": 5}, "wait: is not known; there are weight, "),
        ({"a\nb": 5}, "a field: is not known"),
        ({"address": "nowhere"}, "address: 'nowhere' is not HOST:PORT"),
        ({"address": 5}, "address: "),
        ({"maxqueue": 5}, "maxqueue needs maxconn"),
        ({"observe": "layer7", "check": False}, "observe needs check"),
        ({"observe": "layer8"}, "observe: "),
        ({"state": "up"}, "state: "),
        ({"cookie": "a b"}, "cookie: "),
        ({"weight": -1, "maxconn": -1}, "; maxconn: "),
    ],
)
def test_bad_words_are_named(document: dict[str, Any], complaint: str) -> None:
    before = ServerAddress("a", Address("127.0.0.1", 1))
    with pytest.raises((FormError, OptionsError)) as caught:
        read_server("a", document, before)
    assert complaint.lower() in str(caught.value).lower()
    assert "\n" not in str(caught.value)


def test_a_new_server_needs_an_address_and_a_name() -> None:
    with pytest.raises(FormError, match="address: a new server needs one"):
        read_server("a", {})
    with pytest.raises(FormError, match="name: "):
        read_server("a b", {"address": "127.0.0.1:1"})


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"[" * 4_000, b"5"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(FormError, match="body: expected a JSON object"):
        read_json(body)
    with pytest.raises(FormError, match="state: "):
        read_state({"state": []})


def test_a_patch_keeps_what_it_does_not_name() -> None:
    before = ServerAddress("a", Address("127.0.0.1", 1), ServerOptions(maxconn=5, cookie="x", observe=Observe.LAYER4))
    server, state = read_server("a", {"weight": 9}, before)
    assert (server.options, state) == (dataclasses.replace(before.options, weight=9), None)
    assert server.address == before.address


def test_a_server_written_and_read_is_the_same() -> None:
    server = ServerAddress(
        "a",
        Address("::1", 80),
        ServerOptions(3, 20, 5, 10.0, backup=True, cookie="c", observe=Observe.LAYER7),
        Admin.MAINT,
    )
    written = json.loads(json.dumps(document_of(server)))
    assert read_server("a", written)[0] == server


def test_two_servers_never_share_a_cookie() -> None:
    one, other = (ServerAddress(name, Address("127.0.0.1", 1)) for name in ("a", "b"))
    with pytest.raises(FormError, match="cookie: b has the same one"):
        refuse_double_cookie(dataclasses.replace(one, options=ServerOptions(cookie="b")), [one, other])


def test_orders_lead_from_any_servers_to_any_others() -> None:
    one, two, three = options(Settings()).servers
    drained = dataclasses.replace(two, state=Admin.DRAIN)
    heavier = dataclasses.replace(three, options=ServerOptions(weight=9))
    assert orders.towards([one, two], [one, two]) == ()
    assert orders.towards([one, drained, heavier], [one, two, three]) == (
        SetState("web-2", Admin.DRAIN),
        PutServer(heavier),
    )
    assert orders.towards([drained], [one]) == (PutServer(drained), RemoveServer("web-1"))


def runtime_of(state: Path, of: Settings) -> Runtime:
    secrets = Secrets.read_or_make(state, ["m1"])
    return Runtime(
        state, of, Addresses(8000), "postgresql+psycopg://", "postgres", broker_is_ours=False, secrets=secrets
    )


def test_a_successor_begins_with_what_was_ordered_before_and_meanwhile(tmp_path: Path) -> None:
    """S1, P3, O1: and with what a restart's newer settings say of other things."""
    first = SystemSettings(runtime_of(tmp_path, Settings()))
    one, two, three = first.options.servers
    first.keep([one, dataclasses.replace(two, options=ServerOptions(weight=50), state=Admin.MAINT)])
    newer = settings(load_balancer={"servers": {"web-2": {"maxconn": 7}}, "retries": 1})
    successor = SystemSettings(dataclasses.replace(runtime_of(tmp_path, newer), balancer_revision=1))
    expected = dataclasses.replace(two, options=ServerOptions(weight=50, maxconn=7), state=Admin.MAINT)
    assert successor.options.servers == (one, expected)
    assert successor.options.retry.retries == 1
    first.keep([one, two, three])
    assert successor.catch_up().servers == (one, dataclasses.replace(two, options=ServerOptions(maxconn=7)), three)


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"revision": 0, "load_balancer": {"retries": -1}, "servers": {}}'])
def test_a_record_that_cannot_be_used_is_not_used(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """S3."""
    (tmp_path / BALANCER_FILE).write_text(damage)
    assert SystemSettings(runtime_of(tmp_path, Settings())).options.servers == options(Settings()).servers
    assert "cannot be used" in caplog.text


def test_commands_say_what_they_cannot_do_with_another_engine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An honest error, and what can be done instead."""
    runtime_of(tmp_path, settings(load_balancer={"engine": "haproxy"})).write()
    for code in (
        commands.servers(tmp_path, as_json=False),
        commands.add(tmp_path, "web-9", "127.0.0.1:8209", []),
        commands.remove(tmp_path, "web-1", 1.0),
        commands.reload(tmp_path),
    ):
        assert code == 1
    said = capsys.readouterr().err.splitlines()
    assert all(line.startswith("error: engine haproxy: ") for line in said)
    expected = ("does not answer", "customers.instances", "state NAME maint", "balancer restart")
    assert all(what in line for what, line in zip(expected, said, strict=True))


def test_commands_without_a_system_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.servers(tmp_path, as_json=True) == 64
    assert "no system was started with this state folder" in capsys.readouterr().err
