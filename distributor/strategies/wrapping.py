"""What stands in the place of a strategy and looks at what it does: to everybody else it is that strategy."""

from distributor.strategies.contract import Strategy


class Wrapping:
    """Has all that the strategy says of itself; a subclass adds ``take``."""

    def __init__(self, strategy: Strategy) -> None:
        self._strategy = strategy
        self.name = strategy.name
        self.isolation = strategy.isolation
        self.retry_on = strategy.retry_on
        self.groups_max = strategy.groups_max
        around = getattr(strategy, "whole_transaction", None)
        if around is not None:  # optional in the contract, so there only if the strategy has it
            self.whole_transaction = around
