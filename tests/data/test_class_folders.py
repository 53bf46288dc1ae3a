"""Folders of classes as people have them: every usual layout is understood and said, or refused; never mixed."""

import os
import shutil
import tempfile
import unicodedata
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitrail.data.file_rules import split_of
from vitrail.data.sources import Source, open_source
from vitrail.errors import DataError

from .conftest import MakeFiles

SPLITS = ("train", "validation", "test")


def counts(source: Source) -> dict[str, dict[str, int]]:
    """Count the images of every class by split."""
    found = {}
    for split in SPLITS:
        images = getattr(source, split)
        if images is not None:
            found[split] = dict(Counter(source.class_names[label] for label in images.labels))
    return found


def two_classes(*folders: str, images: int = 2) -> dict[str, int | bytes]:
    return {f"{folder}/{name}/{n}.png": n for folder in folders for name in ("cat", "dog") for n in range(images)}


def touch(root: Path, layout: str) -> Path:
    """Make empty files: whether they are images is not asked when a data set is opened."""
    for name in layout.split():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


BOTH = {"cat": 2, "dog": 2}

NAMED_SPLITS = {
    ("training_set", "test_set"): ("train", "test"),
    ("seg_train", "seg_test"): ("train", "test"),
    ("trainset", "valset", "testset"): SPLITS,
    ("train_images", "val_images", "test_images"): SPLITS,
    ("images_train", "images_val"): SPLITS[:2],
    ("train2017", "val2017"): SPLITS[:2],
    ("Training", "Test"): ("train", "test"),
    ("TRAIN", "VALID"): SPLITS[:2],
    ("train", "dev"): SPLITS[:2],
    ("train", "eval"): SPLITS[:2],
    ("train", "dev", "eval"): SPLITS,
    ("train", "holdout"): ("train", "test"),
    ("train-data", "hold-out"): ("train", "test"),
    ("Training Data", "Testing Data"): ("train", "test"),
    ("train_dataset", "validation_dataset"): SPLITS[:2],
}


@pytest.mark.parametrize("folders", NAMED_SPLITS, ids=" ".join)
@pytest.mark.parametrize("wrapper", ["", "archive", "a/b c/d"])
@pytest.mark.parametrize("doubled", [False, True])
def test_splits_are_found_by_their_usual_names_in_wrappers_and_once_more_in_themselves(
    tmp_path: Path, folders: tuple[str, ...], wrapper: str, doubled: bool
):
    for folder in folders:
        place = tmp_path / wrapper / folder / (folder if doubled else "")
        for name in ("cat", "dog"):
            (place / name).mkdir(parents=True)
            for n in range(2):
                (place / name / f"{n}.jpg").touch()
    source = open_source(tmp_path, validation_share=0.0)
    assert counts(source) == dict.fromkeys(NAMED_SPLITS[folders], BOTH)
    assert any(repr(wrapper) in note for note in source.notes) == bool(wrapper)


NAMED_TOGETHER = {
    ("asl_alphabet_train", "asl_alphabet_test"): ("train", "test"),
    ("cars_train", "cars_val", "cars_test"): SPLITS,
    ("train1", "test1"): ("train", "test"),
    ("GTSRB_Final_Training_Images", "GTSRB_Final_Test_Images"): ("train", "test"),
    ("ISIC_2020_Train_JPEG", "ISIC_2020_Test_JPEG"): ("train", "test"),
    ("birdsTrain", "birdsTest", "validation"): SPLITS,
}


@pytest.mark.parametrize("folders", NAMED_TOGETHER, ids=" ".join)
@pytest.mark.parametrize("doubled", [False, True])
@pytest.mark.parametrize("below_classes", [False, True])
def test_splits_that_share_all_other_words_of_their_names_are_never_thrown_together(
    tmp_path: Path, folders: tuple[str, ...], doubled: bool, below_classes: bool
):
    for folder in folders:
        for name in ("cat", "dog"):
            place = Path(name, folder) if below_classes else Path(folder, folder if doubled else "", name)
            touch(tmp_path, f"{place}/1.jpg {place}/2.jpg")
    touch(tmp_path, "" if below_classes else "devkit/readme.txt")
    assert counts(open_source(tmp_path, validation_share=0.0)) == dict.fromkeys(NAMED_TOGETHER[folders], BOTH)


def test_a_flat_test_split_called_as_its_wrapper_is_left_out(tmp_path: Path):
    touch(tmp_path, "asl_train/asl_train/A/1.jpg asl_train/asl_train/B/2.jpg asl_test/asl_test/A_test.jpg")
    assert counts(open_source(tmp_path, validation_share=0.0)) == {"train": {"A": 1, "B": 1}}


