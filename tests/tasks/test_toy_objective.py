"""A new objective is a folder of its own, a line in the registry of tasks and one in that of heads: here is one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import vitrail
from vitrail.arguments import parse
from vitrail.data.sources import Images
from vitrail.errors import VitrailError
from vitrail.heads import registry as heads
from vitrail.models import vit
from vitrail.settings.training import PretrainSettings
from vitrail.tasks import registry as tasks
from vitrail.tasks.attention import attention_figures
from vitrail.tasks.inputs import inputs_of
from vitrail.tasks.loss import ModelLoss
from vitrail.tasks.objective import Objective
from vitrail.tasks.spec import Spec
from vitrail.tasks.task import RunContext, Task
from vitrail.visualize.figure import Figure
from vitrail.weights.description import Description

# --- what would be the folder tasks/toy ---------------------------------------------------------------------------


@dataclass(frozen=True)
class ToySettings(PretrainSettings):
    """Pretrain by telling the mean colour of an image."""

    RANGES: ClassVar[Mapping[str, Any]] = {}

    objective: str = "toy"
    power: int = 2
    """Of the error."""


@dataclass(frozen=True)
class ToyConfig:
    power: int = 2


class Toy(nn.Module):
    def __init__(self, encoder: vit.ViT, config: ToyConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.colour = nn.Linear(encoder.width, encoder.config.channels)


class ToyLoss(ModelLoss):
    def forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        images = self.normalise(batch["image"])
        error = self.model.colour(self.model.encoder.embed(images)) - images.mean(dim=(2, 3))
        return {"loss": error.abs().pow(self.model.config.power).mean()}

    @torch.no_grad()
    def measure(self, batch: dict[str, Any]) -> dict[str, tuple[Tensor, Tensor]]:
        count = torch.tensor(len(batch["image"]))
        return {"loss": (self(batch)["loss"] * count, count)}


class ToyTask(Objective):
    """Telling the mean colour of an image."""

    def hides(self, settings: ToySettings) -> str:
        return ""

    def loss(self, model: Any, run: RunContext) -> tuple[nn.Module, Any]:
        return ToyLoss(model, run.description.preprocessing), lambda image: {}

    def draw(self, model: Any, description: Description, drawn: Images, settings: Any = None) -> dict[str, Figure]:
        inputs = inputs_of(drawn, description)
        return attention_figures(model, inputs.images, inputs.captions, description.preprocessing, settings)


def _load() -> Task:
    task = ToyTask()
    task.spec = TOY
    return task


RECIPE = ToySettings(data="", epochs=1, batch_size=4, image_size=32)
TOY = Spec("toy", "pretrain", "a toy", ToySettings, {"toy_small": RECIPE}, lambda weights: "toy_small", _load)


def build(encoder: vit.ViT, options: dict[str, Any]) -> Toy:
    return Toy(encoder, ToyConfig(**options))


# --- the two lines ------------------------------------------------------------------------------------------------


@pytest.fixture
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tasks.TASKS, "toy", TOY)
    monkeypatch.setitem(heads.HEADS, "toy", heads.Head("toy", build, ToyConfig, (vit.ViT,)))


TINY = {"patch_size": 8, "width": 16, "depth": 1, "num_heads": 1}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    random = np.random.RandomState(1)
    for number in range(12):
        folder = tmp_path / "images" / ("dark" if number % 2 else "light")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = random.randint(0, 120, (32, 32, 3)) + (0 if number % 2 else 120)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "images"


@pytest.mark.usefixtures("_registered")
def test_a_new_objective_pretrains_and_its_encoder_is_drawn_and_embeds(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run = {"device": "cpu", "seed": 3}
    shared: dict[str, Any] = {"architecture": TINY, "run": run, "loader": {"workers": 0}}
    result = vitrail.pretrain(images, objective="toy", power=1, out=out, **shared)
    assert result.metrics["loss"] > 0
    assert (out / "report.html").is_file()
    drawn = vitrail.look(out, out=tmp_path / "look")
    assert any(path.name.startswith("attention") for path in drawn)
    model = vitrail.open_model(out, device="cpu")
    assert model.description.task == "toy"
    assert model.embed(next(images.rglob("*.png"))).shape == (1, 16)
    with pytest.raises(VitrailError, match="fine-tune it first"):
        vitrail.predict(out, images)


@pytest.mark.usefixtures("_registered")
def test_its_settings_are_options_of_its_own() -> None:
    settings = parse("pretrain", PretrainSettings, ["x", "--objective", "toy", "--power", "1"])
    assert (settings.power, settings.batch_size) == (1, 4)
    with pytest.raises(VitrailError, match="it belongs to --objective toy"):
        parse("pretrain", PretrainSettings, ["x", "--power", "1"])
    with pytest.raises(VitrailError, match="it belongs to --objective mae"):
        parse("pretrain", PretrainSettings, ["x", "--objective", "toy", "--decoder-width", "8"])
