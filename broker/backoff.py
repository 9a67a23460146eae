"""How long to wait before trying again: growing, bounded, spread so that many processes do not return at once."""

RECONNECT_FIRST_SECONDS = 0.2
RECONNECT_LAST_SECONDS = 5.0  # a broker that came back is used again within this time
REDELIVERY_LAST_SECONDS = 30.0  # with the default settings attempts are 0.25, 1, 4 and 16 s apart


def reconnect_seconds(failures: int, chance: float) -> float:
    """Before the connection attempt after ``failures`` (>= 1) in a row; ``chance`` in [0, 1) spreads by half."""
    longest: float = min(RECONNECT_FIRST_SECONDS * 2.0 ** min(failures - 1, 16), RECONNECT_LAST_SECONDS)
    return longest * (0.5 + 0.5 * chance)


def redelivery_seconds(attempts: int, first_seconds: float) -> float:
    """Before a message whose handler has failed ``attempts`` (>= 1) times is handled again."""
    seconds: float = min(first_seconds * 4.0 ** min(attempts - 1, 16), REDELIVERY_LAST_SECONDS)
    return seconds