def test_without_labels_nothing_is_learned_from_such_a_test_split(tmp_path: Path):
    touch(tmp_path, "x_train/cat/1.png x_test/2.png")
    assert open_source(tmp_path, labels=False, validation_share=0.0).train.names == ("x_train/cat/1.png",)


@pytest.mark.parametrize("names", ["train_station test_tube", "passenger_train sailing_ship", "dev_a train_b"])
def test_classes_with_the_words_of_splits_stay_classes(tmp_path: Path, names: str):
    touch(tmp_path, " ".join(f"{name}/1.png" for name in names.split()))
    assert set(open_source(tmp_path, validation_share=0.0).class_names) == set(names.split())


NO_CLASSES = {
    "HAM10000_images_part_1/1.jpg HAM10000_images_part_2/2.jpg HAM10000_metadata.csv": "name HAM10000_metadata.csv",
    "images_001/images/1.png images_002/images/2.png": "parts of one set",
    "fold1/cat/1.png fold1/dog/2.png fold2/cat/3.png fold2/dog/4.png": "parts of one set",
    "train_mini/cat/1.png train_mini/dog/2.png val/cat/3.png val/dog/4.png": "'train_mini' beside 'val'",
    "v1/train/cat/1.png v1/train/dog/1.png v1/test/cat/2.png v1/test/dog/2.png "
    "v2/train/cat/3.png v2/train/dog/3.png v2/test/cat/4.png v2/test/dog/4.png": "name one of them",
    "train_a/cat/1.png test_a/cat/2.png train_b/cat/3.png test_b/cat/4.png": "several folders may be for training",
    "images/1.png images/2.png train.csv": "if train.csv holds their classes",
    "train/train/1.png train/train/2.png test1/test1/3.png": "no class folders",
    "cars_train/cars_train/1.png cars_test/cars_test/2.png": "no class folders",
}


@pytest.mark.parametrize("layout", NO_CLASSES)
def test_folders_that_are_no_classes_are_refused_and_it_is_said_what_they_are(tmp_path: Path, layout: str):
    touch(tmp_path, layout)
    with pytest.raises(DataError, match=NO_CLASSES[layout]):
        open_source(tmp_path)


def test_masks_in_a_folder_beside_the_images_of_a_class_are_no_images_of_it(tmp_path: Path):
    for name in ("COVID", "Normal"):
        touch(tmp_path, f"{name}/images/{name}-1.png {name}/images/{name}-2.png {name}/masks/{name}-1.png")
    source = open_source(tmp_path, validation_share=0.0)
    assert counts(source) == {"train": {"COVID": 2, "Normal": 2}}
    assert any("masks beside their images (2)" in note for note in source.notes)


@pytest.mark.parametrize(
    "word", ["traindeer", "detrain", "trains", "test1", "train2", "latest", "value", "cat_train_ride"]
)
def test_a_word_that_only_looks_like_a_split_is_none(word: str):
    assert split_of(word) is None


def test_a_wrapper_is_entered_past_what_archives_leave_and_folders_without_images(tmp_path: Path):
    touch(
        tmp_path, "archive/cat/1.png archive/dog/1.png __MACOSX/archive/cat/._1.png docs/readme.txt .git/x/1.png a.csv"
    )
    source = open_source(tmp_path, validation_share=0.0)
    assert counts(source) == {"train": {"cat": 1, "dog": 1}}
    assert "The data set is read from the folder 'archive'" in source.notes[0]
    assert source.train.names == ("archive/cat/1.png", "archive/dog/1.png")


def test_without_labels_a_wrapper_with_splits_is_entered_too(tmp_path: Path):
    touch(tmp_path, "d/seg_train/seg_train/cat/1.png d/seg_test/seg_test/cat/2.png")
    source = open_source(tmp_path, labels=False, validation_share=0.0)
    assert (source.train.names, source.test.names) == (
        ("d/seg_train/seg_train/cat/1.png",),
        ("d/seg_test/seg_test/cat/2.png",),
    )


@pytest.mark.parametrize("words", [("train", "test"), ("Training", "valid", "testing"), ("train_set", "dev")])
def test_splits_below_the_classes_are_never_thrown_together(tmp_path: Path, words: tuple[str, ...]):
    for name in ("cat", "dog"):
        for n, word in enumerate(words):
            touch(tmp_path, " ".join(f"{name}/{word}/{i}.png" for i in range(n + 1)))
    found = counts(open_source(tmp_path, validation_share=0.0))
    assert found == {split_of(word): {"cat": n + 1, "dog": n + 1} for n, word in enumerate(words)}


