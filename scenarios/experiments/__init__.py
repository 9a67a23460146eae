"""Named experiments: one file each, with its goal, its expected verdict and its recipe.

Promise: an experiment says beforehand what it expects, for the strategy it is run with, and is judged by the checker alone.
"""

from scenarios.experiments import kill_anything, last_unit
from scenarios.experiments.contract import Experiment, Wish

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment for experiment in (last_unit.EXPERIMENT, kill_anything.EXPERIMENT)
}

__all__ = ["EXPERIMENTS", "Experiment", "Wish"]
