"""A set made for detection or segmentation is named as such, and is never a classifier of images against masks."""

import json
from pathlib import Path

import pytest

from vitrail.data.layouts import recognise
from vitrail.data.sources import open_source
from vitrail.errors import DataError

from .test_class_folders import touch

BOX = "0 0.5 0.5 0.2 0.2\n"
VOC = "<annotation><object><bndbox/></object></annotation>"
COCO = json.dumps({"images": [{"id": 1}], "annotations": [{"id": 1, "bbox": [0, 0, 1, 1]}], "categories": []})
STUDIO = json.dumps([{"id": 1, "annotations": [], "data": {"image": "1.png"}}])
STUDIO_MIN = json.dumps([{"id": 1, "image": "1.png", "label": [{"rectanglelabels": ["cat"]}]}])
CVAT = '<?xml version="1.0"?><annotations><version>1.1</version><image id="0" name="1.png"/></annotations>'
LABELME = json.dumps({"version": "5", "shapes": [], "imagePath": "1.png"})

LAYOUTS = {
    "YOLO": ("images/train/1.png images/val/2.png", {"labels/train/1.txt": BOX, "labels/val/2.txt": ""}, "detect"),
    "YOLO by Roboflow": (
        "train/images/1.png valid/images/2.png",
        {"train/labels/1.txt": BOX, "data.yaml": ""},
        "detect",
    ),
    "YOLO, polygons": ("images/1.png", {"labels/1.txt": "0 0.1 0.1 0.2 0.1 0.2 0.2\n", "classes.txt": "cat"}, "detect"),
    "YOLO, side by side": ("obj_train_data/1.png", {"obj_train_data/1.txt": BOX, "obj.names": "cat"}, "detect"),
    "VOC": ("JPEGImages/1.jpg SegmentationClass/1.png", {"Annotations/1.xml": VOC}, "detect"),
    "VOC, wrapped": ("VOCdevkit/VOC2012/JPEGImages/1.jpg", {"VOCdevkit/VOC2012/Annotations/1.xml": VOC}, "detect"),
    "VOC by Roboflow": ("train/1.jpg valid/2.jpg", {"train/1.xml": VOC, "valid/2.xml": VOC}, "detect"),
    "COCO": ("images/train/1.png", {"annotations/instances_train.json": COCO}, "detect"),
    "COCO by Roboflow": ("train/1.jpg valid/2.jpg", {"train/_annotations.coco.json": COCO}, "detect"),
    "COCO by Label Studio": ("images/1.png", {"result.json": COCO}, "detect"),
    "COCO, another name": ("images/1.png images/2.png", {"annotations/labels.json": COCO}, "detect"),
    "Label Studio": ("images/1.png", {"project-1-at-2024.json": STUDIO}, "detect"),
    "Label Studio, short": ("images/1.png", {"export.json": STUDIO_MIN}, "detect"),
    "CVAT": ("images/1.png", {"annotations.xml": CVAT}, "detect"),
    "LabelMe": ("1.png 2.png", {"1.json": LABELME, "2.json": LABELME}, "detect"),
    "CSV of boxes": ("train/1.png", {"train/_annotations.csv": "filename,class,xmin,ymin,xmax,ymax\n"}, "detect"),
    "masks": ("images/1.png masks/1.png", {}, "segment"),
    "masks in splits": ("images/train/1.jpg images/val/2.jpg masks/train/1.png masks/val/2.png", {}, "segment"),
    "masks below splits": ("train/images/1.jpg train/masks/1.png val/images/2.jpg val/masks/2.png", {}, "segment"),
    "masks, img and label": ("img/1.jpg label/1.png", {}, "segment"),
    "Carvana": ("train/1.jpg train_masks/1_mask.gif", {}, "segment"),
    "CamVid": (
        "train/1.png train_labels/1_L.png val/2.png val_labels/2_L.png",
        {"class_dict.csv": "name,r,g,b"},
        "segment",
    ),
    "CamVid, SegNet": ("train/1.png trainannot/1.png test/2.png testannot/2.png", {}, "segment"),
    "Cityscapes": ("leftImg8bit/train/aachen/1.png gtFine/train/aachen/1_labelIds.png", {}, "segment"),
    "ADE20K": ("images/training/1.jpg annotations/training/1.png", {}, "segment"),
    "masks side by side": ("1.jpg 1_mask.png 2.jpg 2_mask.png", {}, "segment"),
    "masks, CUB": ("CUB_200/images/a/x_1.jpg segmentations/a/x_1.png", {}, "segment"),
    "masks, CARLA": ("CameraRGB/F1_1.png CameraSeg/F1_1.png", {}, "segment"),
    "masks, drones": ("dataset/originals/001.jpg RGB_color_image_masks/RGB_color_image_masks/001.png", {}, "segment"),
    "masks, numbered": ("frames/1.jpg masks2/1.png", {}, "segment"),
    "masks, wrapped": ("data/set/Images/1.jpg data/set/Masks/1.png", {}, "segment"),
}


def make(root: Path, name: str) -> str:
    images, files, task = LAYOUTS[name]
    touch(root, images)
    for file, text in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)
    return task


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_set_for_another_task_is_refused_with_the_task_and_what_to_do(tmp_path: Path, name: str):
    task = make(tmp_path, name)
    with pytest.raises(DataError, match=f"--task {task}") as caught:
        open_source(tmp_path)
    assert "classes" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert name.split()[0].strip(",") in str(caught.value) or task == "segment"


@pytest.mark.parametrize(
    "name", [name for name, layout in LAYOUTS.items() if layout[2] == "segment" and "side" not in name]
)
def test_without_labels_masks_are_no_images(tmp_path: Path, name: str):
    make(tmp_path, name)
    source = open_source(tmp_path, labels=False, validation_share=0.0)
    names = [name for part in (source.train, source.validation, source.test) if part for name in part.names]
    assert sorted(names) == sorted(n for n in LAYOUTS[name][0].split() if not any(w in n for w in MASKS))


MASKS = ("mask", "Mask", "label", "annot", "gtFine", "segmentations", "CameraSeg")

CLASSES = {
    "with_mask/1.png without_mask/1.png": {},
    "mask/1.png no_mask/1.png": {},
    "cat/1.png dog/1.png": {"annotations.json": COCO, "cat/1.txt": "a cat on a mat"},
    "train/cat/1.png train/dog/1.png": {
        "data.yaml": "names: [cat]",
        "train/_annotations.csv": "file,xmin,ymin,xmax,ymax",
    },
    "images/cat/1.png images/dog/1.png": {"Annotation/cat/1": VOC, "README.md": ""},
    "label/1.png sticker/1.png": {},
    "seg/1.png x/1.png": {},
    "mask/a1.png bare/b1.png": {},
    "masks/1.png caps/1.png": {},
    "cat/1.png dog/2.png": {"cat/1.xml": VOC, "cat/1.json": "{}"},
}


@pytest.mark.parametrize("layout", CLASSES)
def test_a_set_of_classes_is_not_taken_for_another_task(tmp_path: Path, layout: str):
    touch(tmp_path, layout)
    for file, text in CLASSES[layout].items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    assert recognise(tmp_path) is None
    assert len(open_source(tmp_path, validation_share=0.0).class_names) == 2
