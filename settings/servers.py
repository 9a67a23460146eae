"""What can be said of the load balancer's servers, in HAProxy's words: for all of them, and for one."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from settings.section import Section

Weight = Annotated[int, Field(ge=0, le=256)]
Limit = Annotated[int, Field(ge=0, le=100_000)]  # 0: none
SlowStart = Annotated[int, Field(ge=0, le=3_600_000)]
Observe = Literal["none", "layer4", "layer7"]
OnError = Literal["fastinter", "fail-check", "sudden-death", "mark-down"]
ErrorLimit = Annotated[int, Field(ge=1, le=1_000)]


class DefaultServer(Section):
    """HAProxy's ``default-server``: holds for every server that ``servers`` says nothing else of."""

    weight: Weight = 1
    maxconn: Limit = 0
    maxqueue: Limit = 0
    slowstart_ms: SlowStart = 0
    backup: bool = False
    check: bool = True
    observe: Observe = "none"
    error_limit: ErrorLimit = 10
    on_error: OnError = "fail-check"

    @model_validator(mode="after")
    def _words_agree(self) -> "DefaultServer":
        _refuse_what_cannot_work(self)
        return self


class OneServer(Section):
    """One server's own words; None: as ``default_server`` has it."""

    weight: Weight | None = None
    maxconn: Limit | None = None
    maxqueue: Limit | None = None
    slowstart_ms: SlowStart | None = None
    backup: bool | None = None
    check: bool | None = None
    observe: Observe | None = None
    error_limit: ErrorLimit | None = None
    on_error: OnError | None = None

    def over(self, default: DefaultServer) -> DefaultServer:
        """What holds for this server."""
        own: dict[str, Any] = {key: value for key, value in self.model_dump().items() if value is not None}
        return default.model_copy(update=own)


def _refuse_what_cannot_work(server: DefaultServer) -> None:
    """Raises ValueError for words that would have no effect together."""
    if server.maxqueue and not server.maxconn:
        msg = "maxqueue needs maxconn: without it nothing ever waits"
        raise ValueError(msg)
    if server.observe != "none" and not server.check:
        msg = "observe needs check: nothing else would bring the server back"
        raise ValueError(msg)


def refuse_servers(servers: dict[str, OneServer], default: DefaultServer, names: list[str]) -> None:
    """Raises ValueError naming a server that there is not, or whose words have no effect together."""
    for name, own in servers.items():
        if name not in names:
            msg = f"load_balancer.servers: there is no server {name!r}; the servers are {', '.join(names)}"
            raise ValueError(msg)
        try:
            _refuse_what_cannot_work(own.over(default))
        except ValueError as error:
            msg = f"load_balancer.servers.{name}: {error}"
            raise ValueError(msg) from error
