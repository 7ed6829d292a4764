"""The scenarios that geostat ships, by name."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from geostat.errors import SampleError
from geostat.statistics.calibration.curves import SHAPES, curves, margin_boundary, random_walk
from geostat.statistics.calibration.regime_runs import published_regimes
from geostat.statistics.calibration.scenario import Scenario
from geostat.statistics.calibration.seeds import fixed_layers, two_recipes

__all__ = ["SCENARIOS", "find_scenario"]

_SAYS = {
    "hinge": "falls in a straight line until its onset, then stays",
    "exponential": "decays by the same factor in equal times; 90% is done at its onset",
    "step": "jumps at its onset",
    "sigmoid": "falls along a logistic curve; 90% is done at its onset",
    "creep": "falls fast, then creeps on without end; 90% is done at its onset",
    "linear": "falls in a straight line to the end: there is no onset",
    "flat": "never changes: there is nothing to find",
}

_SHAPED = tuple(
    Scenario(name, partial(curves, name), "curves", f"runs with correlated noise: each {_SAYS[name]}")
    for name in SHAPES
)

SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        scenario.name: scenario
        for scenario in (
            Scenario("fixed_layers", fixed_layers, "seeds", "seeds vary around a fixed list of layers"),
            Scenario("two_recipes", two_recipes, "two recipes", "two recipes with a known difference"),
            *_SHAPED,
            Scenario("random_walk", random_walk, "curves", "each run wanders without aim: nothing settles"),
            Scenario(
                "margin_boundary",
                margin_boundary,
                "curves",
                "runs stay exactly one margin from their end: the hardest case without a lock",
            ),
            Scenario(
                "published_regimes",
                published_regimes,
                "regimes",
                "runs in the middle of a published regime (place 0, 1, 2), or on a boundary (.5, 1.5)",
            ),
        )
    }
)
"""Scenarios by name."""


def find_scenario(name: str) -> Scenario:
    """Look a scenario up.

    Parameters
    ----------
    name : str
        One of `SCENARIOS`.

    Returns
    -------
    Scenario
        The entry.

    Raises
    ------
    SampleError
        If there is none of that name; lists those that there are.
    """
    if name not in SCENARIOS:
        raise SampleError(
            f"scenario {name!r} is not known. There are: {', '.join(SCENARIOS)}; or pass a callable "
            "(rng, n_rep, **cell) that returns a Simulated."
        )
    return SCENARIOS[name]
