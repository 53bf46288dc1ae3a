import pytest
import torch

from vitrail.config import Preprocessing
from vitrail.heads.names import build_model
from vitrail.models.mpp import MASKED
from vitrail.tasks.mpp.loss import CorruptionDrawer, PatchPrediction, majority_colour

SMALL = {"image_size": 32, "patch_size": 8, "width": 32, "depth": 1, "num_heads": 2}
PREPROCESSING = Preprocessing(image_size=(32, 32))


def task(majority: int = 0, **options: object) -> PatchPrediction:
    torch.manual_seed(0)
    return PatchPrediction(build_model("mpp_vit_ti16", **SMALL, **options), PREPROCESSING, majority).eval()  # type: ignore[arg-type]


def batch_of(images: torch.Tensor) -> dict[str, torch.Tensor]:
    drawn = [CorruptionDrawer(8, 0.5)(image) for image in images]
    return {"image": images, **{key: torch.stack([one[key] for one in drawn]) for key in ("mask", "source")}}


def share(measured: dict[str, tuple[torch.Tensor, torch.Tensor]], name: str) -> float:
    return (measured[name][0] / measured[name][1]).item()


def test_half_of_the_patches_are_corrupted_in_the_papers_three_ways() -> None:
    torch.manual_seed(0)
    drawn = [CorruptionDrawer(8, 0.5)(torch.zeros(3, 64, 96)) for _ in range(300)]
    mask, source = (torch.stack([one[key] for one in drawn]) for key in ("mask", "source"))
    own = torch.arange(96)
    assert (mask.sum(dim=1) == 48).all()
    assert (source[~mask] == own.expand_as(source)[~mask]).all()
    corrupted = source[mask]
    masked, unchanged = corrupted == MASKED, corrupted == own.expand_as(source)[mask]
    assert masked.float().mean().item() == pytest.approx(0.8, abs=0.01)
    assert unchanged.float().mean().item() == pytest.approx(0.1, abs=0.01)
    other = corrupted[~masked & ~unchanged]
    assert set(other.tolist()) == set(range(96)), "any patch may stand in for another"


def test_measures_of_parts_add_up_to_those_of_the_whole() -> None:
    torch.manual_seed(0)
    batch = batch_of(torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8))
    whole = task().measure(batch)
    parts = [task().measure({key: value[part] for key, value in batch.items()}) for part in (slice(0, 2), slice(2, 5))]
    assert whole.keys() == {"loss", "accuracy", "majority_accuracy", "copy_accuracy", "neighbour_accuracy"}
    for name, pair in whole.items():
        for i in (0, 1):
            assert sum(part[name][i].item() for part in parts) == pytest.approx(pair[i].item(), rel=1e-5)


def test_the_baselines_are_perfect_on_one_colour_and_copying_fails_on_a_checkerboard() -> None:
    torch.manual_seed(0)
    plain = torch.full((2, 3, 32, 32), 200, dtype=torch.uint8)
    colour = 6 * 64 + 6 * 8 + 6
    assert majority_colour(task().model, plain) == colour
    measured = task(majority=colour).measure(batch_of(plain))
    assert [share(measured, f"{name}_accuracy") for name in ("majority", "copy", "neighbour")] == [1.0, 1.0, 1.0]
    # Columns of patches in turn black and white: of the eight neighbours two have a patch's own colour.
    stripes = (torch.arange(32) // 8 % 2 * 255).to(torch.uint8).expand(64, 3, 32, 32)
    measured = task(majority=511).measure(batch_of(stripes))
    assert share(measured, "majority_accuracy") == pytest.approx(0.5, abs=0.08)
    assert share(measured, "copy_accuracy") == pytest.approx(0.35, abs=0.12)
    assert share(measured, "neighbour_accuracy") < 0.2


def test_copying_a_neighbour_is_the_share_of_visible_neighbours_of_the_same_colour() -> None:
    image = torch.zeros(1, 3, 24, 24, dtype=torch.uint8)
    image[..., 0:8, :] = 255  # the upper row of patches is white, the others black; the middle is hidden
    mask = torch.zeros(1, 9, dtype=torch.bool)
    mask[0, 4] = mask[0, 0] = True
    source = torch.arange(9).unsqueeze(0).clone()
    source[0, 4] = MASKED  # patch 0 is corrupted but unchanged: no baseline may look at it, and it is not scored
    measured = task().measure({"image": image, "mask": mask, "source": source})
    assert measured["copy_accuracy"][1] == 1
    assert share(measured, "copy_accuracy") == pytest.approx(5 / 7)


def test_predicting_pixels_is_measured_by_its_loss_alone() -> None:
    batch = batch_of(torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8))
    assert task(target="full").measure(batch).keys() == {"loss"}
    assert majority_colour(task(target="full").model, []) == 0


def test_the_mask_token_and_the_encoders_tokens_do_not_decay() -> None:
    names = task().no_weight_decay()
    assert {"model.predictor.mask_token", "model.encoder.cls_token", "model.encoder.pos_embed"} <= names
    assert names <= {name for name, _ in task().named_parameters()}
