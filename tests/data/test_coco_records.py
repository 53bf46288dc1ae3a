"""Files of annotations as people have them: exact, or one sentence that names the record; training and doctor agree."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import vitrail
from vitrail.data import rle
from vitrail.data.coco import CocoImage, count_objects, open_coco
from vitrail.data.objects import ObjectImages
from vitrail.data.polygons import fill
from vitrail.errors import DataError

POLYGON = [2.0, 2, 12, 2, 12, 10, 2, 10]


def record(**changes: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": 7, "category_id": 3, "bbox": [2, 2, 10, 8], "segmentation": [POLYGON], **changes}


def content(*annotations: Any, **changes: Any) -> dict[str, Any]:
    return {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 30, "height": 20} for n in (7, 8)],
        "categories": [{"id": 3, "name": "cat"}, {"id": 44, "name": "dog"}],
        "annotations": list(annotations),
        **changes,
    }


def write(root: Path, text: Any, split: str = "train") -> Path:
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    (root / "images" / split).mkdir(parents=True, exist_ok=True)
    for number in (7, 8):
        Image.new("RGB", (30, 20), (number, 90, 30)).save(root / "images" / split / f"{number}.png")
    raw = text if isinstance(text, bytes) else json.dumps(text).encode()
    (root / "annotations" / f"instances_{split}.json").write_bytes(raw)
    return root


def opened(root: Path, **options: Any) -> ObjectImages:
    images = open_coco(root, validation_share=0.0, **options).train
    assert isinstance(images, ObjectImages)
    return images


def mistakes(root: Path) -> list[str]:
    try:
        return vitrail.doctor(str(root))["data"]["mistakes"]
    except DataError as error:
        return [str(error)]


SAME = [
    record(image_id=7.0, category_id="3", bbox=["2", "2.0", 10, 8.0], iscrowd="0"),
    record(image_id="7", category_id=3.0, iscrowd=False, area="80"),
    record(iscrowd=0.0, area=None, segmentation=[[[2, 2], [12, 2], [12, 10], [2, 10]]]),
    record(iscrowd=None, segmentation=[[str(n) for n in POLYGON]]),
    record(segmentation=[POLYGON, [3, 3, 4, 4], []]),
    record(segmentation={"size": ["20", 30.0], "counts": [float(n) for n in rle.run_lengths(fill([POLYGON], 20, 30))]}),
]


@pytest.mark.parametrize("one", SAME)
def test_numbers_and_ids_written_otherwise_are_the_same_exact_ones(one: dict[str, Any], tmp_path: Path) -> None:
    objects = opened(write(tmp_path, content(one, record(image_id=8)))).annotated[0].objects()
    assert objects.boxes.tolist() == [[2, 2, 12, 10]]
    assert objects.classes.tolist() == [0]
    assert np.array_equal(objects.masks[0].numpy(), fill([POLYGON], 20, 30))
    assert not mistakes(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_a_byte_order_mark_and_utf_16_are_read(encoding: str, tmp_path: Path) -> None:
    assert count_objects(opened(write(tmp_path, json.dumps(content(record())).encode(encoding)))) == 1


def test_file_names_are_found_from_the_root_on_and_with_backslashes(tmp_path: Path) -> None:
    given = content(record(), record(image_id=8))
    given["images"][0]["file_name"] = "images\\train\\7.png"
    given["images"][1]["file_name"] = "train\\8.png"
    assert [file.name for file in opened(write(tmp_path, given)).items] == ["7.png", "8.png"]  # type: ignore[union-attr]
    assert not mistakes(tmp_path)


REFUSED = [
    (record(iscrowd="perhaps"), "'perhaps' for its iscrowd"),
    (record(iscrowd=2), "2 for its iscrowd"),
    (record(area=-4), "-4 for its area"),
    (record(area=10**400), "for its area"),
    (record(bbox=None), "null for a box"),
    (record(bbox=[1, 2, 3, None]), "for a box"),
    (record(bbox=[1, 2, 1e300, 3]), "for a box"),
    (record(bbox=[1, 2, float("nan"), 3]), "for a box"),
    (record(bbox=[1, 2, True, 3]), "for a box"),
    (record(image_id=[7]), r"number 1 of its annotations has \[7\] for its image_id"),
    (record(category_id=None), "null for its category_id"),
    (record(category_id=1.5), "1.5 for its category_id"),
    (record(image_id=True), "true for its image_id"),
    (record(image_id=2), "image 2, which is not listed"),
    (record(segmentation="yes"), "a list of polygons"),
    (record(segmentation=[[1, 2, 3, 4, 5, 6, 7]]), "three or more corners"),
    (record(segmentation=[[1, 2, 3, 4, 5, float("inf")]]), "three or more corners"),
    (record(segmentation=[[1, 2, 3, 4, 5, 1e9]]), "far outside"),
    (record(segmentation=[[n * 7 % 30 for n in range(300_000)]]), "150,000 corners"),
    (record(segmentation=[[n // 2 % 2 * 30 for n in range(30_000)]]), "outline is longer"),
    (record(segmentation={"size": [20, 30], "counts": [599]}), "add up to 599"),
    (record(segmentation={"size": [20, 30], "counts": [700, -100]}), "below 0"),
    (record(segmentation={"size": [20, 30], "counts": [10**30]}), "more than 10\\^18"),
    (record(segmentation={"size": [10**9, 10**9], "counts": [10**18]}), "run lengths are for 1000000000 x"),
    (record(segmentation={"size": [20, 30], "counts": "o" * 200_000}), "numbers or letters"),
    (record(segmentation={"size": [20, 30], "counts": "o" * 40}), "no mask is packed"),
]


@pytest.mark.parametrize(("one", "answer"), REFUSED)
def test_what_is_not_exact_is_refused_with_its_record_by_training_and_doctor(
    one: dict[str, Any], answer: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=answer) as error:
        opened(write(tmp_path, content(record(), one)))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600
    assert mistakes(tmp_path)


def changed(part: str, **changes: Any) -> dict[str, Any]:
    given = content(record())
    given[part][1].update(changes)
    return given


FILES: list[tuple[Any, str]] = [
    (b"", "it is empty"),
    (b"\xff\xfe", "cannot be read"),
    (b"[1, 2]", "no file of COCO's instances"),
    (b"[" * 50_000, "nested too deeply"),
    (b"[" + b"[]," * 500_000 + b"[]]", "no file of COCO's instances"),
    (b'{"images": ' + b"1" * 5000, "cannot be read"),
    (changed("images", width=None), "null for its width"),
    (changed("images", width=0), "0 for its width"),
    (changed("images", height="tall"), "'tall' for its height"),
    (changed("images", height=10**500), "promises 30 x 1"),
    (changed("images", width=100_000, height=100_000), "promises 100000 x 100000 pixels"),
    (changed("images", id=7), "share their id"),
    (changed("images", id="7"), "share their id"),
    (changed("images", id=[7]), r"number 1 of its images has \[7\] for its id"),
    (changed("images", file_name=8), "8 for its file_name"),
    (changed("images", file_name="7.png"), "lists 7.png twice, as image 7 and as image 8"),
    (changed("categories", name="cat"), "categories 3 and 44 are both called 'cat'"),
    (changed("categories", id=3.0), "'cat' and 'dog' both have the id 3"),
    (changed("categories", name=None), "null for its name"),
    (content(), "has no annotations"),
    (content(record(iscrowd=1), record(iscrowd="1")), "all 2 annotations are crowds"),
    (content(record(bbox=[1, 1, 0, 5])), "of 1 annotations none can be used"),
    (content(*[record(bbox=[0.1, 0.2, 0.5, 0.25])] * 4), "look normalised"),
    (content(*[record(bbox=[15, 10, 25 + n, 18]) for n in range(4)]), "left, top, right and bottom"),
]


@pytest.mark.parametrize(("given", "answer"), FILES)
def test_a_file_that_cannot_be_learned_from_is_answered_in_one_sentence(
    given: Any, answer: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=answer) as error:
        opened(write(tmp_path, given))
    assert "\n" not in str(error.value)
    assert mistakes(tmp_path)


def test_a_file_made_to_fill_the_memory_is_refused_before_it_is_unfolded(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="would unfold to"):
        opened(write(tmp_path, b"[" + b"[]," * 12_000_000 + b"[]]"))


def test_a_degenerate_polygon_leaves_out_one_object_and_is_counted(tmp_path: Path) -> None:
    root = write(tmp_path, content(record(), record(id=2, segmentation=[[1, 1, 5, 5]])))
    source = open_coco(root, validation_share=0.0)
    assert isinstance(source.train, ObjectImages)
    assert len(source.train.annotated[0].objects()) == len(source.train.annotated[0].truth()) == 1
    assert any("1 of 2 annotations are left out: 1 polygons of fewer" in note for note in source.notes)
    assert len(mistakes(root)) == 1


@pytest.mark.parametrize("mask", [[[1, 1, 5, 5]], "none", {"size": [1, 1], "counts": [3]}, [[1, 2, 3]]])
def test_masks_matter_not_at_all_to_a_box_detector(mask: Any, tmp_path: Path) -> None:
    images = opened(write(tmp_path, content(record(), record(id=2, segmentation=mask))), masks=False)
    assert len(images.annotated[0].objects()) == 2
    assert len(images.annotated[0].truth()) == 2
    assert images.annotated[0].objects().masks[1].sum() == 80


def test_boxes_beyond_the_image_are_cut_or_left_out_and_counted(tmp_path: Path) -> None:
    boxes = [[2, 2, 10, 8], [25, 2, 10, 8], [40, 2, 10, 8], [3, 3, 0, 4], [5, 5, -2, 4]]
    root = write(tmp_path, content(*[record(bbox=box, segmentation=None) for box in boxes]))
    source = open_coco(root, validation_share=0.0)
    assert isinstance(source.train, ObjectImages)
    assert source.train.annotated[0].objects().boxes.tolist() == [[2, 2, 12, 10], [25, 2, 30, 10]]
    assert "3 of 5 annotations are left out: 1 boxes outside" in source.notes[0]
    assert "1 of 5 annotations are changed" in source.notes[1]


def test_splits_number_their_classes_by_name(tmp_path: Path) -> None:
    write(tmp_path, content(record(category_id=44)))
    other = content(record(category_id=3), categories=[{"id": 3, "name": "dog"}])
    write(tmp_path, other, "val")
    validation = open_coco(tmp_path).validation
    assert isinstance(validation, ObjectImages)
    assert validation.annotated[0].objects().classes.tolist() == [1]
    other["categories"][0]["name"] = "eel"
    with pytest.raises(DataError, match="other categories than the training split: eel"):
        open_coco(write(tmp_path, other, "val"))


def test_a_held_out_part_without_objects_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path, content(record()))
    with pytest.raises(DataError, match="by seed 3 show no object"):
        open_coco(root, seed=3, validation_share=0.5)


def test_two_files_of_one_split_and_one_image_in_two_splits_are_said(tmp_path: Path) -> None:
    root = write(tmp_path, content(record()))
    write(root, content(record()), "val")
    for file in (root / "annotations").iterdir():
        told = json.loads(file.read_text())
        told["images"] = [{**one, "file_name": f"images/train/{one['id']}.png"} for one in told["images"]]
        file.write_text(json.dumps(told))
    assert any("2 images are listed for train and for validation" in note for note in open_coco(root).notes)
    (root / "annotations" / "instances_valid2020.json").write_text(json.dumps(content(record())))
    with pytest.raises(DataError, match=r"instances_val.json and instances_valid2020.json"):
        open_coco(root)


def test_an_image_turned_by_exif_against_annotations_that_are_not_is_named(tmp_path: Path) -> None:
    root = write(tmp_path, content(record()))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(root / "images" / "train" / "8.png", exif=exif)
    with pytest.raises(DataError, match=r"20 x 30 pixels.*EXIF orientation 6"):
        opened(root)
    assert any("EXIF orientation 6" in one for one in mistakes(root))


def test_a_category_that_stands_above_all_others_is_named_by_the_doctor(tmp_path: Path) -> None:
    above = {"id": 0, "name": "animals", "supercategory": "none"}
    below = [{"id": 3, "name": "cat", "supercategory": "animals"}, {"id": 4, "name": "dog", "supercategory": "animals"}]
    root = write(tmp_path, content(record(), categories=[above, *below]))
    assert any("category 0 'animals'" in one for one in mistakes(root))


VALUES = st.one_of(
    st.integers(-5, 40),
    st.floats(-5, 40),
    st.sampled_from(["3", "7", "7.0", " 8 ", "x", "", None, True, [], {}, [7], 1e300, -1, float("nan"), float("inf")]),
)
MASKS = st.one_of(
    VALUES,
    st.lists(st.lists(VALUES, max_size=8), max_size=3),
    st.fixed_dictionaries({"size": st.lists(VALUES, max_size=3), "counts": st.lists(VALUES, max_size=4)}),
)
RECORDS = st.fixed_dictionaries(
    {"image_id": st.sampled_from([7, "7", 8.0, 9, None]), "category_id": st.sampled_from([3, 44, "44", 1])},
    optional={
        "bbox": st.one_of(st.lists(VALUES, max_size=5), st.lists(st.integers(1, 15), min_size=4, max_size=4)),
        "segmentation": MASKS,
        "iscrowd": VALUES,
        "area": VALUES,
        "id": VALUES,
    },
)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(RECORDS, min_size=1, max_size=4), masks=st.booleans())
def test_random_records_open_exactly_or_with_one_sentence_and_the_doctor_agrees(
    records: list[dict[str, Any]], masks: bool, tmp_path: Path
) -> None:
    root = write(tmp_path, content(*records))
    try:
        images = opened(root, masks=masks)
    except DataError as error:
        refused = str(error)
    else:
        refused = ""
    if refused:
        assert "\n" not in refused
        assert not masks or mistakes(root)
        return
    for known in images.annotated:
        assert isinstance(known, CocoImage)
        objects = known.objects()
        known.truth()
        told = [a["bbox"] for a in known.annotations if not a.get("iscrowd")]
        assert len(objects) == len(told)
        for box, (left, top, wide, tall) in zip(objects.boxes.tolist(), told, strict=True):
            expected = [max(left, 0), max(top, 0), min(left + wide, 30), min(top + tall, 20)]
            assert box == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("corner", ["x", 1e300, float("nan")])
def test_a_mask_that_is_none_is_refused_although_its_box_leaves_the_image(corner: Any, tmp_path: Path) -> None:
    record = {"image_id": 7, "category_id": 3, "bbox": [1, 7, 1, 15], "segmentation": [[0, 0, 0, 0, 0, 0, 0, corner]]}
    with pytest.raises(DataError, match="mask that is none"):
        opened(write(tmp_path, content(record)), masks=True)
    opened(write(tmp_path, content(record)), masks=False)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 5000), min_size=1, max_size=900))
def test_long_and_short_texts_of_run_lengths_are_unpacked_alike(counts: list[int]) -> None:
    assert rle.unpack(rle.pack(counts)) == counts


def test_a_large_polygon_is_drawn_in_strips_as_it_is_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.RandomState(3)
    shape = (random.rand(2, 60) * 80 - 10).tolist()
    whole = fill(shape, 64, 64)
    monkeypatch.setattr("vitrail.data.polygons.MOST_CELLS", 9000)
    assert np.array_equal(fill(shape, 64, 64), whole)
