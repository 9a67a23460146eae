"""Hidden paths stay hidden however they are written; addresses are read strictly."""

import pytest

from load_balancer.balancing.members import Observe, OnError, ServerOptions
from load_balancer.http1.targets import is_hidden
from load_balancer.options import Address, OptionsError, read_address
from load_balancer.server_lines import read_servers


@pytest.mark.parametrize(
    "target",
    [
        b"/metrics", b"/metrics?x", b"/metrics/", b"/METRICS", b"/Metrics", b"//metrics", b"/./metrics", b"/x/../metrics",
        b"/%6detrics", b"/%6Detrics", b"/%4Detrics", b"/%2e/metrics", b"/%2e%2e/metrics", b"/x/%2e%2e/metrics",
        b"/x%2f..%2fmetrics", b"/%2fmetrics", b"/metrics%2f", b"/metrics%3fx", b"/metrics;a=b", b"/;a/metrics",
        b"/x/..;/metrics", b"/\\metrics", b"/%5cmetrics", b"/%256detrics", b"/%25256detrics", b"/metrics%00", b"/metrics%20",
        b"/%ef%bd%8detrics", b"/metri%63s", b"/readyz", b"/READYZ/", b"/internal", b"/internal/", b"/internal/months/close",
        b"/Internal/x", b"/internal//x", b"/internal/../public", b"/public/../internal/x", b"/../internal/x",
        b"/i%6eternal/x", b"/%69%6e%74%65%72%6e%61%6c/x", b"/internal%2fmonths", b"/%2525252525252e/x",
    ],
)  # fmt: skip
def test_hidden_paths_are_hidden_in_every_writing(target: bytes) -> None:
    assert is_hidden(target)


@pytest.mark.parametrize(
    "target",
    [
        b"/", b"/metrics2", b"/metrics-page", b"/api/v1/metrics", b"/products?q=/metrics", b"/x/internal", b"/internally",
        b"/readyz.html", b"/products/caf%C3%A9", b"/a//b", b"/a/../b", b"/%2e", b"/100%25", b"/?next=/internal/x", b"/%zz",
        b"/search?q=a%252fb",
    ],
)  # fmt: skip
def test_other_paths_are_not(target: bytes) -> None:
    assert not is_hidden(target)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8000", Address("127.0.0.1", 8000)),
        ("localhost:1", Address("localhost", 1)),
        ("[::1]:65535", Address("::1", 65535)),
        ("web_1.example:80", Address("web_1.example", 80)),
    ],
)
def test_addresses_are_read(text: str, address: Address) -> None:
    assert read_address(text, "--listen") == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "8000", ":8000", "host", "host:", "host:0", "host:65536", "host:\uff18\uff10", "host:+80", "host:8_0", "::1:80",
        "[::1]", "[::1]:", "[127.0.0.1]:80", "[::g]:80", "1.2.3:80", "256.0.0.1:80", "a b:80", "a/b:80", "-a:80",
        "a" * 64 + ":80", "http://a:80",
    ],
)  # fmt: skip
def test_bad_addresses_are_named(text: str) -> None:
    with pytest.raises(OptionsError, match="--listen"):
        read_address(text, "--listen")


@pytest.mark.parametrize(
    ("texts", "complaint"),
    [
        ([], "at least one"),
        (["a"], "NAME=HOST:PORT"),
        (["=127.0.0.1:1"], "NAME=HOST:PORT"),
        (["a b=127.0.0.1:1"], "NAME=HOST:PORT"),
        (["a=127.0.0.1:1", "a=127.0.0.1:2"], "given twice"),
        (["a=127.0.0.1"], "--server a"),
        (["a=127.0.0.1:1 weigth 3"], "--server a: 'weigth' is not known; known words: weight, maxconn"),
        (["a=127.0.0.1:1 weight"], "--server a: weight needs a value"),
        (["a=127.0.0.1:1 weight 257"], "--server a: weight: '257' is not a number from 0 to 256"),
        (["a=127.0.0.1:1 maxconn \uff13"], "--server a: maxconn: "),
        (["a=127.0.0.1:1 slowstart 2h"], "--server a: slowstart: '2h' is not a time up to an hour"),
        (["a=127.0.0.1:1 observe layer5"], "--server a: observe: 'layer5' is not one of none, layer4, layer7"),
        (["a=127.0.0.1:1 maxqueue 5"], "--server a: maxqueue needs maxconn"),
        (["a=127.0.0.1:1 observe layer7 no-check"], "--server a: observe needs checks"),
        (["a=127.0.0.1:1 cookie a;b"], "--server a: cookie: "),
        (["a=127.0.0.1:1 cookie b", "b=127.0.0.1:2"], "two servers have the same cookie"),
    ],
)
def test_bad_servers_are_named(texts: list[str], complaint: str) -> None:
    with pytest.raises(OptionsError, match=complaint):
        read_servers(texts)


def test_words_behind_a_server_are_haproxys() -> None:
    (server,) = read_servers(
        [
            (
                "a=[::1]:80 weight 0 maxconn 20  maxqueue 50 slowstart 500ms backup cookie A "
                "observe layer7 error-limit 5 on-error mark-down"
            )
        ]
    )
    assert server.address == Address("::1", 80)
    assert server.options == ServerOptions(
        weight=0, maxconn=20, maxqueue=50, slowstart_seconds=0.5, backup=True, cookie="A", observe=Observe.LAYER7,
        error_limit=5, on_error=OnError.MARK_DOWN,
    )  # fmt: skip
    assert [read_servers([f"a=h:1 slowstart {text}"])[0].options.slowstart_seconds for text in ("20", "3s", "1m")] == [
        0.02,
        3.0,
        60.0,
    ]
