"""A run that goes on notices whatever has changed in its data, and keeps what it held out apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.commands.data_sets import WRITERS, Record, Records, records, write_anew
from vitrail.config import Preprocessing, Run, to_json
from vitrail.data.image_list import FILE, read_list
from vitrail.data.sources import Source
from vitrail.errors import DataError
from vitrail.heads.registry import with_dense_head
from vitrail.heads.spec import ModelSpec
from vitrail.runs.split import run_split, with_images
from vitrail.settings import Dense, PretrainSettings, TrainSettings
from vitrail.tasks.registry import find_spec
from vitrail.training import checkpoint
from vitrail.weights.description import Description, description_json

SWAPPED = {"ant": "bee", "bee": "ant"}


def first(data: Records, **changes: Any) -> Records:
    return (replace(data[0], **changes), *data[1:])


def relabelled(data: Records, labels: dict[str, str]) -> Records:
    return tuple(replace(one, label=labels.get(one.label, one.label)) for one in data)


IMAGES: dict[str, Callable[[Records], Records]] = {
    "an image added": lambda data: (*data, replace(data[0], name="ant99", seed=99)),
    "a copy of an image added": lambda data: (*data, replace(data[0], name="ant99")),
    "an image removed": lambda data: data[1:],
    "images removed and added": lambda data: (*data[2:], replace(data[0], name="ant99", seed=99)),
    "an image renamed": lambda data: first(data, name="ant77"),
    "two names exchanged": lambda data: (replace(data[0], seed=data[1].seed), replace(data[1], seed=0), *data[2:]),
    "an image replaced by one of the same size": lambda data: first(data, seed=77),
    "an image replaced by a larger one": lambda data: first(data, seed=77, side=48),
    "an image given another class": lambda data: first(data, label="bee"),
    "the labels of all classes exchanged": lambda data: relabelled(data, SWAPPED),
}
CLASSES: dict[str, tuple[Callable[[Records], Records], str]] = {
    "a class added": (lambda data: (*data, replace(data[0], label="eel", name="eel0", seed=98)), "'eel' is new"),
    "a class renamed": (lambda data: relabelled(data, {"ant": "asp"}), "'asp' is new and 'ant' is missing"),
    "a class renamed so that labels turn round": (lambda data: relabelled(data, {"ant": "cat"}), "'cat' is new"),
}
SPLITS: dict[str, Callable[[Records], Records]] = {
    "a split added": lambda data: tuple(replace(one, split="val" if n % 2 else "train") for n, one in enumerate(data)),
    "a split of new images added": lambda data: (
        *(replace(one, split="train") for one in data),
        *records(2, split="val", first=200),
    ),
}
OWN: dict[str, Callable[[Records], Records]] = {
    "an image moved to another split": lambda data: first(data, split="val"),
    "an image of the training split copied into another": lambda data: (
        *data,
        replace(data[0], split="val", name="ant99"),
    ),
    "the splits thrown together": lambda data: tuple(replace(one, split="train") for one in data),
}


def settings_of(task: str, data: Path, out: Path, seed: int) -> TrainSettings | PretrainSettings:
    run = Run(seed=seed)
    if task == "pretrain":
        return find_spec("mae").settings(data=str(data), out=str(out), run=run, validation_share=0.3)
    return find_spec(task).settings(data=str(data), out=str(out), run=run, validation_share=0.3)


def begin(settings: TrainSettings | PretrainSettings) -> Source:
    """Leave a run folder behind as if the run had been stopped, without training anything."""
    source = run_split(settings)
    assert source.images is not None
    model = ModelSpec("vit_ti16")
    if isinstance(settings, TrainSettings) and settings.task != "classify":
        model = with_dense_head(model, settings.task, Dense(), len(source.class_names))
    description = Description(model, Preprocessing(), source.class_names, to_json(settings))
    folder = Path(settings.out or "") / "checkpoints"
    checkpoint.save(
        folder,
        1 + len(list(folder.glob("step_*"))),
        model={"weight": torch.zeros(1)},
        config=description_json(with_images(description, source)),
        training={},
        best=True,
        keep=1,
        files={FILE: source.images.pack()},
    )
    return source


def contents(*parts: Any) -> set[int]:
    return {part.item(n).identity() for part in parts if part is not None for n in range(len(part))}


def with_own_split() -> Records:
    return (*records(5, split="train"), *records(3, split="val", first=50))


def cases() -> list[Any]:
    found = []
    for layout, (task, _) in WRITERS.items():
        plain = [(name, change, records(6)) for name, change in {**IMAGES, **SPLITS}.items()]
        own = [(f"{name}, with splits", change, with_own_split()) for name, change in {**IMAGES, **OWN}.items()]
        for name, change, data in [*plain, *own]:
            about_classes = "class" in name
            if (task == "pretrain" and about_classes) or (task == "detect" and "larger" in name):
                continue  # There are none, or the annotations do not fit any more.
            found.append(pytest.param(layout, data, change, id=f"{layout}: {name}"))
    return found


CASES = cases()


def test_some_sixty_changes_of_data_are_tried() -> None:
    assert len(CASES) + 3 * 4 > 60


@pytest.mark.parametrize(("layout", "data", "change"), CASES)
def test_a_run_that_goes_on_says_what_has_changed_and_holds_out_nothing_it_learned_from(
    layout: str, data: Records, change: Callable[[Records], Records], tmp_path: Path
) -> None:
    task, write = WRITERS[layout]
    settings = settings_of(task, write(tmp_path / "data", data), tmp_path / "run", seed=5)
    before = begin(settings)
    learned, held = contents(before.train), contents(before.validation)
    write_anew(write, tmp_path / "data", change(data))
    after = run_split(settings)
    assert "The data have changed since the run began" in " ".join(after.notes)
    assert contents(after.train).isdisjoint(held)
    assert contents(after.validation).isdisjoint(learned)
    assert after.images is not None
    assert learned <= after.images.contents({"train", "gone"}), "what was learned from is never forgotten"


@pytest.mark.parametrize("layout", [name for name, (task, _) in WRITERS.items() if task != "pretrain"])
@pytest.mark.parametrize("name", CLASSES)
def test_a_run_with_other_classes_is_refused_by_their_names(layout: str, name: str, tmp_path: Path) -> None:
    task, write = WRITERS[layout]
    settings = settings_of(task, write(tmp_path / "data", records(6)), tmp_path / "run", seed=5)
    begin(settings)
    change, sentence = CLASSES[name]
    write_anew(write, tmp_path / "data", change(records(6)))
    with pytest.raises(DataError, match="begun with other classes") as refused:
        run_split(settings)
    assert sentence in str(refused.value)
    assert str(tmp_path / "run") in str(refused.value)


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("own", [False, True])
def test_data_that_have_not_changed_are_divided_as_before_without_a_word(
    layout: str, own: bool, tmp_path: Path
) -> None:
    task, write = WRITERS[layout]
    data = with_own_split() if own else records(6)
    settings = settings_of(task, write(tmp_path / "data", data), tmp_path / "run", seed=7)
    before = begin(settings)
    write_anew(write, tmp_path / "data", data)
    after = run_split(settings)
    assert "changed" not in " ".join(after.notes)
    for split in ("train", "validation", "test"):
        one, other = getattr(before, split), getattr(after, split)
        assert (one is None) == (other is None)
        assert one is None or (one.items, one.labels) == (other.items, other.labels)


def test_what_was_replaced_belongs_to_the_run_from_then_on(tmp_path: Path) -> None:
    task, write = WRITERS["class folders"]
    data = records(6)
    settings = settings_of(task, write(tmp_path / "data", data), tmp_path / "run", seed=5)
    learned = begin(settings).train
    assert learned is not None
    place = next(n for n, one in enumerate(data) if f"{one.name}.bmp" in {Path(i).name for i in learned.items})  # type: ignore[arg-type]
    data = (*data[:place], replace(data[place], seed=500), *data[place + 1 :])
    write_anew(write, tmp_path / "data", data)
    assert len(run_split(settings).train or ()) == len(learned)
    begin(settings)
    again = run_split(settings)
    assert "changed" not in " ".join(again.notes)
    kept = read_list(checkpoint.resolve(tmp_path / "run"))
    assert kept is not None
    assert kept.splits.count("gone") == 1


@pytest.mark.parametrize("lost", ["train", "validation"])
def test_a_run_of_whose_images_nothing_is_left_is_refused(lost: str, tmp_path: Path) -> None:
    task, write = WRITERS["class folders"]
    data = records(6)
    settings = settings_of(task, write(tmp_path / "data", data), tmp_path / "run", seed=5)
    source = begin(settings)
    gone = {Path(item).stem for item in getattr(source, lost).items}
    kept = tuple(one for one in data if one.name not in gone)
    write_anew(write, tmp_path / "data", (*kept, Record("", "ant", "ant99", 99), Record("", "bee", "bee99", 98)))
    with pytest.raises(DataError, match=r"none of the images that .* has (learned from|held out)"):
        run_split(settings)


def test_a_damaged_list_is_named(tmp_path: Path) -> None:
    task, write = WRITERS["class folders"]
    settings = settings_of(task, write(tmp_path / "data", records(6)), tmp_path / "run", seed=5)
    begin(settings)
    path = checkpoint.resolve(tmp_path / "run") / FILE
    whole = path.read_bytes()
    for damaged in (b"", b"no list", whole[:-9], whole[: len(whole) // 2], whole.replace(whole[20:30], b"0123456789")):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"images\.tsv\.gz is damaged"):
            run_split(settings)
