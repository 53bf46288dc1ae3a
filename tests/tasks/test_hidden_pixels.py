import pytest
import torch

from vitrail.config import Preprocessing
from vitrail.heads.names import build_model
from vitrail.tasks.masks import MaskDrawer
from vitrail.tasks.simmim.loss import HiddenPixels, neighbouring_colours

SMALL = {
    "image_size": 32, "patch_size": 2, "embed_width": 8, "head_width": 4, "depths": (2, 2), "window": 4, "mask_unit": 8
}  # fmt: skip


@pytest.fixture
def task() -> HiddenPixels:
    torch.manual_seed(0)
    return HiddenPixels(build_model("simmim_swin_t", **SMALL), Preprocessing(image_size=(32, 32))).eval()


def batch_of(task: HiddenPixels, count: int) -> dict[str, torch.Tensor]:
    draw = MaskDrawer(task.model.mask_unit, task.model.config.mask_ratio)
    image = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8)
    return {"image": image, "mask": torch.stack([draw(one)["mask"] for one in image])}


def test_measures_of_parts_add_up_to_those_of_the_whole(task: HiddenPixels) -> None:
    batch = batch_of(task, 5)
    whole = task.measure(batch)
    parts = [task.measure({key: value[part] for key, value in batch.items()}) for part in (slice(0, 2), slice(2, 5))]
    for name, (total, count) in whole.items():
        assert sum(part[name][0].item() for part in parts) == pytest.approx(total.item(), rel=1e-5)
        assert sum(part[name][1].item() for part in parts) == count.item()


def test_what_is_measured_is_the_loss_that_is_trained(task: HiddenPixels) -> None:
    batch = batch_of(task, 3)
    total, count = task.measure(batch)["loss"]
    assert total / count == pytest.approx(task(batch)["loss"].item(), rel=1e-5)


def test_the_baseline_is_right_about_images_of_one_colour(task: HiddenPixels) -> None:
    images = torch.tensor([0.3, -1.0, 2.0]).view(1, 3, 1, 1).expand(2, 3, 32, 32)
    guess = neighbouring_colours(task.model, images, batch_of(task, 2)["mask"])
    torch.testing.assert_close(guess, images)


def test_the_baseline_never_looks_at_what_is_hidden(task: HiddenPixels) -> None:
    images, mask = torch.randn(2, 3, 32, 32), batch_of(task, 2)["mask"]
    changed = torch.where(task.model.hidden_pixels(images, mask), 9.0, images)
    torch.testing.assert_close(
        neighbouring_colours(task.model, images, mask), neighbouring_colours(task.model, changed, mask)
    )


def test_the_mask_token_and_the_encoders_tables_do_not_decay(task: HiddenPixels) -> None:
    names = task.no_weight_decay()
    assert "model.predictor.mask_token" in names
    assert "model.encoder.layers.0.blocks.0.attn.relative_position_bias_table" in names
    assert names <= {name for name, _ in task.named_parameters()}
