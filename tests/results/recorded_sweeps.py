"""Recorded runs of every kind that tables tell apart; the golden tables were printed from them."""

from pathlib import Path

from recorded import plan, record, round_row, three


def record_all(folder: Path) -> list[Path]:
    """Write sweeps and runs of every experiment; return what `launch.table` is to be given."""
    return [_two_sets(folder / "sets"), *_label_shift(folder), *_domains(folder), *_scaling(folder)]


def _two_sets(folder: Path) -> Path:
    """Two rows over two data sets and two seeds, one run of them not finished."""
    scores = {
        ("a", "pets", 1): three(60, 30, 20), ("a", "pets", 2): three(60, 30, 20),
        ("a", "cars", 1): three(90, 90, 90), ("a", "cars", 2): three(80, 80, 80),
        ("b", "pets", 1): three(60, 60, 60), ("b", "pets", 2): three(60, 60, 60),
        ("b", "cars", 1): three(40, 40, 40), ("b", "cars", 2): None,
    }  # fmt: skip
    rows = []
    for (name, data, seed), own in scores.items():
        run = f"{name}-{data}-{seed}"
        config = {"data.name": data, "seed": seed, "method.name": name}
        further = own and {
            **own, "local_worst_decile": 10.0, "local_std": 5.0, "hm_base_novel": 25.0,
            "base_worst_decile": 7.0, "base_std": 3.0,
        }  # fmt: skip
        zero_shot = three(50, 40, 30)
        record(folder / run, further, config=config, zero_shot=zero_shot, sent=3072, trained=39936)
        rows.append({"row": name, "folder": run, "data.name": data, "seed": seed})
    return plan(folder, rows)


def _label_shift(folder: Path) -> list[Path]:
    return [
        record(
            folder / f"beta-{beta}",
            {"local_mean": 70 - 10 * beta, "local_std": 1.0, "global_mean": 50.0},
            config={"data.task": "label_shift", "data.beta": beta, "data.name": "cifar100"},
        )
        for beta in (1.0, 0.1, 0.5)
    ]


def _domains(folder: Path) -> list[Path]:
    scores = {
        "local_mean": 61.0, "local_worst_decile": 50.0, "local_std": 3.0, "global_mean": 40.0,
        "domain_photo_mean": 70.0, "domain_line drawing_mean": 52.0,
    }  # fmt: skip
    return [record(folder / "domains", scores, config={"data.task": "feature_shift"})]


def _scaling(folder: Path) -> list[Path]:
    paths = []
    for clients in (100, 10):
        config = {
            "data.num_clients": clients, "federation.fraction": 0.1, "data.name": "scaled",
            "federation.first_round_all": True, "data.task": "label_shift",
        }  # fmt: skip
        rounds = [
            round_row(index, 50.0 + index, train_seconds=[9.0, 0.4, 3.0][index])
            for index in range(3)
        ]
        scores = {"local_mean": 50.0, "global_mean": 45.0}
        path = folder / f"clients-{clients}"
        paths.append(record(path, scores, config=config, zero_shot=scores, rounds=rounds))
    return paths
