"""What all sections of config.yml have in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section: unknown keys are errors, ``"5"`` is not 5, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
