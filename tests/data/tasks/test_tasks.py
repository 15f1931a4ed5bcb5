from pfedmma_dist.config.keys import Experiment
from pfedmma_dist.data.tasks.registry import TASKS


def test_every_experiment_that_can_be_named_has_a_function():
    assert TASKS.keys() == set(Experiment)
