"""Scores: the accuracies of many clients, turned into the few numbers a person compares.

A new one is an entry in SCORES, and is then in every report.
"""

from collections.abc import Iterable, Mapping
from itertools import groupby

import numpy as np

from pfedmma_dist.quantities.attacked import ATTACKED, ATTACKERS, BACKDOOR
from pfedmma_dist.quantities.fairness import deviation, gini, jain, worst_decile
from pfedmma_dist.quantities.means import (
    harmonic_mean_in_domain,
    harmonic_mean_of_means,
    mean,
    mean_in_domain,
)
from pfedmma_dist.quantities.quantity import Place, Quantity, Source, heading

LOCAL = "local"
"""The scope of a client's own test images, which every task has."""

OWN = "own"
"""The scope of the same images, with the classes that the client trains on alone to choose from."""

VAL = "val"
"""The scope of a client's own validation images, where `data.validation` asks for some."""

UNSEEN = ("unseen", "unseen_private", "unseen_all")
"""The scopes of own test images of clients that never train: as downloaded, after local epochs with
the shared part at rest, and after as many with all of it trained."""

DOMAIN = "domain_"
"""Beginning of a domain's keys."""

IN = "_in_"
"""Between a scope, or what combines some, and a domain: what is known of data sets alone, whose
classes are their own."""

NAMED = (LOCAL, OWN, VAL, *UNSEEN, ATTACKERS, BACKDOOR)
"""Scopes that have entries of their own."""

HEADLINE = Place.TABLES | Place.STATUS | Place.RUN_FIGURE

