"""A whole table once more: from single answers to what is printed, by sums that share no code."""

import csv
import io
import json
import random
import re
from fractions import Fraction
from pathlib import Path

import pytest
from runs import Lab, alone, call, make_lab

from launch import table
from pfedmma_dist import classify

SEEDS, NUM_BASE, NUM_CLIENTS = (1, 2), 4, 3
Score = dict[str, list[Fraction]]
"""Scope -> accuracy of each client."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Two seeds of clients with one, one and two base classes, as the published division deals."""
    made = make_lab(tmp_path_factory.mktemp("whole"), (6, 4, 5, 6, 2, 2, 2, 2))
    changes = {"method__alpha": 0.5, "federation__rounds": 3, "data__num_clients": NUM_CLIENTS}
    for seed in SEEDS:
        assert call(made.words(f"seed{seed}", seed=seed, optim__lr=0.2, **changes)) == 0
    return made


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def own_classes() -> list[set[str]]:
    """Return the base classes of each client: a shuffle by 2023, cut by the rounded quotient."""
    labels = list(range(NUM_BASE))
    random.Random(2023).shuffle(labels)
    cuts = [round(NUM_BASE / NUM_CLIENTS) * client for client in range(NUM_CLIENTS)]
    parts = [labels[a:b] for a, b in zip(cuts, [*cuts[1:], NUM_BASE], strict=True)]
    return [{f"class_{label}" for label in part} for part in parts]


def answered(lab: Lab, seed: int, client: int, capsys: pytest.CaptureFixture[str]) -> list[dict]:
    """Return what a client says of every base test image, among all base classes."""
    folders = [str(lab.path / "data" / "test" / f"class_{label}") for label in range(NUM_BASE)]
    words = [str(lab.folder(f"seed{seed}")), *folders, "--client", str(client)]
    capsys.readouterr()
    with alone():
        assert classify.main([*words, "--csv", "--top", str(NUM_BASE)]) == 0
    found = csv.DictReader(io.StringIO(capsys.readouterr().out))
    return [row for row in found if row["asked"] == str(client)]


def share(hits: list[bool]) -> Fraction:
    return Fraction(sum(hits), len(hits))


@pytest.mark.parametrize("seed", SEEDS)
def test_scores_of_clients_are_those_of_their_single_answers(
    lab: Lab, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    told, owned = rows(lab.folder(f"seed{seed}") / "clients.csv"), own_classes()
    assert sum(map(len, owned)) == NUM_BASE and len(told) == NUM_CLIENTS
    for client, row in enumerate(told):
        every, local, among_own = [], [], []
        ranked: dict[str, list[str]] = {}
        for line in answered(lab, seed, client, capsys):
            ranked.setdefault(line["image"], []).append(line["class"].replace(" ", "_"))
        assert len(ranked) == 3 * NUM_BASE
        for image, classes in ranked.items():
            right = Path(image).parent.name
            every.append(classes[0] == right)
            if right in owned[client]:
                local.append(classes[0] == right)
                among_own.append(next(c for c in classes if c in owned[client]) == right)
        assert int(row["classes"]) == len(owned[client])
        for scope, hits in (("base", every), ("local", local), ("own", among_own)):
            assert float(row[f"{scope}_percent"]) == pytest.approx(float(100 * share(hits)))


def exact(lab: Lab, seed: int) -> Score:
    """Return the accuracies of clients as parts of whole images."""
    images = {"novel": 3 * NUM_BASE, "base": 3 * NUM_BASE}
    found: Score = {}
    for scope in ("local", "own", "base", "novel"):
        found[scope] = []
        cells = [row[f"{scope}_percent"] for row in rows(lab.folder(f"seed{seed}") / "clients.csv")]
        for cell, classes in zip(cells, own_classes(), strict=True):
            count = images.get(scope, 3 * len(classes))
            hits = round(float(cell) / 100 * count)
            assert 100 * hits / count == pytest.approx(float(cell))
            found[scope].append(Fraction(100 * hits, count))
    return found


def mean(values: list[Fraction]) -> Fraction:
    return sum(values, Fraction(0)) / len(values)


def harmonic(*values: Fraction) -> Fraction:
    return len(values) / sum((1 / value for value in values), Fraction(0))


def summary(scores: Score) -> dict[str, float]:
    """Return the numbers of a run: clients count alike; harmonic means are of their means."""
    means = {scope: mean(values) for scope, values in scores.items()}
    local = scores["local"]
    apart = mean([(value - means["local"]) ** 2 for value in local])
    pairs = sum(abs(a - b) for a in local for b in local)
    found: dict[str, float] = {f"{scope}_mean": float(value) for scope, value in means.items()}
    found |= {
        "local_std": float(apart) ** 0.5,
        "local_worst_decile": float(min(local)),
        "local_jain": float(sum(local) ** 2 / (len(local) * sum(value**2 for value in local))),
        "local_gini": float(pairs / (2 * len(local) ** 2 * means["local"])),
        "hm": float(harmonic(means["local"], means["base"], means["novel"])),
        "hm_base_novel": float(harmonic(means["base"], means["novel"])),
    }
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_numbers_of_a_run_are_those_of_its_clients(lab: Lab, seed: int) -> None:
    folder, wanted = lab.folder(f"seed{seed}"), summary(exact(lab, seed))
    told = json.loads((folder / "result.json").read_text())["results"][-1]["scores"]
    last = rows(folder / "metrics.csv")[-1]
    for key, value in wanted.items():
        assert told[key] == pytest.approx(value), key
        column = key if key.endswith(("jain", "gini")) else f"{key}_percent"
        assert float(last[column]) == pytest.approx(value, rel=1e-6), key
    assert wanted["local_mean"] != wanted["base_mean"]  # or either would do


def test_printed_cells_are_means_and_sample_deviations_over_seeds(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [str(lab.folder(f"seed{seed}")) for seed in SEEDS]
    with alone():
        assert table.main([*folders, "--format", "markdown"]) == 0
    lines = [
        [cell.strip() for cell in line.strip("| ").split("|")]
        for line in capsys.readouterr().out.splitlines()
    ]
    heads = next(line for line in lines if "Novel" in line)
    cells = next(line for line in lines if line[0] == "pfedmma")
    runs = [summary(exact(lab, seed)) for seed in SEEDS]
    printed = dict(zip(heads, cells, strict=True))
    keys = {"Local": "local_mean", "Own": "own_mean", "Base": "base_mean", "Novel": "novel_mean"}
    for head, key in {**keys, "HM": "hm"}.items():
        one, other = (run[key] for run in runs)
        middle, apart = (one + other) / 2, abs(one - other) / 2**0.5
        assert re.sub(r"\*", "", printed[head]) == f"{middle:.2f} ± {apart:.2f}", head
    assert runs[0] != runs[1]
