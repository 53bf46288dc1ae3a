"""What earlier versions wrote still opens, computes what it did, and goes on.

The run folders were written by the code of commit e2954d5, each model as small as its kind can be, with weights of few
different values; the numbers are what that code computed with them.
"""

import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import vitrail
from vitrail.cli import main
from vitrail.config import Preprocessing, from_json
from vitrail.errors import ConfigError
from vitrail.heads.registry import HEADS
from vitrail.heads.spec import ModelSpec
from vitrail.models.backbone import backbone_of
from vitrail.tasks import registry
from vitrail.tasks.registry import task_of
from vitrail.weights.description import Description, description_json, migrated
from vitrail.weights.weights_file import WeightsFile

ARCHIVE = Path(__file__).parents[1] / "fixtures" / "old_checkpoints.tar.xz"

# Of a fixed input's logits, or of what the encoder makes of it: the sum, the sum of sizes, the first and the last.
NUMBERS = {
    "vit": (0.66346, 0.76672, 0.0172, -0.05163),
    "swin": (-2.08995, 2.51635, 0.2132, -1.70307),
    "bit": (0.11946, 0.72672, -0.29179, -0.01184),
    "hybrid": (-2.91321, 4.19549, 0.64114, -1.6379),
    "mae": (6.67109, 221.23561, 0.07459, 0.5889),
    "simmim": (42.9128, 435.55292, 0.50977, -1.74903),
    "mpp": (15.47045, 244.12154, -1.58823, 0.98648),
    "detector": (23.73869, 247.98949, -0.66006, 0.21492),
    "segmenter": (-1252.97144, 2011.97192, 0.19932, -0.53783),
}
TASKS = {"mae": "mae", "simmim": "simmim", "mpp": "mpp", "detector": "detect", "segmenter": "segment"}
WITHOUT_LOGITS = {"mae", "simmim", "mpp", "detector"}
RESUMED = (
    "train digits --channels 1 --labels 40 --image-size 16 --epochs 2 --batch-size 20 --run.seed 3 --run.device cpu "
    "--loader.workers 0 --architecture.patch-size 8 --architecture.width 16 --architecture.depth 1 "
    "--architecture.num-heads 2 --run.save-every 1"
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


def computed(name: str, model: Any, images: Tensor) -> Tensor:
    if name not in WITHOUT_LOGITS:
        return model(images)
    return backbone_of(model).forward_features(images)


@pytest.mark.parametrize("name", NUMBERS)
def test_a_checkpoint_of_an_earlier_version_computes_what_it_did(name: str, runs: Path) -> None:
    model, description = vitrail.open_checkpoint(runs / name)
    p = description.preprocessing
    height, width = p.image_size
    images = torch.sin(7 * torch.linspace(-1, 1, p.channels * height * width).view(1, p.channels, height, width))
    with torch.inference_mode():
        found = computed(name, model, images).float().flatten()
    numbers = [float(value) for value in (found.sum(), found.abs().sum(), found[0], found[-1])]
    assert numbers == pytest.approx(NUMBERS[name], rel=1e-4, abs=1e-3)


@pytest.mark.parametrize("name", NUMBERS)
def test_a_checkpoint_of_an_earlier_version_says_its_real_task(name: str, runs: Path) -> None:
    description = WeightsFile(runs / name).description
    assert description.task == TASKS.get(name, "classify")
    assert task_of(description).spec.name == description.task
    assert description.is_classifier == (name not in TASKS)


@pytest.mark.parametrize("head", HEADS)
def test_a_new_checkpoint_of_any_head_says_its_task_and_is_read_again(head: str) -> None:
    description = Description(ModelSpec("vit_ti16", {}, head, {"num_classes": 3}), Preprocessing())
    written = description_json(description)
    assert written["task"] == HEADS[head].task
    assert written["task"] in registry.TASKS
    assert from_json(Description, migrated(written)) == description


def test_a_task_that_is_not_the_heads_is_refused() -> None:
    with pytest.raises(ConfigError, match="it says task 'segment', and its head 'mae' is for mae"):
        Description(ModelSpec("vit_ti16", {}, "mae"), Preprocessing(), task="segment")


def test_a_run_that_an_earlier_version_began_goes_on_as_if_it_had_ended_it(runs: Path) -> None:
    assert main([*RESUMED.split(), "--out", str(runs / "begun")]) == 0
    state = load_file(runs / "begun" / "checkpoints" / "step_00000004" / "model.safetensors")
    size = sum(float(tensor.double().abs().sum()) for tensor in state.values())
    assert size == pytest.approx(639.8195079884899, rel=1e-6)
    assert float(state["head.weight"].double().sum()) == pytest.approx(-0.029918357, rel=1e-3)
