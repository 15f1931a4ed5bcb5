"""What keeps one rank from beginning, or tells it from the others, ends all of them and is told."""

import json
import os
from pathlib import Path

import pytest
import torch
from ranks import ranks
from runs import Lab, make_lab

from pfedmma_dist import evaluate, train
from pfedmma_dist.clip.load import untrained
from pfedmma_dist.command import MEND

WHOLE = '''
from pfedmma_dist.methods import register
from pfedmma_dist.methods.promptfl import PromptFL


@register
class Mine(PromptFL):
    """Mine: PromptFL by another name."""

    name = "mine"
'''


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return make_lab(tmp_path_factory.mktemp("apart"))


def apart(words: list[str]) -> int:
    """Train with the words of this rank: those that begin with another's number are left out."""
    own = f"{os.environ['RANK']}:"
    return train.main([w.removeprefix(own) for w in words if w[1:2] != ":" or w.startswith(own)])


def told(words: list[str], logs: Path) -> list[str]:
    """Start three ranks that must all be refused; return the errors that they print."""
    with ranks(words, logs, size=3, main=apart) as started:
        assert [started.code(rank) for rank in range(3)] == [MEND] * 3
        lines = "".join(log.read_text() for log in started.logs).splitlines()
    assert not any("Traceback" in line for line in lines)
    return [line for line in lines if "error: " in line]


def words_of(lab: Lab, key: str, usual: object, other: object, at: int) -> list[str]:
    """Return the words of a run whose key one rank alone has otherwise."""
    each = [f"{rank}:{key}={other if rank == at else usual}" for rank in range(3)]
    return [*(word for word in lab.words("refused") if not word.startswith(f"{key}=")), *each]


@pytest.mark.parametrize("rank", [0, 2])
def test_plugin_that_one_rank_cannot_import_is_told_with_the_rank(
    lab: Lab, tmp_path: Path, rank: int
) -> None:
    (tmp_path / "whole.py").write_text(WHOLE)
    (tmp_path / "broken.py").write_text("import no_such_module\n")
    places = (f"[{tmp_path / name}.py]" for name in ("whole", "broken"))
    words = [*words_of(lab, "plugins", *places, rank), "method.name=mine"]
    [line] = told(words, tmp_path / "logs")
    assert line.startswith(f"error: plugins: {tmp_path}/broken.py cannot be imported: ModuleNotFou")
    assert rank == 0 or f"(rank {rank} of 3, on host " in line
    assert not lab.folder("refused").exists()


def test_each_rank_that_cannot_begin_is_told_with_its_own_reason(lab: Lab, tmp_path: Path) -> None:
    words = [*lab.words("refused"), "0:optim.lrr=1", "2:federation.ronds=2"]
    first, second = told(words, tmp_path / "logs")
    assert first.startswith("error: unknown key optim.lrr") and "rank" not in first
    assert second.startswith("error: unknown key federation.ronds") and "(rank 2 of 3" in second


def test_slip_of_all_ranks_is_told_once(lab: Lab, tmp_path: Path) -> None:
    [line] = told([*lab.words("refused"), "optim.lrr=1"], tmp_path / "logs")
    assert line.startswith("error: unknown key optim.lrr") and "rank" not in line


@pytest.mark.parametrize(
    ("key", "usual", "other"),
    [("optim.lr", 0.05, 0.01), ("run.checkpoint_every", 2, 3), ("evaluate.full_every", 0, 2)],
)
def test_ranks_with_other_keys_are_refused_by_key(
    lab: Lab, tmp_path: Path, key: str, usual: object, other: object
) -> None:
    [line] = told(words_of(lab, key, usual, other, 1), tmp_path / "logs")
    assert line.startswith(f"error: {key}: {other} on rank 1, ")
    assert line.endswith("give all ranks the same words, and all hosts the same files")
    assert not lab.folder("refused").exists()


def test_ranks_with_other_code_of_a_plugin_are_refused(lab: Lab, tmp_path: Path) -> None:
    for name, more in (("one", ""), ("other", "# older\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text(WHOLE + more)
    places = (f"[{tmp_path / name / 'mine.py'}]" for name in ("one", "other"))
    words = [*words_of(lab, "plugins", *places, 2), "method.name=mine"]
    [line] = told(words, tmp_path / "logs")
    assert line.startswith("error: plugins: mine.py ") and " on rank 2, mine.py " in line


def test_data_that_one_rank_cannot_read_is_told_with_the_rank(lab: Lab, tmp_path: Path) -> None:
    words = words_of(lab, "data.root", lab.data, tmp_path / "absent", 1)
    [line] = told(words, tmp_path / "logs")
    assert line.startswith("error: data.root: ") and "(rank 1 of 3, and not rank 0)" in line


def test_ranks_that_list_other_images_are_refused(lab: Lab, tmp_path: Path) -> None:
    fewer = make_lab(tmp_path, train_images=(6, 4, 5, 6, 2, 2, 2, 3)).data
    [line] = told(words_of(lab, "data.root", lab.data, fewer, 1), tmp_path / "logs")
    assert line.startswith("error: data.root: rank 1 lists 54 images of 8 classes")
    assert "and rank 0 53 images of 8 classes" in line


def test_ranks_with_other_weights_are_refused(lab: Lab, tmp_path: Path) -> None:
    files = [tmp_path / f"{seed}.pt" for seed in (1, 2)]
    for seed, file in enumerate(files):
        torch.save(untrained(str(lab.path / "clip.json"), seed).state_dict(), file)
    [line] = told(words_of(lab, "clip.pretrained", *files, 1), tmp_path / "logs")
    assert line.startswith("error: clip.pretrained: rank 1 has read another than rank 0; give all")


def test_ranks_with_other_names_of_classes_are_refused(lab: Lab, tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.json" for name in ("cat", "dog")]
    for file in files:
        file.write_text(json.dumps({"class_0": file.stem}))
    [line] = told(words_of(lab, "data.class_names", *files, 2), tmp_path / "logs")
    assert line.startswith("error: data.class_names, or the set's own: rank 2 has read another ")


def test_run_folder_that_one_rank_does_not_see_is_told(lab: Lab, tmp_path: Path) -> None:
    with ranks([str(tmp_path / "no run")], tmp_path / "logs", main=evaluate.main) as started:
        assert [started.code(rank) for rank in (0, 1)] == [MEND, MEND]
        lines = "".join(log.read_text() for log in started.logs).splitlines()
    assert len(lines) == 1 and "give a run folder, one with a config.yaml" in lines[0]
