"""Attacked: the scores of runs some of whose clients mean harm, beside those of all the others."""

import numpy as np

from pfedmma_dist.quantities.quantity import Place, Quantity

ATTACKERS, BACKDOOR = "attackers", "backdoor"
"""The scope of attackers' own test images, whom no other scope has; that of everybody else's with a
trigger on them, where right is what the attackers want."""


def mean_over_scored(values: np.ndarray) -> float:
    """Return the mean over the clients of a scope that few of them have."""
    return float(np.nanmean(values))


ATTACKED = (
    Quantity(
        key=f"{ATTACKERS}_mean", unit="percent", heading="Attackers", of=(ATTACKERS,),
        make=mean_over_scored, meaning="accuracy of attackers on their own test images, mean over "
        "them; all other scores are of the others",
        column=f"{ATTACKERS}_mean_percent", tag=f"accuracy/{ATTACKERS}",
    ),
    Quantity(
        key=f"{BACKDOOR}_mean", unit="percent", heading="Attack success", of=(BACKDOOR,),
        make=mean_over_scored, meaning="own test images of other classes that are taken for the "
        "attackers' target once they carry the trigger, mean over honest clients",
        column=f"{BACKDOOR}_mean_percent", tag=f"accuracy/{BACKDOOR}",
        line="attack success {:.2f} %", axis="attack success (%)",
        places=Place.TABLES | Place.STATUS | Place.RUN_FIGURE,
    ),
)  # fmt: skip