REFUSED = {
    "cat/train/1.png cat/test/1.png dog/1.png": r"cat has folders for the splits .*dog has images of no split",
    "cat/train/1.png cat/test/1.png dog/extra/1.png": "dog has a folder 'extra' too",
    "cat/train/1.png cat/test/1.png cat/3.png dog/train/1.png": "cat has images of no split",
    "cat/val/1.png cat/test/1.png dog/val/1.png": "but none for training",
    "cat/1.png dog/1.png test/cat/1.png test/dog/2.png": "beside a folder 'test' with the same classes",
    "test/cat/1.png test/dog/1.png val/cat/1.png more/1.png": "no folder 'train'",
    "train/cat/1.png train/dog/1.png train_set/cat/1.png": "holds both 'train' and 'train_set'",
    "train/1.png test/1.png": "holds images but no class folders",
    "train/1.png train.csv": "train.csv",
}


@pytest.mark.parametrize("layout", REFUSED)
def test_a_layout_that_could_be_meant_in_two_ways_is_refused(tmp_path: Path, layout: str):
    with pytest.raises(DataError, match=REFUSED[layout]):
        open_source(touch(tmp_path, layout))


@pytest.mark.parametrize("name", ["test", "dev", "valid", "Validation", "eval", "holdout"])
def test_a_class_that_is_called_as_a_split_stays_a_class_and_it_is_said(tmp_path: Path, name: str):
    source = open_source(touch(tmp_path, f"{name}/1.png invalid/1.png other/1.png"), validation_share=0.0)
    assert set(counts(source)["train"]) == {name, "invalid", "other"}
    assert any(note.startswith(f"{name!r} is a class here") for note in source.notes)


def test_a_class_called_train_beside_other_vehicles_stays_a_class(tmp_path: Path):
    source = open_source(touch(tmp_path, "train/1.png car/1.png bus/1.png plane/1.png"), validation_share=0.0)
    assert source.class_names == ("bus", "car", "plane", "train")


def test_classes_called_as_splits_are_classes_within_splits(tmp_path: Path):
    layout = "train/valid/1.png train/invalid/1.png val/valid/2.png val/invalid/2.png"
    assert counts(open_source(touch(tmp_path, layout))) == {split: {"valid": 1, "invalid": 1} for split in SPLITS[:2]}


def test_a_split_with_one_class_only_is_no_wrapper(tmp_path: Path):
    layout = "train/cat/a/1.png train/dog/a/1.png val/cat/a/2.png val/cat/b/2.png"
    assert counts(open_source(touch(tmp_path, layout)))["validation"] == {"cat": 2}


def test_nested_folders_belong_to_the_class_above_and_it_is_said(tmp_path: Path):
    source = open_source(touch(tmp_path, "animals/cat/1.png animals/dog/1.png things/1.png"), validation_share=0.0)
    assert counts(source) == {"train": {"animals": 2, "things": 1}}
    assert source.notes == ("Folders within class folders are no classes of their own ('animals/cat', 'animals/dog').",)


