"""What a running system's processes share: settings, addresses, resolved URLs, secrets.

The supervisor writes it before it starts the first child; every child is started with ``--state DIR`` and reads it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from settings.addresses import HOST, Addresses
from settings.errors import Problem, SettingsError
from settings.model import Settings
from settings.secrets import Secrets, write_owner_only

FILE = "runtime.json"
BALANCER_FILE = "load_balancer.json"  # what was changed of the load balancer while the system runs; it writes it itself


class _Document(BaseModel):
    """What the file says."""

    model_config = ConfigDict(extra="forbid")

    settings: Settings
    port_base: Annotated[int, Field(strict=True, ge=1, le=65_535)]
    database_url: Annotated[str, Field(pattern=r"^postgresql\+psycopg://")]
    broker_url: Annotated[str, Field(pattern=r"^(postgres$|amqps?://)")]
    broker_is_ours: bool
    config: str | None
    overrides: list[str]
    balancer_revision: int


@dataclass(frozen=True)
class Runtime:
    """One running system.

    ``database_url``: ``postgresql+psycopg://…`` with credentials. ``broker_url``: ``amqp://…`` (host and port, no
    credentials where the node is ours) or ``postgres``. ``broker_is_ours``: users and permissions are made by us.
    ``config`` and ``overrides``: where the settings came from, for who reads them again. ``balancer_revision``: how often
    the load balancer's part of the settings was taken from there since.
    """

    state: Path
    settings: Settings
    addresses: Addresses
    database_url: str
    broker_url: str
    broker_is_ours: bool
    secrets: Secrets
    config: Path | None = None
    overrides: tuple[str, ...] = ()
    balancer_revision: int = 0

    @classmethod
    def read(cls, state: Path) -> "Runtime":
        """Read the running system's values; raises SettingsError if no system was started with this state folder."""
        path = state / FILE
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise SettingsError([Problem(str(path), "", "no system was started with this state folder")]) from None
        except OSError as error:
            raise SettingsError([Problem(str(path), "", f"cannot be read: {error.strerror}")]) from error
        except ValueError as error:
            raise _damaged(path) from error
        secrets = Secrets.read(state)
        try:
            return cls._from_document(state, raw, secrets)
        except ValueError as error:
            raise _damaged(path) from error

    @classmethod
    def _from_document(cls, state: Path, raw: object, secrets: Secrets) -> "Runtime":
        """Raises ValueError, also for a file that another version wrote."""
        document = _Document.model_validate(raw)
        return cls(
            state=state,
            settings=document.settings,
            addresses=Addresses(document.port_base),
            database_url=document.database_url,
            broker_url=document.broker_url,
            broker_is_ours=document.broker_is_ours,
            secrets=secrets,
            config=None if document.config is None else Path(document.config),
            overrides=tuple(document.overrides),
            balancer_revision=document.balancer_revision,
        )

    def write(self) -> None:
        """Write all but the secrets (they have a file of their own); owner-only, for the database URL has a password."""
        write_owner_only(
            self.state / FILE,
            {
                "settings": self.settings.model_dump(mode="json"),
                "port_base": self.addresses.port_base,
                "database_url": self.database_url,
                "broker_url": self.broker_url,
                "broker_is_ours": self.broker_is_ours,
                "config": None if self.config is None else str(self.config),
                "overrides": list(self.overrides),
                "balancer_revision": self.balancer_revision,
            },
        )

    @property
    def shop_url(self) -> str:
        """Where customers are served, from this machine."""
        settings = self.settings.load_balancer
        own = {"0.0.0.0": HOST, "::": "::1", "localhost": HOST}  # noqa: S104 - whoever listens everywhere listens here
        host = own.get(settings.listen_host, settings.listen_host)
        scheme = "https" if settings.tls.on else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.addresses.shop}"

    def manufacturers_of_process(self, number: int) -> list[str]:
        """Codes of the manufacturers that live in manufacturer process ``number`` (from 1)."""
        size = self.settings.manufacturers.manufacturers_per_process
        return manufacturer_codes(self.settings)[(number - 1) * size : number * size]

    def manufacturer_url(self, code: str) -> str:
        """Base URL of a manufacturer's API. Several may share it: the key that signs a request says who is meant."""
        position = manufacturer_codes(self.settings).index(code)
        process = position // self.settings.manufacturers.manufacturers_per_process + 1
        return self.addresses.url(self.addresses.manufacturer_process(process))


def _damaged(path: Path) -> SettingsError:
    return SettingsError(
        [Problem(str(path), "", "the file is damaged, or another version's; the next start writes it anew")]
    )


def manufacturer_codes(settings: Settings) -> list[str]:
    """Codes ``m1``, ``m2``, …: one per configured manufacturer, in order."""
    return [f"m{number}" for number in range(1, settings.manufacturers.count + 1)]
