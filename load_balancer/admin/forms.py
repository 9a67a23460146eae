"""A server in JSON, in the words of config.yml, and back. Bad input is named by its field. No I/O."""

import json
from collections.abc import Collection, Mapping
from typing import Any, Final, Literal

from pydantic import Field, ValidationError

from load_balancer.balancing.members import ServerOptions
from load_balancer.balancing.servers import Admin
from load_balancer.options import ServerAddress, read_address, server_options
from load_balancer.server_lines import COOKIE, NAME
from settings.servers import DefaultServer, OneServer

State = Literal["ready", "drain", "maint"]
_WORDS: Final = tuple(DefaultServer.model_fields)


class FormError(ValueError):
    """What was sent cannot be used; the message names each field and says what it has to be."""


class ServerForm(OneServer):
    """Everything that can be said of one server; what is left out stays, or is as HAProxy has it for a new one."""

    address: str | None = Field(default=None, max_length=300)
    cookie: str | None = Field(default=None, pattern=f"^(?:{COOKIE.pattern})?$")
    state: State | None = None


def read_json(body: bytes) -> Mapping[str, Any]:
    """A JSON object; raises FormError."""
    try:
        document = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise FormError('body: expected a JSON object such as {"weight": 50}') from None
    if not isinstance(document, dict):
        raise FormError('body: expected a JSON object such as {"weight": 50}')
    return document


def read_state(document: Mapping[str, Any]) -> Admin:
    """``{"state": …}``; raises FormError."""
    try:
        return Admin(document["state"])
    except (ValueError, KeyError, TypeError):
        raise FormError('state: expected {"state": "ready"}, "drain" or "maint"') from None


def read_server(
    name: str, document: Mapping[str, Any], before: ServerAddress | None = None
) -> tuple[ServerAddress, Admin | None]:
    """The server as the document wants it, over what it was ``before``, and its state if one is given; FormError."""
    if not NAME.fullmatch(name):
        raise FormError(
            "name: expected up to 64 letters, digits, dots, dashes and underscores, the first no dash or dot"
        )
    try:
        form = ServerForm.model_validate(document)
    except ValidationError as error:
        raise FormError(_explain(error)) from error
    if form.address is None and before is None:
        raise FormError("address: a new server needs one, such as 127.0.0.1:8201")
    known = DefaultServer() if before is None else DefaultServer.model_validate(words_of(before.options))
    given = {word: value for word in _WORDS if (value := getattr(form, word)) is not None}
    try:
        words = DefaultServer.model_validate(known.model_dump() | given)
    except ValidationError as error:
        raise FormError(_explain(error)) from error
    cookie = form.cookie if form.cookie is not None else "" if before is None else before.options.cookie
    address = (
        before.address if form.address is None and before is not None else read_address(form.address or "", "address")
    )
    state = None if form.state is None else Admin(form.state)
    began = Admin.READY if before is None else before.state
    return ServerAddress(name, address, server_options(words, cookie), state or began), state


def refuse_double_cookie(server: ServerAddress, others: Collection[ServerAddress]) -> None:
    """Raises FormError where a client's cookie would stand for two servers."""
    mine = server.options.cookie or server.name
    for other in others:
        if other.name != server.name and (other.options.cookie or other.name) == mine:
            raise FormError(f"cookie: {other.name} has the same one")


def words_of(options: ServerOptions) -> dict[str, Any]:
    """What holds for a server, in the words of config.yml."""
    return {
        "weight": options.weight,
        "maxconn": options.maxconn,
        "maxqueue": options.maxqueue,
        "slowstart_ms": round(options.slowstart_seconds * 1000),
        "backup": options.backup,
        "check": options.check,
        "observe": options.observe.value,
        "error_limit": options.error_limit,
        "on_error": options.on_error.value,
    }


def document_of(server: ServerAddress) -> dict[str, Any]:
    """What ``read_server`` takes for the same server."""
    own = {"cookie": server.options.cookie} if server.options.cookie else {}
    return {"address": str(server.address), "state": server.state.value} | words_of(server.options) | own


def _explain(error: ValidationError) -> str:
    """Every field with what is wrong; nothing of what was given is repeated."""
    lines = []
    for mistake in error.errors(include_input=False, include_url=False):
        field = ".".join(str(part) for part in mistake["loc"])
        what = str(mistake["msg"]).removeprefix("Value error, ")
        if mistake["type"] == "extra_forbidden":
            what = f"is not known; there are {', '.join(ServerForm.model_fields)}"
            field = field if NAME.fullmatch(field) else "a field"
        lines.append(f"{field}: {what}" if field else what)
    return "; ".join(lines)
