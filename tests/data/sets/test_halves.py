import pytest

from pfedmma_dist.data.sets.entry import Part
from pfedmma_dist.data.sets.halves import hint_of, part_of, parts_of

SPELLINGS = {
    Part.train: "train Train TRAIN Training train_set trainset train-images img_train train2017",
    Part.test: "test Test TESTING test_set testset Test.images test-data TestSplit images_test",
    Part.val: "val Val VALID validation Validation_set dev EVAL valset val2017",
}


@pytest.mark.parametrize("part", SPELLINGS, ids=lambda part: part.value)
def test_part_is_known_in_any_spelling(part):
    assert {part_of(word) for word in SPELLINGS[part].split()} == {part}
    assert part_of(f" {part.value} set ") is part


@pytest.mark.parametrize("name", ["", "set", "trains", "trainer", "tester", "devil", "photo", "1"])
def test_other_words_are_no_part(name):
    assert part_of(name) is None


def test_names_are_grouped_by_part():
    found = parts_of(["Test", "a", "test", "train"])
    assert found == {Part.test: ["Test", "test"], Part.train: ["train"]}


@pytest.mark.parametrize("name", ["train_v2", "trainA", "1_train", "train (1)", "x-TR80"])
def test_part_within_a_name_is_a_hint(name):
    assert hint_of(name) is Part.train
    assert part_of(name) is None


@pytest.mark.parametrize("name", ["trainer", "strain", "latest", "contest", "valley", "tree"])
def test_part_within_a_word_is_no_hint(name):
    assert hint_of(name) is None


def test_width_of_letters_does_not_matter():
    assert part_of("Ｔｒａｉｎ") is Part.train
