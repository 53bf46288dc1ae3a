import math

import pytest
import torch
import torch.nn.functional as F

from vitrail.config import Augment, Preprocessing
from vitrail.data.normalise import Normalise
from vitrail.heads.names import build_model
from vitrail.tasks.classification.loss import Classification, smooth_targets

PREPROCESSING = Preprocessing(image_size=(16, 16))
SMALL = {"image_size": 16, "patch_size": 8, "width": 32, "depth": 1, "num_classes": 7}


def batch_of(size: int) -> dict[str, torch.Tensor]:
    image = torch.randint(0, 256, (size, 3, 16, 16), dtype=torch.uint8)
    return {"image": image, "label": torch.arange(size) % 7}


@pytest.fixture
def task() -> Classification:
    torch.manual_seed(0)
    return Classification(build_model("vit_ti16", **SMALL), PREPROCESSING, smoothing=0.1)


def test_bytes_are_normalised_as_the_preprocessing_says() -> None:
    normalise = Normalise((0.5, 0.25, 0.0), (0.5, 0.5, 1.0))
    white = normalise(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)).flatten()
    torch.testing.assert_close(white, torch.tensor([1.0, 1.5, 1.0]))


def test_smoothed_targets_are_a_distribution_with_the_label_on_top() -> None:
    targets = smooth_targets(torch.tensor([2]), 4, 0.2)
    torch.testing.assert_close(targets, torch.tensor([[0.05, 0.05, 0.85, 0.05]]))


def test_loss_equals_torchs_smoothed_cross_entropy(task: Classification) -> None:
    batch = batch_of(5)
    expected = F.cross_entropy(task.logits(batch), batch["label"], label_smoothing=0.1)
    torch.testing.assert_close(task(batch)["loss"], expected)


def test_mixing_happens_only_when_asked_for(task: Classification) -> None:
    batch = batch_of(6)
    assert task(batch)["loss"] == task(batch)["loss"]
    task.augment = Augment(mixup=0.8)
    torch.manual_seed(1)
    assert task(batch)["loss"] != task(batch)["loss"]


def test_measures_of_parts_add_up_to_those_of_the_whole(task: Classification) -> None:
    batch = batch_of(9)
    task.eval()
    whole = task.measure(batch)
    parts = [task.measure({key: value[part] for key, value in batch.items()}) for part in (slice(0, 4), slice(4, 9))]
    for name, (total, count) in whole.items():
        assert sum(part[name][0].item() for part in parts) == pytest.approx(total.item(), rel=1e-5)
        assert sum(part[name][1].item() for part in parts) == count.item() == 9


def test_top_one_and_top_five_count_the_right_images(task: Classification) -> None:
    logits = torch.eye(7)[[0, 1, 2]] * 10
    task.logits = lambda batch: logits  # type: ignore[method-assign]
    measured = task.measure({"label": torch.tensor([0, 1, 6])})
    assert measured["top1"][0] == 2
    assert math.isclose(
        measured["loss"][0].item(), F.cross_entropy(logits, torch.tensor([0, 1, 6])).item() * 3, rel_tol=1e-6
    )


def test_exported_weights_carry_the_models_own_names(task: Classification) -> None:
    assert set(task.export_state()) == set(task.model.state_dict())
