"""Checkpoints and weights files of strangers, mutated in every part: opened, or refused in one sentence.

No untyped error, no more than a gigabyte, and nothing in them is ever executed. Each file is tried with what people do
with it: inspect, load, open, verify, resume, and the card that a hub would show.
"""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import vitrail
from vitrail.data.image_list import read_list
from vitrail.errors import DataError, TrainingError, WeightsError
from vitrail.training.checkpoint import load_training
from vitrail.weights.card import model_card
from vitrail.weights.description import describe

from .checkpoints import NAMES, Bomb, squeeze, whole

ROOT = Path(__file__).parents[2]
MOST_MEGABYTES = 1000.0


def rows(folder: Path, first: int, last: int) -> list[dict]:
    """Try the checkpoints of these seeds in a process of their own."""
    command = [sys.executable, "-m", "tests.attack.opened", str(folder), str(first), str(last)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=3600)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(tried: list[dict]) -> None:
    for row in tried:
        untyped = {name: outcome for name, outcome in row["outcomes"].items() if outcome.startswith("UNTYPED")}
        assert not untyped, (row["seed"], row["kind"], untyped)
        assert not row["executed"], row
        assert not any("\x1b" in outcome and "card" in name for name, outcome in row["outcomes"].items())
    assert max(row["megabytes"] for row in tried) < MOST_MEGABYTES


def test_a_sample_of_mutated_checkpoints_is_opened_or_refused(tmp_path):
    check(rows(tmp_path, 0, 25))


@pytest.mark.slow
def test_three_thousand_mutated_checkpoints_are_opened_or_refused(tmp_path):
    tried = rows(tmp_path, 1000, 4000)
    check(tried)
    assert len(tried) == 3000


@pytest.mark.parametrize("name", NAMES)
def test_whole_checkpoints_open(name, tmp_path):
    model, description = vitrail.open_checkpoint(whole(name, tmp_path))
    assert description.class_names == ("a", "b", "c")
    assert not model.training


def changed(run: Path, **options: object) -> Path:
    file = run / "checkpoints" / "step_00000001" / "config.json"
    config = json.loads(file.read_text())
    config["model"]["backbone_options"] |= options
    file.write_text(json.dumps(config))
    return run


@pytest.mark.parametrize(
    "options",
    [
        {"depth": 10**9},
        {"width": 2**40, "num_heads": 2},
        {"width": 64 * 10**4},
        {"image_size": [2**20, 2**20]},
        {"num_classes": 10**9},
        {"mlp_ratio": 1e9},
        {"depth": "many"},
        {"patch_size": 0},
        {"channels": 10**7},
    ],
)
def test_a_description_that_asks_for_more_than_the_file_holds_is_refused_before_anything_is_built(options, tmp_path):
    run = changed(whole("vit", tmp_path), **options)
    with pytest.raises(WeightsError, match=r"config\.json"):
        vitrail.open_checkpoint(run)


def test_a_head_of_a_billion_layers_is_refused(tmp_path):
    run = whole("swin_segmenter", tmp_path)
    file = run / "checkpoints" / "step_00000001" / "config.json"
    config = json.loads(file.read_text())
    config["task"], config["model"]["head"] = "detect", "detr"
    config["model"]["head_options"] |= {"layers": 10**9}
    file.write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="layers"):
        vitrail.open_checkpoint(run)


@pytest.mark.parametrize(("task", "dense"), [("10", {}), ("detect", {}), ("segment", {"head": "auto"})])
def test_a_task_or_a_head_that_there_is_not_is_refused(task, dense, tmp_path):
    run = whole("vit", tmp_path)
    file = run / "checkpoints" / "step_00000001" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "task": task, "dense": dense}))
    with pytest.raises(WeightsError, match=r"config\.json"):
        vitrail.open_checkpoint(run)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_checkpoint_with_a_value_that_is_not_finite_is_refused_by_the_tensors_name(name, value, tmp_path):
    from safetensors.torch import load_file, save_file

    file = whole(name, tmp_path) / "checkpoints" / "step_00000001" / "model.safetensors"
    state = load_file(file)
    wrong = next(name for name in state if name.endswith("norm1.weight"))
    state[wrong][0] = value
    save_file(state, file)
    with pytest.raises(WeightsError, match=wrong):
        vitrail.open_checkpoint(tmp_path)


