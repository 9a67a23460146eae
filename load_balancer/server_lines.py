"""A server as it is written on the command line: ``NAME=HOST:PORT`` and HAProxy's words behind it.

``web-1=127.0.0.1:8201 weight 3 maxconn 20 maxqueue 50 slowstart 10s``, ``spare=[::1]:8209 backup no-check``.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from load_balancer.balancing.members import WEIGHT_MAX, Observe, OnError, ServerOptions
from load_balancer.options import OptionsError, ServerAddress, read_address

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LIMIT_MAX: Final = 100_000
_SECONDS_MAX: Final = 3_600.0
_NUMBER: Final = re.compile(r"[0-9]{1,6}")
_TIME: Final = re.compile(r"([0-9]{1,7})(ms|s|m)?")
_SECONDS: Final = {None: 0.001, "ms": 0.001, "s": 1.0, "m": 60.0}
COOKIE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


def read_servers(texts: Sequence[str]) -> tuple[ServerAddress, ...]:
    """NAME=HOST:PORT each, with words behind it or not; raises OptionsError for a bad or repeated one, or if there is none."""
    servers: list[ServerAddress] = []
    for text in texts:
        name, equals, rest = text.partition("=")
        if not equals or not NAME.fullmatch(name):
            raise OptionsError(f"--server: {text!r} is not NAME=HOST:PORT, such as web-1=127.0.0.1:8201")
        if any(server.name == name for server in servers):
            raise OptionsError(f"--server: the name {name!r} is given twice")
        address, *words = rest.split(" ")
        what = f"--server {name}"
        servers.append(ServerAddress(name, read_address(address, what), read_words(list(filter(None, words)), what)))
    cookies = [server.options.cookie or server.name for server in servers]
    if len(set(cookies)) < len(cookies):
        raise OptionsError("--server: two servers have the same cookie")
    if not servers:
        raise OptionsError("--server: at least one server is needed, such as --server web-1=127.0.0.1:8201")
    return tuple(servers)


def read_words(words: Sequence[str], what: str) -> ServerOptions:
    """What stands behind an address; raises OptionsError naming ``what`` and the word that is wrong."""
    options = ServerOptions()
    rest = iter(words)
    for word in rest:
        if word in _FLAGS:
            field, value = _FLAGS[word]
        elif word in _VALUES:
            field, read = _VALUES[word]
            text = next(rest, None)
            if text is None:
                raise OptionsError(f"{what}: {word} needs a value")
            try:
                value = read(text)
            except ValueError as error:
                raise OptionsError(f"{what}: {word}: {text!r} is not {error}") from error
        else:
            raise OptionsError(f"{what}: {word!r} is not known; known words: {', '.join([*_VALUES, *_FLAGS])}")
        options = replace(options, **{field: value})
    if options.maxqueue and not options.maxconn:
        raise OptionsError(f"{what}: maxqueue needs maxconn: without it nothing ever waits")
    if options.observe is not Observe.NONE and not options.check:
        raise OptionsError(f"{what}: observe needs checks: nothing else would bring the server back")
    return options


def _number(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
            raise ValueError(f"a number from {least} to {most}")
        return int(text)

    return read


def _time(text: str) -> float:
    match = _TIME.fullmatch(text)
    seconds = -1.0 if match is None else int(match[1]) * _SECONDS[match[2]]
    if not 0 <= seconds <= _SECONDS_MAX:
        raise ValueError("a time up to an hour, such as 500, 500ms, 10s or 1m")
    return seconds


def _one_of(kind: type[Observe] | type[OnError]) -> Callable[[str], Observe | OnError]:
    def read(text: str) -> Observe | OnError:
        try:
            return kind(text)
        except ValueError:
            raise ValueError(f"one of {', '.join(member.value for member in kind)}") from None

    return read


def _cookie(text: str) -> str:
    if not COOKIE.fullmatch(text):
        raise ValueError("up to 64 letters, digits, dots, dashes or underscores")
    return text


_FLAGS: Final[dict[str, tuple[str, Any]]] = {"backup": ("backup", True), "no-check": ("check", False)}
_VALUES: Final[dict[str, tuple[str, Callable[[str], Any]]]] = {
    "weight": ("weight", _number(0, WEIGHT_MAX)),
    "maxconn": ("maxconn", _number(0, _LIMIT_MAX)),
    "maxqueue": ("maxqueue", _number(0, _LIMIT_MAX)),
    "slowstart": ("slowstart_seconds", _time),
    "cookie": ("cookie", _cookie),
    "observe": ("observe", _one_of(Observe)),
    "error-limit": ("error_limit", _number(1, 1_000)),
    "on-error": ("on_error", _one_of(OnError)),
}
