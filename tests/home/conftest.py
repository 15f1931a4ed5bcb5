"""What the tests of this folder share: one finished run, which none of them may change."""

import pytest
from runs import Lab, call, make_lab


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab with a finished run of pFedMMA, `done`."""
    lab = make_lab(tmp_path_factory.mktemp("home"))
    own = {"method__name": "pfedmma", "evaluate__every": 0, "federation__rounds": 2}
    assert call(lab.words("done", **own)) == 0
    return lab
