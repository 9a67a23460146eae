"""Cannot even be loaded."""

PRICES: dict[str, int] = {}
DEFAULT = PRICES["default"]
