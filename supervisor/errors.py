"""Why the system, or one of its processes, cannot be started; printed by main.py, exit code 70."""

from collections.abc import Sequence


class StartError(Exception):
    """``what`` happened, ``fix`` is what the reader can do; ``log_lines`` are the process's last words."""

    def __init__(self, what: str, fix: str = "", log_lines: Sequence[str] = ()) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix
        self.log_lines = list(log_lines)
