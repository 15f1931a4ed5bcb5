"""A benchmark refuses a size that it would otherwise cut without a word."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("name", "words", "told"),
    [
        ("step", "--classes 200", "--classes: 200, and there are names of 1 to 50 classes"),
        ("step", "--classes 0", "--classes: 0, and"),
        ("clients", "--clients 100 10 --participants 50", "--participants: 50 of 10 clients"),
        ("scoring", "any --rounds 1", "--rounds: 1; give 2 at least"),
    ],
)
def test_size_that_would_be_cut_is_refused(
    name: str,
    words: str,
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *words.split()])
    with pytest.raises(SystemExit) as ended:
        import_module(name).main()
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
