"""Whether a data set is fit to train on: every image opened, and what would spoil a run or its figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from vitrail.data.coco import (
    annotation_files,
    category_names,
    each_mistake,
    image_file,
    images_folder,
    is_coco,
    open_coco,
    read_annotations,
)
from vitrail.data.images import open_image
from vitrail.data.layouts import OtherTask, recognise
from vitrail.data.mask_doubts import MaskDoubts
from vitrail.data.objects import check_size
from vitrail.data.scenes import is_scenes, open_scenes
from vitrail.data.segment_folders import check_masks, examine, is_segments, open_segments
from vitrail.data.segments import SegmentImages
from vitrail.data.sources import Images, Source, open_source
from vitrail.data.turned import orientation
from vitrail.data.wrapper_folders import enter
from vitrail.errors import DataError, ImageError
from vitrail.paths import user_path
from vitrail.runs.image_findings import Copies, Depths


@dataclass
class Check:
    """What is wrong or worth knowing about a data set.

    Attributes:
        images: how many, by split.
        classes: for each class, how many images of it, or that show it, by split.
        sizes: smallest, median and largest height and width, in pixels.
        damaged: files that cannot be read or used, and why.
        duplicates: pairs of files with the same content in different splits, which make figures too good.
        mistakes: of annotations (boxes beyond the image, masks without a pixel, what is not listed), of classes and
            files (one image in two classes, classes of files that are not read, 12 bits in 16), and why
            `vitrail train` refuses the set.
        task: what `vitrail train` learns from it; None where there are no labels.
        has_objects: whether classes count objects and not images.
        notes: what was found out on the way.
    """

    images: dict[str, int] = field(default_factory=dict)
    classes: dict[str, dict[str, int]] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    duplicates: list[tuple[str, str]] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)
    has_objects: bool = False
    notes: tuple[str, ...] = ()
    task: str | None = "classify"

    @property
    def wrong(self) -> bool:
        """Whether something has to be mended."""
        return bool(self.damaged or self.duplicates or self.mistakes)


def check(data: str, ignore: int = 255) -> Check:
    """Open every image of a data set and look for what would spoil a run or its figures.

    Raises:
        DataError: the data set cannot be opened at all.
    """
    if is_scenes(data):
        return _check_scenes(data)
    if is_coco(place := enter(user_path(data), is_coco)):
        return check_objects(place)
    found = Check()
    source = _open(data, ignore, found)
    copies, depths = Copies(), Depths()
    doubts = MaskDoubts(source.train.labelling, source.class_names) if isinstance(source.train, SegmentImages) else None
    heights: list[int] = []
    widths: list[int] = []
    for split, images in (("train", source.train), ("validation", source.validation), ("test", source.test)):
        if images is None or not len(images):
            continue
        found.images[split] = len(images)
        shown, problems = _examined(images, doubts)
        found.damaged += problems
        for label, name in enumerate(source.class_names):
            found.classes.setdefault(name, {})[split] = shown[label]
        for number in range(len(images)):
            item = images.item(number)
            try:
                image = item.open()
            except ImageError as error:
                found.damaged.append(str(error))
                continue
            widths.append(image.width)
            heights.append(image.height)
            copies.add(image, split, item.name, _class_of(source, images, number))
            if item.path is not None:
                depths.add(item.path, item.name)
    _add_sizes(found, heights, widths)
    found.duplicates += copies.across_splits
    found.mistakes += [*copies.across_classes, *depths.mistakes(), *(doubts.sentences() if doubts else [])]
    found.notes = (*found.notes, *copies.notes())
    if isinstance(source.train, SegmentImages) and not found.damaged:
        found.damaged += _why_masks_are_refused(source)
    return found


def _examined(images: Images, doubts: MaskDoubts | None) -> tuple[Counter[int], list[str]]:
    """Count how many images show each class, and name masks that are wrong."""
    return examine(images, doubts) if isinstance(images, SegmentImages) else (Counter(images.labels), [])


def _class_of(source: Source, images: Images, number: int) -> str:
    return source.class_names[images.labels[number]] if images.labels and source.class_names else ""


def _why_masks_are_refused(source: Source) -> list[str]:
    """Ask the code that looks at masks before training begins."""
    try:
        check_masks(source)
    except DataError as error:
        return [str(error)]
    return []


def _check_scenes(word: str) -> Check:
    """Say what the word for drawn scenes stands for; their annotations are exact."""
    source = open_scenes(word)
    splits = {"train": source.train, "validation": source.validation, "test": source.test}
    note = "Scenes are drawn when they are asked for, with exact boxes and masks; there are no files to check."
    counts = {split: len(images) for split, images in splits.items() if images}
    return Check(counts, notes=(note,), task="detect")


def _add_sizes(found: Check, heights: list[int], widths: list[int]) -> None:
    for name, values in (("height", sorted(heights)), ("width", sorted(widths))):
        if values:
            median = values[len(values) // 2]
            found.sizes[f"{name} median"] = (median, median)
            found.sizes[f"{name} from, to"] = (values[0], values[-1])


def check_objects(root: Path) -> Check:
    """Look at every image and annotation of a folder in COCO's format.

    Raises:
        DataError: a file of annotations cannot be read at all.
    """
    found = Check(has_objects=True, task="detect")
    copies = Copies()
    heights, widths = [], []
    for split, file in annotation_files(root).items():
        read = read_annotations(file)
        names = category_names(read, file)
        folder = images_folder(root, file)
        found.images[split] = len(read["images"])
        counts = Counter(annotation["category_id"] for annotation in read["annotations"])
        for category, name in names.items():
            found.classes.setdefault(name, {})[split] = counts[category]
        found.mistakes += [f"{split}: {mistake}" for mistake in each_mistake(read)]
        for image in read["images"]:
            try:
                file_of_image = image_file(root, folder, image["file_name"])
                opened = open_image(file_of_image)
                copies.add(opened, split, image["file_name"])
                check_size(opened.size, (image["width"], image["height"]), image["file_name"], file_of_image)
            except ImageError as error:
                found.damaged.append(str(error))
                continue
            except DataError as error:
                found.mistakes.append(f"{split}: {str(error).split(';')[0]}")
            widths.append(image["width"])
            heights.append(image["height"])
        turned = sum(orientation(image_file(root, folder, image["file_name"])) != 1 for image in read["images"])
        if turned:
            note = f"{split}: {turned:,} images are turned by their EXIF data; annotate them as they are shown."
            found.notes = (*found.notes, note)
        crowds = sum(bool(annotation.get("iscrowd")) for annotation in read["annotations"])
        empty = len(read["images"]) - len({annotation["image_id"] for annotation in read["annotations"]})
        note = f"{split}: {len(read['annotations']):,} objects, {crowds} crowds, {empty} images without objects."
        found.notes = (*found.notes, note)
    _add_sizes(found, heights, widths)
    found.duplicates += copies.across_splits
    if not found.mistakes and not found.damaged:
        found.mistakes += _why_training_refuses(root)
    return found


def _why_training_refuses(root: Path) -> list[str]:
    """Ask the code that opens a data set to train on."""
    try:
        open_coco(root)
    except DataError as error:
        return [str(error).removesuffix("; vitrail doctor DATA tells more")]
    return []


def _open(data: str, ignore: int, found: Check) -> Source:
    """Open a data set as `vitrail train` does; one that it refuses is opened without labels, and that is a mistake.

    Raises:
        DataError: it cannot be opened at all, or was made for a task that cannot be learned from it as it is.
    """
    root = user_path(data)
    dense = recognise(enter(root, is_segments)) if root.is_dir() else None
    if dense and not dense.readable:
        raise OtherTask(dense.sentence)
    try:
        if dense and dense.task == "segment":
            source, found.task = open_segments(data, ignore=ignore), "segment"
        else:
            source = open_source(data)
    except OtherTask:
        raise
    except DataError as error:
        try:
            source, found.task = open_source(data, labels=False), None
        except DataError:
            raise error from None
        found.mistakes.append(f"vitrail train refuses it (vitrail pretrain takes its images): {error}")
    found.mistakes += source.warnings
    found.notes = tuple(note for note in source.notes if note not in source.warnings)
    return source


__all__ = ["Check", "check"]
