"""The report: tables and TensorBoard hold what was handed in, once, also after a resume."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from dealt import dealt
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pfedmma_dist.run.folder import EVENTS, RunFolder
from pfedmma_dist.run.metrics import MetricsFile, columns, read_metrics
from pfedmma_dist.run.record import ClientTable, MethodResult, RoundRecord
from pfedmma_dist.run.report import Report
from pfedmma_dist.world import World

CLIENTS = ClientTable.count(4, *dealt(3, lambda client: np.array([client, client, 3])))
SCORES = {
    "local": np.array([100.0, 80.0, 60.0]),
    "base": np.array([40.0, np.nan, 40.0]),
    "novel": np.array([40.0, 40.0, 40.0]),
}
COLUMNS = columns(SCORES)
RESULT = MethodResult(
    name="pfedmma", scores={"local_mean": 80.0}, trained=12, up_numbers=3, down_numbers=3,
    up_bytes=12, down_bytes=12, seconds=1.5,
)  # fmt: skip


def record(round_index: int, scores: dict[str, np.ndarray] = SCORES) -> RoundRecord:
    return RoundRecord(
        round_index=round_index, loss=1.5 + round_index, samples=100, train_seconds=2.0,
        client_up_bytes=12, client_down_bytes=16, rank_bytes=24, scores=scores,
        epsilon=1.0 + round_index,
    )  # fmt: skip


def open_report(
    path: Path,
    start_round: int = 0,
    world: World | None = None,
    clients: ClientTable = CLIENTS,
    scopes: Sequence[str] = tuple(SCORES),
) -> Report:
    folder = RunFolder(path)
    folder.create()
    config = {"seed": 1, "optim.lr": 0.1, "run.deterministic": True, "clip.pretrained": None}
    world = world or World.alone()
    return Report(folder, world, clients, scopes, config, "seed: 1\n", start_round)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of four rounds, killed after round 2 (unscored) and resumed at round 2."""
    path = tmp_path_factory.mktemp("run")
    with open_report(path) as report:
        report.round(record(0))
        report.round(record(1, {}))
        report.round(record(2, {"local": np.array([1.0, 1.0, 1.0])}))
    with open_report(path, start_round=2) as report:
        report.round(record(2))
        report.round(record(3))
        report.finish(SCORES, {"local_mean": 70.0}, [RESULT], {"rounds": 4})
    return RunFolder(path)


@pytest.fixture(scope="module")
def events(finished: RunFolder) -> EventAccumulator:
    accumulator = EventAccumulator(str(finished.tensorboard), size_guidance={"histograms": 0})
    accumulator.Reload()
    return accumulator


def test_metrics_has_each_round_once_after_a_resume(finished: RunFolder) -> None:
    metrics = read_metrics(finished.metrics)
    assert metrics["round"].tolist() == [0, 1, 2, 3]
    assert metrics["loss"].tolist() == [1.5, 2.5, 3.5, 4.5]
    assert metrics["local_mean_percent"][[0, 2, 3]].tolist() == [80.0, 80.0, 80.0]
    assert np.isnan(metrics["local_mean_percent"][1])
    assert metrics["samples_per_second"].tolist() == [50.0] * 4


def test_metrics_is_readable_while_the_run_goes_on(tmp_path: Path) -> None:
    report = open_report(tmp_path)
    report.round(record(0))
    assert len(read_metrics(tmp_path / "metrics.csv")["round"]) == 1
    report.close()


def test_line_cut_off_by_a_crash_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    MetricsFile(path, 0, COLUMNS).append({"round": 0, "loss": 1.0})
    path.write_text(path.read_text() + "1,0.5,")
    MetricsFile(path, 2, COLUMNS).append({"round": 2})
    assert read_metrics(path)["round"].tolist() == [0, 2]
    assert path.read_text().splitlines()[0] == ",".join(COLUMNS)


def test_tensorboard_has_every_tag_and_only_the_resumed_values(events: EventAccumulator) -> None:
    wanted = {tag for tag in COLUMNS.values() if tag} - {"cost/gpu_mib"}
    assert set(events.Tags()["scalars"]) == wanted
    loss = [(event.step, event.value) for event in events.Scalars("train/loss")]
    assert loss == [(0, 1.5), (1, 2.5), (2, 3.5), (3, 4.5)]
    assert [event.value for event in events.Scalars("accuracy/local")] == [80.0, 80.0, 80.0]
    assert events.Scalars("accuracy/hm")[-1].value == pytest.approx(48.0)  # of 80, 40, 40
    assert [event.step for event in events.Histograms("clients/local")] == [0, 2, 3]


def test_no_tag_has_two_kinds_of_values(events: EventAccumulator) -> None:
    tags = events.Tags()  # TensorBoard would show one of them
    assert not {*tags["scalars"]} & {*tags["histograms"], *tags["images"]}


def test_tensorboard_has_config_hparams_and_figures(events: EventAccumulator) -> None:
    tags = events.Tags()
    assert "config/text_summary" in tags["tensors"]
    assert "_hparams_/session_start_info" in events.summary_metadata
    assert "_hparams_/session_end_info" in events.summary_metadata
    assert set(tags["images"]) == {
        "figures/classes_per_client",
        "figures/accuracy_over_rounds",
        "figures/local_versus_novel",
    }


def test_tensorboard_asks_all_runs_what_their_hparams_are(events: EventAccumulator) -> None:
    assert "_hparams_/experiment" not in events.summary_metadata  # one run's would be all runs'


