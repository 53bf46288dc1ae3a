"""No image that a run was trained on is ever called held out, whatever the seed, the task and the state of the data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import vitrail
from tests.commands.data_sets import WRITERS, class_folders, csv_file, records, write_anew
from tests.commands.test_changed_data import begin, contents, settings_of
from tests.support.forks import finish_together
from vitrail.commands import train
from vitrail.config import Loader, Run, replace
from vitrail.data.image_list import FILE, list_images, root_of
from vitrail.data.sources import open_source
from vitrail.errors import DataError
from vitrail.runs.measured import Measured, choose_split, known_split
from vitrail.runs.prepare import prepare
from vitrail.runs.run_training import run_training
from vitrail.runs.split import run_split
from vitrail.settings import Architecture, PretrainSettings, TrainSettings
from vitrail.tasks.classification.settings import ClassifySettings
from vitrail.tasks.mae.settings import MAESettings
from vitrail.tasks.registry import find_spec
from vitrail.training.checkpoint import resolve
from vitrail.weights.description import describe
from vitrail.weights.weights_file import open_weights

VIT = Architecture(patch_size=16, width=16, depth=1, num_heads=1)
SWIN = Architecture(embed_width=32, depths=(1, 1, 1, 1), window=4)
SMALL: dict[str, dict[str, Any]] = {
    "detect": {"width": 16, "hidden": 16, "anchor_size": 4.0, "proposals": 20, "regions": 8},
    "segment": {"width": 16, "jitter": "crop"},
}
LAYOUTS = {"classify": "class folders", "segment": "images with masks", "detect": "COCO", "pretrain": "any folder"}
SEEDS = (1, 2, 3)


def tiny(task: str, data: Path, out: Path, seed: int) -> TrainSettings | PretrainSettings:
    shared: dict[str, Any] = {"image_size": 32, "batch_size": 4, "epochs": 1, "loader": Loader(workers=0)}
    shared |= {"data": str(data), "out": str(out), "run": Run(seed=seed, device="cpu")}
    if task == "pretrain":
        return MAESettings(**shared, architecture=VIT, decoder_width=16, decoder_depth=1)
    if task == "classify":
        return ClassifySettings(**shared, architecture=VIT)
    return replace(find_spec(task).settings(**shared, model="swin_t", architecture=SWIN), dense=SMALL[task])


def trained(task: str, data: Path, out: Path, seed: int) -> set[int]:
    """Train for a moment; return the contents of the images that were learned from."""
    settings = tiny(task, data, out, seed)
    source = run_split(settings)
    if isinstance(settings, PretrainSettings):
        run_training(prepare(settings, source))
    else:
        train.learn(settings, source)
    return contents(source.train)


def measured(run: Path, data: Path | None = None, split: str = "auto") -> Measured:
    return choose_split(known_split(run, describe(run), data and str(data)), split)


@pytest.mark.parametrize("task", ["classify", "segment", "detect"])
def test_figures_on_held_out_images_are_those_of_the_training_with_any_seed(task: str, tmp_path: Path) -> None:
    if task == "detect":
        pytest.importorskip("faster_coco_eval")
    data = WRITERS[LAYOUTS[task]][1](tmp_path / "data", records(10))
    for seed in SEEDS if task == "classify" else SEEDS[-1:]:
        run = tmp_path / f"run{seed}"
        learned = trained(task, data, run, seed)
        assert len(learned) == 16
        assert contents(measured(run, data).images).isdisjoint(learned)
        figures = vitrail.evaluate(str(run), str(data), workers=0, device="cpu")
        assert (figures.split, figures.images, figures.notes) == ("validation", 4, ())
        best = json.loads((run / "summary.json").read_text())["best"]
        if task == "classify":
            assert figures.loss == pytest.approx(best["loss"], rel=1e-3)
        elif task == "segment":
            assert figures.mean_iou == pytest.approx(best["mean_iou"], abs=1e-3)


@pytest.mark.parametrize("task", LAYOUTS)
@pytest.mark.parametrize("seed", SEEDS)
def test_held_out_images_share_none_with_the_training_split_after_any_change(
    task: str, seed: int, tmp_path: Path
) -> None:
    layout = LAYOUTS[task]
    write, all_records = WRITERS[layout][1], records(10)
    data = write(tmp_path / "data", all_records)
    source = begin(settings_of(task, data, tmp_path / "run", seed))
    learned, held = contents(source.train), contents(source.validation)
    replaced = (replace(one, name=f"new{n}", seed=400 + n) for n, one in enumerate(all_records[:5]))
    for changed in (
        all_records,
        tuple(replace(one, name=f"x{n}") for n, one in enumerate(all_records)),
        (*all_records[3:], *replaced),
        tuple(replace(one, name=all_records[n - 1].name) for n, one in enumerate(all_records)),
        tuple(replace(one, split="train" if n % 3 else "val") for n, one in enumerate(all_records)),
    ):
        write_anew(write, tmp_path / "data", changed)
        found = contents(measured(tmp_path / "run", data).images)
        assert found
        assert found.isdisjoint(learned)
        if not any(one.split for one in changed):
            there = contents(measured(tmp_path / "run", data, "all").images)
            assert found == there - learned, "all that was not learned from is measured"
            assert found & held == there & held


def test_the_runs_own_data_are_recognised_wherever_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = class_folders(tmp_path / "data", records(10))
    learned = contents(begin(settings_of("classify", data, tmp_path / "run", 3)).train)
    (tmp_path / "link").symlink_to(data)
    shutil.copytree(data, tmp_path / "wrapper" / "copy")
    shutil.copytree(tmp_path / "run", tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    for place in (data, Path("data"), Path("link"), Path("../", tmp_path.name, "data"), Path("wrapper/copy")):
        for run in (Path("run"), tmp_path / "moved", tmp_path / "moved" / "checkpoints" / "step_00000001"):
            found = measured(run, place)
            assert found.split == "validation"
            assert contents(found.images).isdisjoint(learned)
            assert len(found.images) == 6
    shutil.rmtree(data)
    assert contents(measured(tmp_path / "moved", Path("wrapper")).images).isdisjoint(learned)


def test_new_images_are_all_measured(tmp_path: Path) -> None:
    begin(settings_of("classify", class_folders(tmp_path / "data", records(10)), tmp_path / "run", 3))
    # The same names and sizes, other pixels.
    new = class_folders(tmp_path / "new", tuple(replace(one, seed=one.seed + 700) for one in records(10)))
    found = measured(tmp_path / "run", new)
    assert (found.split, len(found.images), found.notes) == ("all", 20, ())
    with pytest.raises(DataError, match="has no validation images; it has 20 of new"):
        measured(tmp_path / "run", new, "validation")
    assert len(measured(tmp_path / "run", new, "train").images) == 20


def test_images_added_to_the_runs_own_data_are_measured_beside_what_was_held_out(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data", records(10))
    learned = contents(begin(settings_of("classify", data, tmp_path / "run", 3)).train)
    class_folders(data, tuple(replace(one, name=f"new{n}", seed=800 + n) for n, one in enumerate(records(2))))
    found = measured(tmp_path / "run", data)
    assert (found.split, len(found.images)) == ("validation and new", 6 + 4)
    assert contents(found.images).isdisjoint(learned)
    assert "6 images that the run held out and 4 that it has never seen; the 14 it learned from" in found.notes[0]
    assert len(measured(tmp_path / "run", data, "validation").images) == 6
    everything = measured(tmp_path / "run", data, "all")
    assert len(everything.images) == 24
    assert "learned from 14 of these images" in everything.notes[0]
    assert contents(measured(tmp_path / "run", data, "train").images) == learned


def test_training_images_in_a_new_folder_or_in_its_test_split_are_left_out(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data", records(10))
    learned = contents(begin(settings_of("classify", data, tmp_path / "run", 3)).train)
    mixed = (*records(10, split="test"), *records(2, split="test", first=900))
    new = class_folders(tmp_path / "new", tuple(replace(one, name=f"n{n}") for n, one in enumerate(mixed)))
    found = measured(tmp_path / "run", new)
    assert (found.split, len(found.images)) == ("test", 10)
    assert contents(found.images).isdisjoint(learned)
    assert "14 images of the data's own test split are ones the run learned from" in found.notes[0]


@pytest.mark.parametrize("layout", ["class folders", "a CSV file", "images with masks", "COCO"])
def test_data_with_only_a_test_split_are_measured(layout: str, tmp_path: Path) -> None:
    task, write = WRITERS[layout]
    begin(settings_of(task, write(tmp_path / "data", records(6)), tmp_path / "run", 2))
    only = write(tmp_path / "test", records(3, split="test", first=100))
    found = measured(tmp_path / "run", only)
    assert (found.split, len(found.images)) == ("test", 6)


@pytest.mark.parametrize("write", [class_folders, csv_file])
def test_images_of_a_single_class_are_measured(write: Any, tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data", records(8))
    trained("classify", data, tmp_path / "run", 1)
    one = write(tmp_path / "one", records(5, labels=["bee"], first=100))
    figures = vitrail.evaluate(str(tmp_path / "run"), str(one), workers=0, device="cpu")
    assert (figures.split, figures.images) == ("all", 5)
    assert figures.classes[0] == ("ant", 0, None)
    assert figures.classes[1][:2] == ("bee", 5)
    assert figures.top1 == figures.mean_class == figures.classes[1][2]


def test_a_checkpoint_without_its_list_divides_again_or_refuses(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data", records(10))
    source = begin(settings_of("classify", data, tmp_path / "run", 3))
    learned = contents(source.train)
    alone = tmp_path / "alone"
    shutil.copytree(resolve(tmp_path / "run"), alone)
    (alone / FILE).unlink()
    assert contents(measured(alone, data).images) == contents(source.validation)
    shutil.copytree(data, tmp_path / "copy")
    assert contents(measured(alone, tmp_path / "copy").images).isdisjoint(learned)
    new = class_folders(tmp_path / "new", records(4, first=300))
    assert measured(alone, new).split == "all"
    class_folders(data, records(1, first=600, labels=["bee"]))
    with pytest.raises(DataError, match=r"lacks the list of them \(images\.tsv\.gz\): give the run folder"):
        measured(alone, data)


def test_a_checkpoint_of_an_older_version_says_that_it_divides_by_its_seed(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data", records(10))
    source = begin(settings_of("classify", data, tmp_path / "run", 3))
    folder = resolve(tmp_path / "run")
    (folder / FILE).unlink()
    config = json.loads((folder / "config.json").read_text())
    del config["data"]
    (folder / "config.json").write_text(json.dumps(config))
    found = measured(tmp_path / "run", data)
    assert contents(found.images) == contents(source.validation)
    assert "kept no list of its images" in found.notes[0]
    new = class_folders(tmp_path / "new", records(4, first=300))
    assert measured(tmp_path / "run", new).split == "all"
    assert "kept no list" in " ".join(run_split(settings_of("classify", data, tmp_path / "run", 3)).notes)


@pytest.mark.parametrize("data", [{"images": {}}, {"images": 3, "sketch": [1]}, {"sketch": "x"}, {"sketch": ["zz"]}])
def test_a_checkpoint_that_says_nonsense_of_its_images_is_refused(data: dict[str, Any], tmp_path: Path) -> None:
    place = class_folders(tmp_path / "data", records(4))
    begin(settings_of("classify", place, tmp_path / "run", 3))
    folder = resolve(tmp_path / "run")
    (folder / FILE).unlink()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "data": data}))
    with pytest.raises(DataError, match=r"config\.json .* is damaged"):
        measured(tmp_path / "run", place)


def test_a_probe_measures_on_what_the_encoders_run_held_out(tmp_path: Path) -> None:
    from vitrail.commands import probe
    from vitrail.settings import ProbeSettings

    data = class_folders(tmp_path / "data", records(10))
    for task in ("classify", "pretrain"):
        source = begin(settings_of(task, data, tmp_path / task, 3))
        asked = ProbeSettings(weights=str(tmp_path / task), data=str(data), seed=1)
        parts = probe.split(probe._open(asked, open_weights(asked.weights)), asked)
        assert contents(parts.test) == contents(source.validation)
        assert contents(parts.train, parts.choose) == contents(source.train)


def test_a_pretraining_before_a_training_holds_out_what_the_training_will(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data", records(10))
    for seed in SEEDS:
        settings = settings_of("classify", data, tmp_path / f"train{seed}", seed)
        before = settings_of("pretrain", data, tmp_path / f"pretrain{seed}", seed)
        assert isinstance(settings, TrainSettings)
        source = run_split(before, as_for=settings)
        assert source.train is not None
        assert source.train.labels is None
        assert source.class_names == ()
        assert contents(source.train) == contents(run_split(settings).train)


def test_held_out_images_that_the_weights_were_trained_on_are_said(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data", records(10))
    begin(settings_of("classify", data, tmp_path / "first", 1))
    again = settings_of("classify", data, tmp_path / "again", 2)
    notes = run_split(replace(again, weights=str(tmp_path / "first"))).notes  # type: ignore[arg-type]
    assert "held-out images were trained on by the run of" in " ".join(notes)
    same = settings_of("classify", data, tmp_path / "again", 1)
    assert "trained on by" not in " ".join(run_split(replace(same, weights=str(tmp_path / "first"))).notes)  # type: ignore[arg-type]


def test_copies_on_both_sides_of_the_split_are_said(tmp_path: Path) -> None:
    twins = (*records(4), *(replace(one, name=f"twin{one.name}") for one in records(4)))
    data = class_folders(tmp_path / "data", twins)
    notes = run_split(settings_of("classify", data, tmp_path / "run", 1)).notes
    assert "held-out images are copies of images to train on" in " ".join(notes)


def test_labels_that_were_left_out_are_neither_trained_on_nor_measured(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data", records(20))
    settings = replace(settings_of("classify", data, tmp_path / "run", 2), labels=6)  # type: ignore[arg-type]
    source = begin(settings)
    assert source.images is not None
    assert source.images.counts() == {"train": 6, "validation": 12, "unused": 22}
    assert len(measured(tmp_path / "run", data).images) == 12
    assert len(measured(tmp_path / "run", data, "train").images) == 6
    assert len(run_split(settings).train or ()) == 6


def test_embedded_digits_are_measured_as_ever(tmp_path: Path) -> None:
    source = open_source("digits")
    begin(settings_of("classify", Path("digits"), tmp_path / "run", 4))
    found = measured(tmp_path / "run", Path("digits"))
    assert found.split == "test"
    assert found.images.names == (source.test.names if source.test else ())
    assert len(measured(tmp_path / "run", Path("digits"), "all").images) == 1797


def test_a_list_takes_little_time_and_room(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data", records(3))
    listed = list_images([("train", open_source(data, validation_share=0.0).train)], root_of(data))  # type: ignore[list-item]
    assert len(json.dumps(listed.summary())) < 1000
    assert listed.names[0] == "ant/ant0.bmp"


@pytest.mark.parametrize(
    "task", ["classify", *(pytest.param(task, marks=pytest.mark.slow) for task in ("segment", "detect"))]
)
def test_two_processes_train_and_measure_with_one_split_and_one_report(task: str, tmp_path: Path) -> None:
    data = WRITERS[LAYOUTS[task]][1](tmp_path / "data", records(10))
    run = str(tmp_path / "run")
    vit = "--architecture.patch-size 16 --architecture.width 16 --architecture.depth 1 --architecture.num-heads 1"
    swin = (
        f"--task {task} --model swin_t --architecture.embed-width 32 --architecture.depths 1 1 1 1 "
        f"--architecture.window 4 --dense.width 16 --dense.jitter none{' --dense.hidden 16' * (task == 'detect')}"
    )
    words = f"--run.seed 2 --image-size 32 --epochs 1 --batch-size 4 --loader.workers 0 --run.device cpu --out {run}"
    finish_together(2, ["train", str(data), *(vit if task == "classify" else swin).split(), *words.split()])
    held = measured(Path(run), data)
    images = known_split(run, describe(run)).to_show()
    assert contents(held.images).isdisjoint(contents(images.train))
    said = finish_together(2, ["evaluate", run, str(data), "--json", "--workers", "0", "--device", "cpu"])
    two = json.loads(said)
    assert (two["split"], two["images"]) == ("validation", len(held.images))
    one = json.loads(json.dumps(vitrail.config.to_json(vitrail.evaluate(run, str(data), workers=0, device="cpu"))))
    assert two.keys() == one.keys()
    if task == "classify":
        assert two["confusion"] == one["confusion"]
        assert two["loss"] == pytest.approx(one["loss"], abs=1e-6)
