"""Settings: config.yml, environment and command line -> validated values that every process shares.

Promises: every mistake is reported at once, each with file, line, key, allowed values and the nearest valid key (P7);
children never parse config.yml themselves but read the runtime file that the supervisor wrote, so all agree.
Imports nothing of ours.
"""

from settings.errors import Problem, SettingsError
from settings.loader import load
from settings.model import Settings
from settings.runtime import Runtime
from settings.secrets import Secrets

__all__ = ["Problem", "Runtime", "Secrets", "Settings", "SettingsError", "load"]
