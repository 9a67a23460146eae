"""What is wrong with the settings, as values that can be printed as sentences."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One mistake: where it stands (``config.yml:12``, ``--set``, ``CDS_A__B``), which key, what is wrong."""

    where: str
    key: str
    what: str

    def __str__(self) -> str:
        key = f"{self.key}: " if self.key else ""
        return f"{self.where}: {key}{self.what}"


class SettingsError(Exception):
    """The settings cannot be used; ``problems`` lists every mistake that was found."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems
