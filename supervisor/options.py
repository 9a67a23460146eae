"""The common options of the command line. Imports little, for every command needs them and most must answer at once."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from settings import Settings


@dataclass(frozen=True)
class Options:
    """Where the settings come from, where the state lies, which ports are used."""

    config: Path
    state: Path
    port_base: int
    overrides: tuple[str, ...] = ()

    def load(self) -> "Settings":
        """Read and check the settings; raises SettingsError."""
        from settings import load
        from supervisor.resolution import refuse_unusable_urls

        settings = load(self.config, overrides=self.overrides)
        refuse_unusable_urls(settings)
        return settings