def test_a_training_file_that_unfolds_to_gigabytes_is_refused_without_unfolding_it(tmp_path):
    torch.save({"learner": torch.zeros(2**25)}, tmp_path / "training.pt")
    squeeze(tmp_path / "training.pt")
    assert (tmp_path / "training.pt").stat().st_size < 2**20
    with pytest.raises(TrainingError, match="would unfold"):
        load_training(tmp_path)
    torch.save({"learner": torch.ones(1).expand(10**9)}, tmp_path / "training.pt")
    with pytest.raises(TrainingError, match="would unfold"):
        load_training(tmp_path)


def test_pipes_and_devices_in_a_checkpoint_are_neither_waited_for_nor_read_for_ever(tmp_path):
    tried = rows(tmp_path, 0, 0)
    check(tried)
    assert len(tried) == 10
    for row in tried:
        refused = any(outcome.startswith("refused") for outcome in row["outcomes"].values())
        assert refused or "digests" in row["kind"], row  # without digests a checkpoint is one of an older vitrail


def test_a_list_of_images_that_unpacks_to_far_more_than_it_holds_is_refused(tmp_path):
    (tmp_path / "images.tsv.gz").write_bytes(gzip.compress(bytes(2**26 + 2**20), compresslevel=1))
    with pytest.raises(DataError, match="unpack to more than"):
        read_list(tmp_path)


def test_code_in_a_training_file_is_refused_in_words_that_do_not_advise_to_run_it(tmp_path):
    torch.save({"learner": Bomb(tmp_path / "mark")}, tmp_path / "training.pt")
    with pytest.raises(TrainingError, match="more than tensors") as refused:
        load_training(tmp_path)
    assert "weights_only" not in str(refused.value)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_link_in_a_checkpoint_that_leads_elsewhere_is_not_followed(name, tmp_path):
    run = whole("vit", tmp_path / "run")
    file = run / "checkpoints" / "step_00000001" / name
    file.rename(tmp_path / name)
    file.symlink_to(tmp_path / name)
    with pytest.raises(WeightsError, match="leads out of its folder"):
        vitrail.open_checkpoint(run)


def test_the_links_of_a_hubs_cache_are_followed(tmp_path):
    run = whole("vit", tmp_path / "run")
    (tmp_path / "blobs").mkdir()
    snapshot = tmp_path / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    for name in ("model.safetensors", "config.json"):
        (run / "checkpoints" / "step_00000001" / name).rename(tmp_path / "blobs" / name)
        (snapshot / name).symlink_to(f"../../blobs/{name}")
    assert vitrail.from_pretrained(snapshot)[1].class_names == ("a", "b", "c")


def test_names_in_a_checkpoint_are_text_on_its_card_and_on_the_terminal(tmp_path):
    run = whole("vit", tmp_path)
    file = run / "checkpoints" / "step_00000001" / "config.json"
    config = json.loads(file.read_text())
    config["class_names"] = ["<script>alert(1)</script>", "a\n# Title\n[link](x)", "\x1b[2Jb"]
    config["settings"] = {"data": "/x/<b>`y`\n---", "recipe": "<img src=x>\n\n# z", "epochs": 3}
    file.write_text(json.dumps(config))
    card = model_card(describe(run))
    assert not any(bad in card for bad in ("<script", "<img", "\n# Title", "\n# z", "\x1b", "[link](", "`y`"))
    assert "\\[link\\]" in card
    assert "epochs: 3" in card


@pytest.mark.parametrize("task", ["mae", "mpp", "segment"])
def test_a_task_that_is_not_the_heads_is_refused(task, tmp_path):
    run = whole("vit", tmp_path)
    file = run / "checkpoints" / "step_00000001" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "task": task}))
    with pytest.raises(WeightsError, match=f"says task '{task}', and its head 'classifier' is for classify"):
        describe(run)
