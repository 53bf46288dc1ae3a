import pytest
import torch

from vitrail.config import Preprocessing
from vitrail.heads.names import build_model
from vitrail.tasks.baseline import neighbour_mean
from vitrail.tasks.mae.loss import Reconstruction
from vitrail.tasks.masks import MaskDrawer

SMALL = {"image_size": 32, "patch_size": 8, "width": 32, "depth": 1, "decoder_width": 32, "decoder_depth": 1}


def naive_neighbour_mean(
    target: torch.Tensor, mask: torch.Tensor, grid: tuple[int, int], channels: int
) -> torch.Tensor:
    h, w = grid
    guess = torch.empty_like(target)
    for b in range(len(target)):
        for n in range(h * w):
            y, x = divmod(n, w)
            around = [
                i * w + j
                for i in range(max(0, y - 1), min(h, y + 2))
                for j in range(max(0, x - 1), min(w, x + 2))
                if (i, j) != (y, x) and not mask[b, i * w + j]
            ]
            around = around or [m for m in range(h * w) if not mask[b, m]]
            colour = target[b, around].reshape(-1, channels).mean(dim=0)
            guess[b, n] = colour.repeat(target.shape[-1] // channels)
    return guess


def test_the_baseline_is_the_mean_of_the_visible_neighbours() -> None:
    torch.manual_seed(0)
    target = torch.randn(2, 3 * 5, 4 * 3)
    mask = torch.rand(2, 15) < 0.8
    mask[:, 0] = False
    torch.testing.assert_close(
        neighbour_mean(target, mask, (3, 5), 3), naive_neighbour_mean(target, mask, (3, 5), 3), rtol=1e-5, atol=1e-6
    )


def test_measures_of_parts_add_up_to_those_of_the_whole() -> None:
    torch.manual_seed(0)
    task = Reconstruction(build_model("mae_vit_ti16", **SMALL), Preprocessing(image_size=(32, 32))).eval()
    draw = MaskDrawer(8, 0.75)
    image = torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8)
    batch = {"image": image, "mask": torch.stack([draw(one)["mask"] for one in image])}
    whole = task.measure(batch)
    parts = [task.measure({key: value[part] for key, value in batch.items()}) for part in (slice(0, 2), slice(2, 5))]
    for name, (total, _) in whole.items():
        assert sum(part[name][0].item() for part in parts) == pytest.approx(total.item(), rel=1e-5)


def test_the_loader_draws_a_mask_for_the_images_own_grid() -> None:
    mask = MaskDrawer(8, 0.75)(torch.zeros(3, 16, 32))["mask"]
    assert mask.shape == (8,)
    assert mask.sum() == 6
