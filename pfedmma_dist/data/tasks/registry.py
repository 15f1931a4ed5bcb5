"""The experiments that data.task names, each as a function from images to a Task.

To add one, write its function in a file here, name it in `Experiment` (config/keys.py), and give
it a line in `TASKS`. Where all clients tell the same classes apart, the function only has to say
who owns which rows: `shift.same_classes` makes the task of that.
"""

from collections.abc import Callable

from pfedmma_dist.config.keys import DataConfig, Experiment
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.tasks.base_to_novel import base_to_novel
from pfedmma_dist.data.tasks.shift import feature_shift, label_shift
from pfedmma_dist.data.tasks.task import Task

TASKS: dict[Experiment, Callable[[Images, DataConfig, int], Task]] = {
    Experiment.base_to_novel: base_to_novel,
    Experiment.feature_shift: feature_shift,
    Experiment.label_shift: label_shift,
}
"""Experiment -> (images, data section, the run's seed) -> task."""
