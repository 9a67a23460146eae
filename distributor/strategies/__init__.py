"""Locking strategies: ways to take goods from stock, exchangeable by a name in config.yml.

Promise: all but ``naive`` take a basket whole or not at all and never sell more than there is, whatever runs beside them.
A strategy of your own: any class that fits `contract.Strategy`, named as ``package.module.Class`` or as a ``.py`` file.
"""

from distributor.strategies.guarding import load_guarded
from distributor.strategies.loading import CONTROLS, NAMES, UnusableStrategy, load

__all__ = ["CONTROLS", "NAMES", "UnusableStrategy", "load", "load_guarded"]
