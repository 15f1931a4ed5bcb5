"""A whole run with attackers keeps who they are, what they reach and whom the server left out."""

import json
from pathlib import Path

from runs import call, make_lab

from pfedmma_dist.run.metrics import read_metrics


def test_backdoored_run_tells_of_attackers_success_and_those_left_out(tmp_path: Path) -> None:
    lab = make_lab(tmp_path)
    words = lab.words(
        "run", method__name="promptfl", attack__name="backdoor", attack__share=0.25,
        attack__scale=2, server__name="krum", server__byzantine=0, federation__rounds=1,
    )  # fmt: skip
    assert call(words) == 0
    result = json.loads((lab.folder("run") / "result.json").read_text())
    [bad] = result["attackers"]
    rows = (lab.folder("run") / "clients.csv").read_text().splitlines()
    table = [dict(zip(rows[0].split(","), row.split(","), strict=True)) for row in rows[1:]]
    for client, row in enumerate(table):
        assert (row["attackers_percent"] != "") == (client == bad) == (row["local_percent"] == "")
        assert client != bad or row["backdoor_percent"] == ""
    scores = [own["scores"]["backdoor_mean"] for own in result["results"]]
    assert len(scores) == 2  # zero-shot CLIP's beside it
    assert read_metrics(lab.folder("run") / "metrics.csv")["backdoor_mean_percent"][0] == scores[1]
    left_out = (lab.folder("run") / "dropped.csv").read_text().splitlines()[1].split(",")
    assert left_out[0] == "0" and len(left_out[3].split()) == 3
    assert "with a trigger" in (lab.folder("run") / "images.csv").read_text()
