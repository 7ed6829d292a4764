import numpy as np
import pytest

from geostat.errors import SampleError
from geostat.statistics.runs.randomness import seeded


@pytest.mark.parametrize("handed", [3, np.int64(3), None, np.random.default_rng(1)])
def test_the_seed_makes_the_same_numbers_again(handed):
    generator, seed = seeded(handed)
    assert generator.random() == np.random.default_rng(seed).random()


def test_two_fresh_seeds_differ():
    assert seeded(None)[1] != seeded(None)[1]


def test_a_generator_gives_another_seed_each_time():
    rng = np.random.default_rng(5)
    assert seeded(rng)[1] != seeded(rng)[1]


@pytest.mark.parametrize("handed", [-1, 2.0, "7", True])
def test_what_is_no_source_of_randomness_is_refused(handed):
    with pytest.raises(SampleError, match="rng="):
        seeded(handed)
