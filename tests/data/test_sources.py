"""Every layout is understood, and every mistake is told in one sentence."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitrail.data.sources import Source, open_source, stratified
from vitrail.errors import DataError

from .conftest import MakeFiles


def lengths(source: Source) -> tuple[int | None, ...]:
    return tuple(None if split is None else len(split) for split in (source.train, source.validation, source.test))


def names(source: Source, split: str) -> list[tuple[str, str]]:
    images = getattr(source, split)
    labels = [source.class_names[label] for label in images.labels]
    return list(zip(images.names, labels, strict=True))


def flowers(make_files: MakeFiles) -> Path:
    return make_files({f"{name}/{i}.png": i for name in ("rose", "iris") for i in range(10)})


def test_digits_are_built_in_and_always_split_alike():
    source = open_source("digits", seed=5)
    assert lengths(source) == (1297, 200, 300)
    assert source.class_names == tuple("0123456789")
    assert source.notes == ()
    parts = [source.train, source.validation, source.test]
    assert len({name for part in parts if part for name in part.names}) == 1797
    for part in parts:
        counts = Counter(part.labels)
        assert max(counts.values()) - min(counts.values()) <= 0.02 * len(part)
    assert source.test.names[:5] == open_source("digits").test.names[:5]
    values = np.stack([np.asarray(item) for item in source.train.items])
    assert (values.shape[1:], values.min(), values.max()) == ((8, 8), 0, 255)
    assert lengths(open_source("digits", labels=False)) == (1297, 200, 300)
    assert open_source("digits", labels=False).train.labels is None


def test_a_folder_per_class_is_split_in_proportion_and_the_user_is_told(make_files: MakeFiles):
    root = make_files({f"{name}/{i}.png": i for name, count in (("a", 20), ("b", 5), ("c", 1)) for i in range(count)})
    source = open_source(root, seed=1)
    assert source.name == "things"
    assert source.class_names == ("a", "b", "c")
    assert Counter(source.validation.labels) == {0: 4, 1: 1}
    assert Counter(source.train.labels) == {0: 16, 1: 4, 2: 1}
    assert set(source.train.items).isdisjoint(source.validation.items)
    assert source.notes == (
        "There is no validation split: 5 of 26 training images, chosen by seed 1, "
        "are kept out of training for validation.",
    )
    assert open_source(root, seed=1).validation.items == source.validation.items
    assert open_source(root, seed=2).validation.items != source.validation.items
    assert lengths(open_source(root, validation_share=0.0)) == (26, None, None)


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [("train", "val", "test"), ("Training", "valid", "testing"), ("train", "validation", "TEST")],
)
def test_folders_for_the_splits_are_taken_as_they_are(make_files: MakeFiles, train, validation, test):
    root = make_files({f"{s}/{c}/x{i}.jpg": i for s in (train, validation, test) for c in "ab" for i in range(2)})
    source = open_source(root)
    assert lengths(source) == (4, 4, 4)
    assert names(source, "validation")[0] == (str(Path(validation, "a", "x0.jpg")), "a")
    assert source.notes == ()


def test_classes_and_images_come_in_natural_order_at_any_depth(make_files: MakeFiles):
    root = make_files({"class10/p10.png": 0, "class10/p2.png": 0, "class2/deep/er/p1.png": 0, "Class3/p.PNG": 0})
    source = open_source(root, validation_share=0.0)
    assert source.class_names == ("class2", "Class3", "class10")
    assert [Path(name).name for name in source.train.names] == ["p1.png", "p.PNG", "p2.png", "p10.png"]


def test_what_is_no_image_is_passed_over_and_counted(make_files: MakeFiles):
    root = make_files(
        {
            "a/1.png": 0,
            "b/1.png": 0,
            "loose.png": 0,
            "a/.1.png": 0,
            ".git/x.png": 0,
            "a/notes.txt": b"",
            "empty/x.csv": b"",
        }
    )
    source = open_source(root, validation_share=0.0)
    assert names(source, "train") == [(str(Path("a", "1.png")), "a"), (str(Path("b", "1.png")), "b")]
    assert source.notes == (
        "Passed over: class folders without images (1), files that are no images (2), "
        "hidden files (1), images outside the class folders (1).",
    )


def test_without_labels_any_folder_will_do(make_files: MakeFiles):
    root = make_files({"1.png": 0, "deep/2.png": 0, "deep/er/3.png": 0, "deep/er/4.png": 0, "5.png": 1})
    source = open_source(root, labels=False)
    assert lengths(source) == (4, 1, None)
    assert source.train.labels is None
    assert source.class_names == ()


def test_test_images_without_class_folders_are_passed_over(make_files: MakeFiles):
    root = make_files({"train/a/1.png": 0, "train/b/1.png": 0, "test/1.png": 0, "test/2.png": 0})
    source = open_source(root, validation_share=0.0)
    assert lengths(source) == (2, None, None)
    assert source.notes == ("Passed over: test images without class folders (2).",)


def test_a_link_to_the_folder_above_does_not_go_round_for_ever(make_files: MakeFiles):
    root = make_files({"a/1.png": 0, "b/1.png": 0})
    (root / "a" / "up").symlink_to(root / "a")
    assert lengths(open_source(root, validation_share=0.0)) == (2, None, None)


def test_a_linked_class_folder_counts(make_files: MakeFiles, tmp_path: Path):
    root = make_files({"a/1.png": 0, "b/1.png": 0})
    (root / "b").rename(tmp_path / "elsewhere")
    (root / "b").symlink_to(tmp_path / "elsewhere")
    assert open_source(root, validation_share=0.0).class_names == ("a", "b")


@pytest.mark.parametrize("heading", ["file,label", "\ufefffilename, class"])
def test_a_csv_names_files_and_classes(make_files: MakeFiles, heading: str):
    rows = f"{heading}\nimages/1.png,10\nimages/2.png,2\n"
    root = make_files({"images/1.png": 0, "images/2.png": 1, "list.csv": rows.encode()})
    source = open_source(root / "list.csv", validation_share=0.0)
    assert source.name == "list.csv"
    assert source.class_names == ("2", "10")
    assert names(source, "train") == [("images/1.png", "10"), ("images/2.png", "2")]


def test_a_csv_can_hold_the_split(make_files: MakeFiles):
    rows = b"split,label,file\ntrain,a,1.png\nval,b,2.png\nTest,a,3.png\n,b,4.png\n"
    root = make_files({**{f"{i}.png": i for i in (1, 2, 3, 4)}, "list.csv": rows})
    source = open_source(root / "list.csv")
    assert lengths(source) == (2, 1, 1)
    assert names(source, "train") == [("1.png", "a"), ("4.png", "b")]
    assert lengths(open_source(root / "list.csv", labels=False)) == (2, 1, 1)


BAD_FOLDERS = {
    "train/a/1.png train/b/1.png val/c/1.png": r"folder .*val has the class 'c', which is not in the training split",
    "train/cat/1.png train/dog/1.png val/cats/1.png": "did you mean 'cat'?",
    "train/a/1.png train/b/1.png val/a/notes.txt": "val holds no images",
    "train/a/1.png training/a/1.png": "holds both 'train.*' and 'train.*'; keep one of them",
    "val/a/1.png test/a/1.png": "holds '(val|test)' and '(val|test)' but no folder 'train'",
    "1.png 2.png": "holds images but no class folders; put those of each class into a folder named after it",
    "a/1.png a/2.png": "has only one class, 'a'; to tell classes apart takes two",
    "a/1.txt b/2.txt": r"holds no images \(.*\.bmp, \.gif, ",
    "notes.txt": "holds no images",
}


@pytest.mark.parametrize("layout", BAD_FOLDERS)
def test_a_folder_that_cannot_work_is_refused_in_one_sentence(make_files: MakeFiles, layout: str):
    root = make_files({name: b"" if name.endswith("txt") else 0 for name in layout.split()})
    with pytest.raises(DataError, match=BAD_FOLDERS[layout]) as caught:
        open_source(root)
    assert str(root) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_folder_without_labels_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="holds no images"):
        open_source(tmp_path, labels=False)


BAD_CSVS = {
    "": "needs a column 'file'; its columns are missing",
    "name,label\n1.png,a\n": "needs a column 'file'; its columns are 'name', 'label'",
    "file,kind\n1.png,a\n": "needs a column 'label'; its columns are 'file', 'kind'",
    "file,label\n": "has no rows below its heading",
    "file,label\n1.png,a\n9.png,b\n": r"line 3: there is no file .*9\.png",
    "file,label\n1.png,\n": "line 2: the column 'label' is empty",
    "file,label\n1.png\n": "line 2: the column 'label' is empty",
    "file,label,split\n1.png,a,trian\n": "line 2: 'trian' is no split; did you mean 'train'",
    "file,label,split\n1.png,a,fold7\n": "line 2: 'fold7' is no split; use train, val or test",
    "file,label,split\n1.png,a,test\n": "has no row whose split is 'train'",
    "file,label,split\n1.png,a,\n2.png,b,\n2.png,c,val\n": "the split 'validation' of .* has the class 'c'",
    "file,label\n1.png,a\n2.png,a\n": "has only one class, 'a'",
}


@pytest.mark.parametrize("text", BAD_CSVS)
def test_a_csv_that_cannot_work_is_refused_in_one_sentence(make_files: MakeFiles, text: str):
    root = make_files({"1.png": 0, "2.png": 0, "list.csv": text.encode()})
    with pytest.raises(DataError, match=BAD_CSVS[text]) as caught:
        open_source(root / "list.csv")
    assert str(root / "list.csv") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_csv_that_is_not_text_is_refused_in_one_sentence(make_files: MakeFiles):
    root = make_files({"list.csv": b"\xff\xfe\x00\x01 file,label"})
    with pytest.raises(DataError, match=r"list\.csv is not a CSV file in UTF-8"):
        open_source(root / "list.csv")


def test_a_missing_folder_names_the_nearest_there_is(make_files: MakeFiles, tmp_path: Path):
    make_files({"a/1.png": 0})
    with pytest.raises(DataError, match=r"there is no folder or CSV file '.*thinks'; did you mean 'things'"):
        open_source(tmp_path / "thinks")
    with pytest.raises(DataError, match="did you mean 'digits'"):
        open_source("digit")
    with pytest.raises(DataError, match="there is no folder or CSV file"):
        open_source(tmp_path / "no" / "such" / "place")


def test_one_image_is_no_data_set(make_files: MakeFiles):
    root = make_files({"a/1.png": 0})
    with pytest.raises(DataError, match=r"1\.png is one file; a data set is a folder, a CSV file or the word 'digits'"):
        open_source(root / "a" / "1.png")


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_validation_share_outside_its_range_is_refused(share: float):
    with pytest.raises(DataError, match="validation_share must be at least 0 and below 1"):
        open_source("digits", validation_share=share)


def test_a_single_image_stays_for_training(make_files: MakeFiles):
    source = open_source(make_files({"1.png": 0}), labels=False)
    assert lengths(source) == (1, None, None)
    assert source.notes == ("There are too few images to set any aside for validation.",)


def test_a_labelled_subset_keeps_every_class_and_the_other_splits(make_files: MakeFiles):
    source = open_source(flowers(make_files))
    for wanted, count in ((0.5, 8), (4, 4), (0.0001, 2), (1.0, 16), (2, 2)):
        few = source.labelled_subset(wanted, seed=3)
        assert len(few.train) == count
        assert Counter(few.train.labels) == {0: count // 2, 1: count // 2}
        assert set(few.train.items) <= set(source.train.items)
        assert few.validation == source.validation
    assert few.notes[-1] == "Training uses 2 of 16 labelled images, at least one of each class."
    assert source.labelled_subset(4, 3).train.items == source.labelled_subset(4, 3).train.items
    assert source.labelled_subset(4, 3).train.items != source.labelled_subset(4, 4).train.items


@pytest.mark.parametrize("wanted", [0, 1, 17, 0.0, 1.1, -0.5])
def test_a_labelled_subset_that_does_not_exist_is_refused(make_files: MakeFiles, wanted: float):
    with pytest.raises(DataError, match=r"needs 2 \(one of each class\) to 16 images"):
        open_source(flowers(make_files)).labelled_subset(wanted)


def test_a_labelled_subset_without_labels_is_refused():
    with pytest.raises(DataError, match="digits has no labelled training images"):
        open_source("digits", labels=False).labelled_subset(0.1)


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=80), st.integers(1, 80), st.integers(0, 3), st.integers(0, 2))
def test_stratified_choices_are_in_proportion_within_one(labels: list[int], count: int, seed: int, leave: int):
    chosen = stratified(labels, count, seed, leave=leave)
    assert chosen == sorted(set(chosen)) == stratified(labels, count, seed, leave=leave)
    sizes = Counter(labels)
    most = {label: max(size - leave, 0) for label, size in sizes.items()}
    taken = Counter(labels[i] for i in chosen)
    floor = sum(min(1, room) for room in most.values())
    assert len(chosen) == min(max(count, floor), sum(most.values()))
    for label in sizes:
        assert min(1, most[label]) <= taken[label] <= most[label]
    if leave == 0 and all(count * size >= len(labels) for size in sizes.values()) and count <= len(labels):
        assert all(abs(taken[label] - count * size / len(labels)) < 1 for label, size in sizes.items())


def test_the_clothing_photos_open_with_their_own_splits():
    data = os.environ.get("VITRAIL_DATA")
    if data is None or not Path(data, "clothing").is_dir():
        pytest.skip("set VITRAIL_DATA to the folder with the real data")
    source = open_source(Path(data, "clothing"))
    assert lengths(source) == (3068, 341, 372)
    assert len(source.class_names) == 10
    assert min(Counter(source.train.labels).values()) == 112
    assert len(source.labelled_subset(0.01).train) == 31
