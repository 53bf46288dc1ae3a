"""Classes of data are found among those of a model by name, WordNet id or number, or refused in a sentence."""

import pytest

from vitrail.data.imagenet import imagenet_ids, imagenet_names
from vitrail.errors import DataError
from vitrail.tasks.classification.match_classes import is_imagenet, match_classes

NAMES, IDS = imagenet_names(), imagenet_ids()
UNNAMED = tuple(f"class {number}" for number in range(20))


def test_ids_and_names_are_those_of_timm_and_torchvision_in_their_order():
    timm = pytest.importorskip("timm.data")
    from torchvision.models._meta import _IMAGENET_CATEGORIES

    info = timm.ImageNetInfo("imagenet-1k")
    assert [info.index_to_label_name(number) for number in range(1000)] == list(IDS)
    assert list(_IMAGENET_CATEGORIES) == list(NAMES)
    # Two lists of other people's agree on which class stands where.
    lemmas = [info.index_to_description(number).casefold() for number in range(1000)]
    same = sum(name.casefold() in lemma for name, lemma in zip(NAMES, lemmas, strict=True))
    assert same > 950


@pytest.mark.parametrize(
    ("names", "known", "numbers", "how"),
    [
        (("b", "a"), ("a", "b", "c"), (1, 0), ""),
        ((IDS[7], IDS[993]), NAMES, (7, 993), "by WordNet id"),
        (("0007", "993"), NAMES, (7, 993), "by number, from 0"),
        (("Crane_bird", "goldfish"), NAMES, (134, 1), "by name"),
        (("Cardigan", "cardigan"), NAMES, (264, 474), ""),
        (("koala", "tench"), NAMES, (NAMES.index("koala"), 0), ""),
        (("Carassius auratus",), ("tench, Tinca tinca", "goldfish, Carassius auratus"), (1,), "by name"),
        (("tench", "goldfish"), IDS, (0, 1), "by name"),
        (("3", "19"), UNNAMED, (3, 19), "by number, from 0"),
    ],
)
def test_classes_are_matched_and_a_sentence_says_how(names, known, numbers, how):
    found, sentence = match_classes(names, known, "photos")
    assert found == numbers
    assert how in sentence
    assert bool(how) == bool(sentence)


def test_the_thousand_names_of_others_are_known_as_imagenets():
    assert is_imagenet(NAMES)
    assert is_imagenet(IDS)
    assert is_imagenet([f"{name}, another word" for name in NAMES])
    assert not is_imagenet(tuple(reversed(NAMES)))
    assert not is_imagenet(NAMES[:999])


@pytest.mark.parametrize(
    ("names", "known", "said"),
    [
        (("dress", "hat"), NAMES, "not trained on: dress, hat"),
        (tuple("0123456789"), NAMES, "numbered by themselves"),
        (("5", "1000"), NAMES, "numbers classes up to 1,000, and the model has 1,000"),
        (("1", "999", "1000"), NAMES, "numbers begin with 0 here"),
        (("7", "07"), NAMES, "the same number"),
        (("n99999999", IDS[0]), NAMES, "none of ImageNet-1k's thousand"),
        (("CARDIGAN", "tench"), NAMES, "CARDIGAN may be several"),
        (("goldfish", "Goldfish"), NAMES, "several classes that are one"),
        (("goldfish ", "sock puppet"), NAMES, "by name sock puppet are none of them"),
        (("1", "2"), ("cat", "dog", "cow"), "not trained on: 1, 2"),
        ((), NAMES, "none at all"),
    ],
)
def test_what_matches_in_part_or_in_two_ways_is_refused(names, known, said):
    with pytest.raises(DataError, match=said):
        match_classes(names, known, "photos")


def test_a_name_that_two_outputs_share_is_never_taken_for_the_first_of_them():
    with pytest.raises(DataError, match="may be several"):
        match_classes(("crane",), ("crane", "fish", "crane"), "photos")