LOCAL_MEAN = Quantity(
    key=f"{LOCAL}_mean", unit="percent", heading="Local", of=(LOCAL,), make=mean,
    meaning="accuracy on a client's own test images, mean over clients",
    column=f"{LOCAL}_mean_percent", tag=f"accuracy/{LOCAL}", line=f"{LOCAL} {{:.2f}} %",
    terminal="Local", places=HEADLINE | Place.SWEEP_FIGURES, is_ranked=True,
)  # fmt: skip
LOCAL_WORST_DECILE = Quantity(
    key=f"{LOCAL}_worst_decile", unit="percent", heading="Local, worst 10 %", of=(LOCAL,),
    make=worst_decile, meaning="Local, mean over the lowest tenth of the clients",
    column=f"{LOCAL}_worst_decile_percent", tag=f"accuracy/{LOCAL}_worst_decile",
    terminal="Worst\n10 %", is_spare=True, is_ranked=True,
)  # fmt: skip
LOCAL_DEVIATION = Quantity(
    key=f"{LOCAL}_std", unit="percent", heading="Local, deviation", of=(LOCAL,), make=deviation,
    meaning="Local, standard deviation over clients",
    column=f"{LOCAL}_std_percent", tag=f"accuracy/{LOCAL}_std", axis="Local, deviation (points)",
)  # fmt: skip
LOCAL_JAIN = Quantity(
    key=f"{LOCAL}_jain", unit="ratio", heading="Jain", of=(LOCAL,), make=jain,
    meaning="Jain's index of Local over clients, 1 where all fare alike",
    column=f"{LOCAL}_jain", tag=f"fairness/{LOCAL}_jain", axis="Jain's index of Local",
)  # fmt: skip
LOCAL_GINI = Quantity(
    key=f"{LOCAL}_gini", unit="ratio", heading="Gini", of=(LOCAL,), make=gini,
    meaning="Gini coefficient of Local over clients, 0 where all fare alike",
    column=f"{LOCAL}_gini", tag=f"fairness/{LOCAL}_gini", axis="Gini coefficient of Local",
)  # fmt: skip
OWN_MEAN = Quantity(
    key=f"{OWN}_mean", unit="percent", heading="Own", of=(OWN,), make=mean,
    meaning="accuracy on a client's own test images among the classes it trains on alone, mean "
    "over clients: Local without what knowing one's classes brings",
    column=f"{OWN}_mean_percent", tag=f"accuracy/{OWN}", terminal="Own", places=HEADLINE,
    is_ranked=True,
)  # fmt: skip
OWN_WORST_DECILE = Quantity(
    key=f"{OWN}_worst_decile", unit="percent", heading="Own, worst 10 %", of=(OWN,),
    make=worst_decile, meaning="Own, mean over the lowest tenth of the clients", is_ranked=True,
)  # fmt: skip
OWN_DEVIATION = Quantity(
    key=f"{OWN}_std", unit="percent", heading="Own, deviation", of=(OWN,), make=deviation,
    meaning="Own, standard deviation over clients", axis="Own, deviation (points)",
)  # fmt: skip
VAL_MEAN = Quantity(
    key=f"{VAL}_mean", unit="percent", heading="Val", of=(VAL,), make=mean,
    meaning="accuracy on a client's own validation images among all classes, mean over clients: "
    "what evaluate.select=best_val goes by",
    column=f"{VAL}_mean_percent", tag=f"accuracy/{VAL}", line=f"{VAL} {{:.2f}} %", terminal="Val",
    places=HEADLINE,
)  # fmt: skip
UNSEEN_SCORES = tuple(
    quantity
    for scope, heading, terminal, how in (
        (UNSEEN[0], "Unseen", "Unseen", "with what they are handed"),
        (UNSEEN[1], "Unseen, own tuned", "", "after local epochs of their private part"),
        (UNSEEN[2], "Unseen, tuned", "", "after local epochs of all"),
    )
    for quantity in (
        Quantity(
            key=f"{scope}_mean", unit="percent", heading=heading, of=(scope,), make=mean,
            meaning=f"Local of clients that never train, {how}, mean over them",
            column=f"{scope}_mean_percent", tag=f"accuracy/{scope}", terminal=terminal,
            places=HEADLINE, is_ranked=True,
        ),
        Quantity(
            key=f"{scope}_worst_decile", unit="percent", heading=f"{heading}, worst 10 %",
            of=(scope,), make=worst_decile,
            meaning=f"{heading}, mean over the lowest tenth of the clients", is_ranked=True,
        ),
        Quantity(
            key=f"{scope}_std", unit="percent", heading=f"{heading}, deviation", of=(scope,),
            make=deviation, meaning=f"{heading}, standard deviation over clients",
            axis=f"{heading}, deviation (points)",
        ),
    )
)  # fmt: skip
SCOPE_MEAN = Quantity(
    each="scope", key="{name}_mean", unit="percent", heading="{Name}", of=("{name}",), make=mean,
    meaning="accuracy on the test images of {name}, mean over clients",
    column="{name}_mean_percent", tag="accuracy/{name}", terminal="{Name}", places=HEADLINE,
    is_ranked=True,
)  # fmt: skip
SCOPE_WORST_DECILE = Quantity(
    each="scope", key="{name}_worst_decile", unit="percent", heading="{Name}, worst 10 %",
    of=("{name}",), make=worst_decile, meaning="{Name}, mean over the lowest tenth of the clients",
    is_ranked=True,
)  # fmt: skip
SCOPE_DEVIATION = Quantity(
    each="scope", key="{name}_std", unit="percent", heading="{Name}, deviation", of=("{name}",),
    make=deviation, meaning="{Name}, standard deviation over clients",
    axis="Deviation over clients (points)",
)  # fmt: skip
DOMAIN_MEAN = Quantity(
    each="domain", key=f"{DOMAIN}{{name}}_mean", unit="percent", heading="{Name}", of=(LOCAL,),
    make=mean_in_domain, meaning="Local, mean over the clients of {name}",
    column=f"{DOMAIN}{{name}}_mean_percent", tag="domain/{name}", terminal="{name}",
    places=Place.TABLES | Place.STATUS, is_ranked=True,
)  # fmt: skip
DOMAIN_SCOPES = tuple(
    Quantity(
        each="domain", key=f"{scope}{IN}{{name}}_mean", unit="percent",
        heading=f"{{Name}}, {heading(scope)}", of=(scope,), make=mean_in_domain,
        meaning=f"{heading(scope)}, mean over the clients of {{name}}, among classes of its own",
        column=f"{scope}{IN}{{name}}_mean_percent", tag=f"domain_{scope}/{{name}}",
        terminal=heading(scope), is_ranked=True,
    )
    for scope in ("base", "novel")
)  # fmt: skip
DOMAIN_HM = Quantity(
    each="domain", key=f"hm{IN}{{name}}", unit="percent", heading="{Name}, HM",
    of=(LOCAL, "base", "novel"), make=harmonic_mean_in_domain,
    meaning="harmonic mean of Local, Base and Novel of {name}",
    column=f"hm{IN}{{name}}_percent", tag="domain_hm/{name}", terminal="HM", is_ranked=True,
)  # fmt: skip
HM = Quantity(
    key="hm", unit="percent", heading="HM", of=(LOCAL, "base", "novel"),
    make=harmonic_mean_of_means,
    meaning="harmonic mean of Local, Base and Novel, as in the paper's tables",
    column="hm_percent", tag="accuracy/hm", terminal="HM", places=HEADLINE, is_ranked=True,
)  # fmt: skip
HM_BASE_NOVEL = Quantity(
    key="hm_base_novel", unit="percent", heading="HM b/n", of=("base", "novel"),
    make=harmonic_mean_of_means,
    meaning="harmonic mean of Base and Novel alone, that of prompt learning",
    column="hm_base_novel_percent", tag="accuracy/hm_base_novel", terminal="HM\nb/n",
    is_ranked=True,
)  # fmt: skip

