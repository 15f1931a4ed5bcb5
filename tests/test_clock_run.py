"""A whole run by the clock: what it leaves behind, a restart between updates, other devices."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from runs import Lab, alone, call, make_lab, outcome, refusal

from pfedmma_dist import evaluate
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.reading import read_rows
from pfedmma_dist.run.metrics import read_metrics

HEAD = "client,flops_per_second,up_bits_per_second,down_bits_per_second,dropout"
LINES = ("0,1e9,1e6,1e7,0", "1,5e8,1e6,1e7,0.5", "2,1e8,1e5,1e6,0", "3,2e9,5e6,1e7,0")


def words(lab: Lab, name: str) -> list[str]:
    """Return the command of a run whose server makes an update of two uploads."""
    keys = {"asynchrony": "fedbuff", "buffer": 2, "fleet": "file", "dropouts": "true"}
    keys |= {"profiles": lab.path / "profiles.csv"}
    own = {"federation__first_round_all": "false", "run__checkpoint_every": 1}
    return lab.words(name, **own, **{f"system__{key}": value for key, value in keys.items()})


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A run that is whole, and one like it that was killed in its third round."""
    lab = make_lab(tmp_path_factory.mktemp("clock"))
    (lab.path / "profiles.csv").write_text("\n".join([HEAD, *LINES, ""]))
    assert call(words(lab, "whole")) == 0
    through = Federation.round

    def dies(federation: Federation, index: int, *rest: object) -> object:
        if index == 2:
            raise SystemExit(9)
        return through(federation, index, *rest)

    with pytest.MonkeyPatch.context() as context, pytest.raises(SystemExit):
        context.setattr(Federation, "round", dies)
        call(words(lab, "cut"))
    return lab


def test_run_leaves_its_hours_behind(lab: Lab) -> None:
    folder = lab.folder("whole")
    metrics, rows = read_metrics(folder / "metrics.csv"), rows_of(folder)
    assert np.allclose(np.cumsum(metrics["simulated_seconds"]), metrics["simulated_so_far"])
    for index in range(4):
        fates = [row["fate"] for row in rows if int(row["round"]) == index]
        told = [metrics[f"clients_{fate}"][index] for fate in ("arrived", "late", "lost")]
        assert told == [fates.count("arrived"), 0, fates.count("lost")] and told[0] == 2
    assert any(int(row["from_round"]) < int(row["round"]) for row in rows)
    told = json.loads((folder / "result.json").read_text())["simulated"]
    assert told["arrived"] == 8 and told["rounds_without_upload"] == 0
    assert told["seconds"] == pytest.approx(metrics["simulated_so_far"][-1])


def rows_of(folder: Path) -> list[dict[str, str]]:
    columns = ["round", "client", "from_round", "seconds", "fate"]
    return read_rows(folder / "clock.csv", columns, "")


def test_killed_run_goes_on_between_updates_unless_devices_are_others(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(lab.path, tmp_path / "lab")
    file = lab.path / "profiles.csv"
    kept = file.read_text()
    file.write_text(kept.replace("0,1e9,", "0,2e9,"))
    assert "the simulated devices or the operations" in refusal(capsys, words(lab, "cut"))
    file.write_text(kept)
    moved = [f"{key}={copy / 'profiles.csv'}" for key in ("system.profiles",)]
    assert call([*words(lab, "cut"), *moved]) == 0  # a file may lie elsewhere
    assert outcome(lab.folder("cut")) == outcome(lab.folder("whole"))
    tables = [(lab.folder(name) / "clock.csv").read_text() for name in ("cut", "whole")]
    assert tables[0] == tables[1]
    with alone():
        assert evaluate.main([str(lab.folder("cut"))]) == 0


def test_run_without_a_clock_has_no_column_of_it(tmp_path: Path) -> None:
    lab = make_lab(tmp_path)
    assert call(lab.words("plain", federation__rounds=1)) == 0
    with open(lab.folder("plain") / "metrics.csv", newline="") as file:
        assert not [name for name in next(csv.reader(file)) if "simulated" in name or "_l" in name]
    assert not (lab.folder("plain") / "clock.csv").exists()
    assert "simulated" not in json.loads((lab.folder("plain") / "result.json").read_text())