def test_tensorboard_names_the_run_after_its_folder(finished: RunFolder) -> None:
    written = list(finished.path.rglob(f"{EVENTS}*"))
    assert written
    assert {path.parent for path in written} == {finished.path}


def test_figures_are_saved(finished: RunFolder) -> None:
    names = sorted(path.name for path in finished.figures.iterdir())
    assert names == ["accuracy_over_rounds.png", "classes_per_client.png", "local_versus_novel.png"]


def test_clients_table_has_sizes_classes_and_scores(finished: RunFolder) -> None:
    assert finished.clients.read_text().splitlines() == [
        "client,train_images,classes,local_percent,base_percent,novel_percent",
        "0,3,2,100,40,40",
        "1,3,2,80,,40",
        "2,3,2,60,40,40",
    ]


def test_result_holds_the_rows_of_the_table(finished: RunFolder) -> None:
    result = json.loads(finished.result.read_text())
    assert result["rounds"] == 4
    assert [MethodResult(**row) for row in result["results"]] == [RESULT]


SHIFTED = {"local": SCORES["local"], "global": SCORES["novel"]}
DOMAINS = {"photo, old": np.array([0, 1]), "sketch": np.array([2])}


@pytest.fixture(scope="module")
def shifted(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run over two domains, scored in full at the end of two rounds."""
    folder = RunFolder(tmp_path_factory.mktemp("shifted"))
    clients = ClientTable.count(4, *dealt(3, lambda client: np.array([client, 3])), DOMAINS)
    with open_report(folder.path, clients=clients, scopes=list(SHIFTED)) as report:
        report.round(record(0, {"local": SHIFTED["local"]}))
        report.round(record(1, SHIFTED))
        zero_shot = {"local_mean": 50.0, "domain_photo, old_mean": 40.0, "domain_sketch_mean": 20.0}
        report.finish(SHIFTED, zero_shot, [RESULT], {})
    return folder


def test_columns_are_those_of_the_runs_scopes_and_domains(shifted: RunFolder) -> None:
    metrics = read_metrics(shifted.metrics)
    assert [name for name in metrics if name.endswith("_percent")] == [
        "local_mean_percent",
        "local_worst_decile_percent",
        "local_std_percent",
        "global_mean_percent",
        "domain_photo, old_mean_percent",
        "domain_sketch_mean_percent",
    ]
    assert metrics["domain_photo, old_mean_percent"].tolist() == [90.0, 90.0]
    np.testing.assert_array_equal(metrics["global_mean_percent"], [np.nan, 40.0])


def test_domains_are_drawn_and_have_tags(shifted: RunFolder) -> None:
    events = EventAccumulator(str(shifted.tensorboard))
    events.Reload()
    tags = events.Tags()
    assert {"domain/sketch", "domain/photo, old", "accuracy/global"} <= set(tags["scalars"])
    assert not {tag for tag in tags["scalars"] if tag.startswith(("accuracy/hm", "accuracy/base"))}
    drawn = {"accuracy_over_rounds", "classes_per_client", "domains", "local_versus_global"}
    assert set(tags["images"]) == {f"figures/{name}" for name in drawn}
    assert {path.stem for path in shifted.figures.iterdir()} == drawn


def test_clients_table_names_the_domain(shifted: RunFolder) -> None:
    assert shifted.clients.read_text().splitlines() == [
        "client,domain,train_images,classes,local_percent,global_percent",
        '0,"photo, old",2,2,100,40',
        '1,"photo, old",2,2,80,40',
        "2,sketch,2,2,60,40",
    ]


def test_run_without_rounds_has_its_final_scores_in_tensorboard(tmp_path: Path) -> None:
    with open_report(tmp_path) as report:
        report.finish(SCORES, {"local_mean": 70.0}, [RESULT], {"rounds": 0})
    accumulator = EventAccumulator(str(tmp_path))
    accumulator.Reload()
    assert [(event.step, event.value) for event in accumulator.Scalars("accuracy/local")] == [
        (0, pytest.approx(np.nanmean(SCORES["local"])))
    ]


def test_run_that_was_never_scored_has_no_accuracy_figure(tmp_path: Path) -> None:
    with open_report(tmp_path) as report:
        report.round(record(0, {}))
        report.finish({}, {}, [RESULT], {})
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["classes_per_client.png"]


def test_other_ranks_write_nothing(tmp_path: Path) -> None:
    other = World(1, 2, 1, 2, World.alone().device)
    with open_report(tmp_path, world=other) as report:
        report.round(record(0))
        report.finish(SCORES, {}, [RESULT], {})
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def python(code: str) -> None:
    """Run code in a fresh interpreter, where nothing is imported yet."""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_report_imports_matplotlib_when_it_draws_and_pyplot_never(tmp_path: Path) -> None:
    python(
        "import sys, pfedmma_dist.run.report\n"
        "assert not {'tensorboard', 'matplotlib'} & sys.modules.keys()\n"
        "import numpy as np\n"
        "from pathlib import Path\n"
        "from pfedmma_dist.run import drawing, figures\n"
        "scores = {'local': np.ones(3), 'novel': np.ones(3)}\n"
        f"path = Path({str(tmp_path / 'a.png')!r})\n"
        "drawing.save(figures.own_versus('novel', scores, {}), path)\n"
        "assert drawing.stored(path).shape[2] == 3\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