def test_names_with_spaces_numbers_and_other_letters_are_classes_in_natural_order(tmp_path: Path):
    names = ["10", "9", "été", "grüne Äpfel", "日本", "a b", "'quoted'"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").touch()
    assert open_source(tmp_path).class_names == ("9", "10", "'quoted'", "a b", "grüne Äpfel", "été", "日本")


def test_the_same_class_in_composed_and_decomposed_letters_is_one_class(tmp_path: Path):
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    for folder in (f"train/{composed}", "train/tea", f"val/{decomposed}"):
        touch(tmp_path / folder, "1.png")
    assert counts(open_source(tmp_path))["validation"] == {composed: 1}


def test_a_number_of_thousands_of_digits_in_a_name_is_sorted(tmp_path: Path):
    (tmp_path / "list.csv").write_text(f"file,label\n1.png,{'9' * 150}\n2.png,a\n")
    touch(tmp_path, "1.png 2.png")
    assert len(open_source(tmp_path / "list.csv", validation_share=0.0).class_names) == 2


@pytest.mark.skipif(find_spec("pi_heif") is not None, reason="HEIC is read here")
@pytest.mark.parametrize("suffix", [".svg", ".psd", ".CR2", ".npy", ".jxl", ".heic"])
def test_a_class_of_files_that_are_not_read_is_named_with_their_suffix(tmp_path: Path, suffix: str):
    touch(tmp_path, f"cat/1.png dog/1.png bird/1{suffix} bird/2{suffix} bird/x.txt")
    source = open_source(tmp_path, validation_share=0.0)
    assert source.class_names == ("cat", "dog")
    assert any(f"'bird' is left out: its files are {suffix.lower()} (2)" in note for note in source.notes)


def test_a_set_of_files_that_are_not_read_is_refused_with_their_suffix(tmp_path: Path):
    touch(tmp_path, "cat/1.jxl dog/1.jxl dog/2.jxl")
    with pytest.raises(DataError, match=r"holds \.jxl \(3\) files, which vitrail does not read"):
        open_source(tmp_path)


def test_masks_beside_the_images_of_a_class_are_no_images_of_it(tmp_path: Path):
    layout = "benign/b(1).png benign/b(1)_mask.png benign/b(1)_mask_1.png normal/n.png normal/gas_mask.png"
    source = open_source(touch(tmp_path, layout), validation_share=0.0)
    assert counts(source) == {"train": {"benign": 1, "normal": 2}}
    assert source.notes == ("Passed over: masks beside their images (2).",)


def test_links_pipes_and_files_that_lead_nowhere_are_passed_over_and_never_opened(tmp_path: Path):
    touch(tmp_path, "cat/1.png dog/1.png")
    os.mkfifo(tmp_path / "cat" / "pipe.jpg")
    (tmp_path / "cat" / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "dog" / "gone.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "dog" / "link.jpg").symlink_to("1.png")
    for labels in (True, False):
        source = open_source(tmp_path, validation_share=0.0, labels=labels)
        assert source.train.names == ("cat/1.png", "dog/1.png", "dog/link.jpg")
        assert source.notes == ("Passed over: broken links (2), pipes and devices (1).",)


@pytest.mark.parametrize("labels", [True, False])
def test_a_folder_that_may_not_be_read_is_named_and_not_left_out(tmp_path: Path, monkeypatch, labels: bool):
    touch(tmp_path, "cat/1.png dog/1.png")
    scandir = os.scandir

    def refusing(folder):
        if str(folder).endswith("dog"):
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DataError, match=r"the folder .*dog cannot be read \(Permission denied\)"):
        open_source(tmp_path, labels=labels)


def test_names_that_are_not_utf8_are_read(tmp_path: Path):
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    for name in (folder, os.fsencode(tmp_path) + b"/tea"):
        os.mkdir(name)  # noqa: PTH102  (pathlib takes no bytes)
        Path(os.fsdecode(name + b"/\xff1.png")).touch()
    source = open_source(tmp_path, validation_share=0.0)
    assert [os.fsencode(name) for name in source.train.names] == [b"caf\xe9/\xff1.png", b"tea/\xff1.png"]
    assert all(item.is_file() for item in source.train.items)


# --- for evaluation --------------------------------------------------------------------------------------


def test_a_folder_with_only_a_test_split_can_be_opened_for_evaluation(make_files: MakeFiles):
    root = make_files(two_classes("test"))
    with pytest.raises(DataError, match="no folder 'train'"):
        open_source(root)
    assert counts(open_source(root, for_evaluation=True)) == {"test": BOTH}
    shutil.rmtree(root)
    assert counts(open_source(make_files(two_classes("x/test", "x/val")), for_evaluation=True)) == {
        "validation": BOTH,
        "test": BOTH,
    }


def test_images_of_a_single_class_can_be_opened_for_evaluation(tmp_path: Path):
    touch(tmp_path, "cat/2020/1.png cat/2021/2.png")
    source = open_source(tmp_path, for_evaluation=True, known_classes=("cat", "dog"), validation_share=0.0)
    assert counts(source) == {"train": {"cat": 2}}
    table = tmp_path / "list.csv"
    table.write_text("file,label,split\ncat/2020/1.png,cat,test\n")
    assert counts(open_source(table, for_evaluation=True)) == {"test": {"cat": 1}}


def opened_or_refused(path: Path, **options: Any) -> tuple[Source | None, str]:
    """Open a data set, or say why it cannot be opened."""
    try:
        return open_source(path, **options), ""
    except DataError as error:
        return None, str(error)


# --- random layouts --------------------------------------------------------------------------------------

WORDS = "train test val valid dev seg_train images masks labels cat dog B2 b10 .x __MACOSX annotations archive"
NAMES = st.sampled_from([*WORDS.split(" "), "a b"])
FILES = st.sampled_from(["1.png", "2.JPG", "10.png", "x.txt", "x.xml", ".h.png", "1_mask.png", "Thumbs.db", "a.heic"])
PATHS = st.lists(st.tuples(st.lists(NAMES, max_size=3), FILES), min_size=1, max_size=14)


@settings(deadline=None, max_examples=150)
@given(PATHS, st.booleans(), st.booleans())
def test_any_folder_is_opened_without_mixing_splits_or_refused_in_one_sentence(paths, labels, for_evaluation):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        touch(root, "")
        for parts, name in paths:
            path = root.joinpath(*parts, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        source, refusal = opened_or_refused(root, labels=labels, for_evaluation=for_evaluation, validation_share=0.0)
        if source is None:
            assert "\n" not in refusal
            assert str(root) in refusal
            return
        images = [name for split in SPLITS if getattr(source, split) for name in getattr(source, split).names]
        assert len(images) == len(set(images)) > 0
        assert not any(part.startswith((".", "__")) for name in images for part in Path(name).parts)
        assert not labels or "masks" not in source.class_names or "images" not in source.class_names


@pytest.mark.parametrize("words", ["trn vld tst", "Trn Tst", "data_trn data_tst"])
def test_abbreviations_are_splits(words: str, tmp_path: Path) -> None:
    layout = " ".join(f"{split}/{name}/1.png" for split in words.split() for name in ("cat", "dog"))
    source = open_source(touch(tmp_path, layout), validation_share=0.0)
    assert source.class_names == ("cat", "dog")
    assert len(source.train or ()) == 2
    assert len(source.test or ()) == 2


@pytest.mark.parametrize("outer", ["color grayscale segmented", "tr te", "camera_1 camera_2 camera_3"])
@pytest.mark.parametrize("wrapper", ["", "raw/"])
def test_renditions_of_the_same_classes_are_refused(outer: str, wrapper: str, tmp_path: Path) -> None:
    classes = ("apple", "corn", "grape")
    layout = " ".join(f"{wrapper}{one}/{name}/{n}.png" for one in outer.split() for name in classes for n in (1, 2))
    with pytest.raises(DataError, match="each with the same folders of images"):
        open_source(touch(tmp_path, layout))


def test_classes_that_all_have_the_same_few_parts_stay_classes(tmp_path: Path) -> None:
    layout = " ".join(f"{who}/{session}/1.png" for who in ("ann", "bob", "eve") for session in ("first", "second"))
    assert open_source(touch(tmp_path, layout), validation_share=0.0).class_names == ("ann", "bob", "eve")


@pytest.mark.parametrize("inner", ["", "close/", "far/away/"])
def test_the_folder_of_one_class_of_the_model_can_be_evaluated(inner: str, tmp_path: Path) -> None:
    root = touch(tmp_path, f"dress/{inner}1.png dress/{inner}2.png hat/1.png") / "dress"
    source = open_source(root, for_evaluation=True, known_classes=("dress", "hat"), validation_share=0.0)
    assert source.class_names == ("dress",)
    assert len(source.train or ()) == 2


def tiny_imagenet(root: Path) -> Path:
    classes = ("n01", "n02")
    touch(root, " ".join(f"train/{name}/images/{name}_{n}.png" for name in classes for n in range(3)))
    touch(root, "val/images/val_0.png val/images/val_1.png val/images/val_2.png test/images/test_0.png")
    (root / "val" / "val_annotations.txt").write_text(
        "".join(f"val_{n}.png\tn0{n % 2 + 1}\t0\t1\t2\t3\n" for n in range(3))
    )
    return root


def test_the_validation_images_of_tiny_imagenet_have_the_classes_of_their_list(tmp_path: Path) -> None:
    source = open_source(tiny_imagenet(tmp_path), validation_share=0.0)
    assert counts(source) == {"train": {"n01": 3, "n02": 3}, "validation": {"n01": 2, "n02": 1}}


@pytest.mark.parametrize("text", ["val_0.png\tn01\n", "val_0.png n01\nval_1.png n02\nval_2.png n01\n", ""])
def test_a_list_of_classes_that_lacks_images_is_named(text: str, tmp_path: Path) -> None:
    root = tiny_imagenet(tmp_path)
    (root / "val" / "val_annotations.txt").write_text(text)
    with pytest.raises(DataError, match=r"val_annotations\.txt"):
        open_source(root)
