"""`data.names` lists the data sets of one federation; what would be none of it is refused."""

import pytest

from pfedmma_dist.config.command_line import from_yaml, read, unread, with_default
from pfedmma_dist.config.identity import digest, run_folder
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.written import to_yaml
from pfedmma_dist.data.sets.registry import SOURCES, sets_of
from pfedmma_dist.methods import METHODS

BOTH = "data.names=[caltech101,folder:own/flowers]"


def config(*words: str) -> Config:
    return read(words, methods=METHODS, sources=SOURCES)


def test_each_set_has_a_section_with_its_part_of_the_clients_its_place_and_its_prompt() -> None:
    cfg = config("data.names=[dtd,folder:own/flowers]", "data.root=D", "data.num_clients=6")
    first, second = sets_of(cfg.data)
    assert (first.name, first.root, first.num_clients, first.names) == ("dtd", "D", 3, None)
    assert (second.name, second.root, second.num_clients) == ("folder", "D/own/flowers", 3)
    assert [own.template for own in (first, second)] == ["a photo of a {}."] * 2
    prompts = sets_of(config("data.names=[dtd,eurosat]", "data.template=coop").data)
    assert [own.template for own in prompts] == [
        SOURCES["dtd"].template,
        SOURCES["eurosat"].template,
    ]


def test_names_are_what_reports_and_run_folders_call_the_data(tmp_path) -> None:
    cfg = config(BOTH)
    assert cfg.data.name == "caltech101+flowers"
    assert run_folder(cfg, METHODS).name.startswith("caltech101+flowers-pfedmma-")
    assert digest(cfg, METHODS) != digest(config("data.names=[caltech101]"), METHODS)
    (tmp_path / "config.yaml").write_text(to_yaml(cfg))
    again = from_yaml(tmp_path / "config.yaml", methods=METHODS, sources=SOURCES)
    assert again == cfg


@pytest.mark.parametrize(
    "words, told",
    [
        ([BOTH, "data.name=dtd"], "data.name: 'dtd' and data.names: [caltech101, folder:own/flow"),
        (["data.names=[]"], "data.names: [] lists no data set; name some"),
        (["data.names=[dtd,dt]"], "data.names: 'dt' is unknown; did you mean dtd?"),
        (["data.names=[dtd,folder:x/dtd]"], "data.names: 'dtd' stands there 2 times"),
        ([BOTH, "data.classes=[cat]"], "data.classes: it says something of a single data set"),
        ([BOTH, "data.template=coop"], "data.template: folder has no prompt of its own"),
    ],
)
def test_list_that_makes_no_federation_is_refused(words: list[str], told: str) -> None:
    with pytest.raises(ValueError) as error:
        config(*words)
    assert told in str(error.value)


def test_clients_that_cannot_be_shared_out_are_refused() -> None:
    with pytest.raises(
        ValueError, match="9 clients cannot .* 2 data sets .caltech101, flowers.; set"
    ):
        sets_of(config(BOTH, "data.num_clients=9").data)


def test_run_of_several_sets_can_be_asked_for_one(tmp_path) -> None:
    (tmp_path / "config.yaml").write_text(to_yaml(config(BOTH)))
    with pytest.raises(ValueError, match="'dtd' and data.names: .*in .*config.yaml.*=null to read"):
        config(str(tmp_path / "config.yaml"), "data.name=dtd")
    other = config(str(tmp_path / "config.yaml"), "data.name=dtd", "data.names=null")
    assert (other.data.name, other.data.names) == ("dtd", None)


def test_list_is_a_data_set_to_those_who_look_for_one() -> None:
    assert with_default([BOTH]) == [BOTH]
    words = ["data.names=[glyphs,dtd]", "data.difficulty=0.1", "data.beta=1"]
    assert list(unread(words, config(*words))) == ["data.beta"]