PEEKING = Quantity(
    key="peeking", unit="percent", heading="Peeking", source=Source.RESULT,
    meaning="points of Local that the best round on test images has over the reported one: what "
    "choosing by test scores, as published code does, would add",
)  # fmt: skip

SCORES: tuple[Quantity, ...] = (
    LOCAL_MEAN,
    LOCAL_WORST_DECILE,
    LOCAL_DEVIATION,
    LOCAL_JAIN,
    LOCAL_GINI,
    OWN_MEAN,
    OWN_WORST_DECILE,
    OWN_DEVIATION,
    VAL_MEAN,
    *UNSEEN_SCORES,
    *ATTACKED,
    SCOPE_MEAN,
    SCOPE_WORST_DECILE,
    SCOPE_DEVIATION,
    DOMAIN_MEAN,
    *DOMAIN_SCOPES,
    DOMAIN_HM,
    HM,
    HM_BASE_NOVEL,
)
"""In the order of result.json and of the columns of metrics.csv."""


def scores(scopes: Iterable[str], domains: Iterable[str] = ()) -> list[Quantity]:
    """Return the scores of a run with these test sets and domains."""
    scopes = list(scopes)
    others = [scope for scope in scopes if scope not in NAMED]
    names = {"scope": others, "domain": list(domains)}
    found: list[Quantity] = []
    for each, group in groupby(SCORES, lambda entry: entry.each):
        entries = list(group)
        if each:
            found += [entry.named(name) for name in names[each] for entry in entries]
        else:
            found += entries
    return [quantity for quantity in found if set(quantity.of) <= set(scopes)]


def titled(scope: str) -> str:
    """Return what tables call a scope: as its mean over clients."""
    return next(quantity.heading for quantity in scores([scope]) if quantity.of == (scope,))


def scored(keys: Iterable[str]) -> list[Quantity]:
    """Return the scores that stand under these keys of result.json."""
    keys = dict.fromkeys(keys)
    return [found for found in scores_beside(keys) if found.key in keys]


def scores_beside(keys: Iterable[str]) -> list[Quantity]:
    """Return the scores that a run with these keys in its result.json may have."""
    keys = dict.fromkeys(keys)
    own = {entry.key for entry in SCORES if not entry.each}
    end = SCOPE_MEAN.key.removeprefix("{name}")
    means = [key.removesuffix(end) for key in keys if key.endswith(end) and key not in own]
    of_scopes = [name for name in means if not name.startswith(DOMAIN)]
    within = [name.partition(IN)[2] for name in of_scopes if IN in name]
    domains = [name.removeprefix(DOMAIN) for name in means if name.startswith(DOMAIN)]
    domains = list(dict.fromkeys([*domains, *within]))
    scopes = [name for name in of_scopes if IN not in name]
    # What is made from own scores alone may be there without their mean in recorded results.
    return scores([*NAMED, *scopes], domains)


def summary(
    scores_of: Mapping[str, np.ndarray], domains: Mapping[str, np.ndarray] | None = None
) -> dict[str, float]:
    """Return key -> number of all the scores.

    scores_of: scope -> accuracy of each client [K] in percent, nan where a client was not scored.
    domains: name -> its clients. What nobody was scored on has no key.
    """
    domains = domains or {}
    result: dict[str, float] = {}
    for quantity in scores(scores_of, domains):
        arrays = [scores_of[scope] for scope in quantity.of]
        if quantity.domain:
            arrays = [array[domains[quantity.domain]] for array in arrays]
        if not any(np.isnan(array).all() for array in arrays):
            result[quantity.key] = quantity.made(*arrays)
    return result
