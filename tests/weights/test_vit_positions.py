"""Positions other than the usual table, loaded into a model for images of another size."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from vitrail.errors import WeightsError
from vitrail.heads.names import build_model
from vitrail.weights.load import load_weights

SMALL = {"width": 32, "depth": 2, "num_heads": 2, "patch_size": 8, "num_classes": 3}
KINDS = [
    (positions, at)
    for positions in ("learned", "learned_2d", "relative", "relative_bias")
    for at in ("stem", "layers_shared", "layers")
]


@pytest.mark.parametrize(("positions", "at"), KINDS)
def test_a_model_for_a_new_size_computes_what_the_old_model_makes_of_that_size(
    positions: str, at: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    old = build_model("vit_ti16", image_size=32, positions=positions, positions_at=at, **SMALL).eval()
    new = build_model("vit_ti16", image_size=(40, 64), positions=positions, positions_at=at, **SMALL).eval()
    save_file(old.state_dict(), tmp_path / "old.safetensors")
    report = load_weights(new, tmp_path / "old.safetensors")
    assert report.resized
    images = torch.randn(2, 3, 40, 64)
    with torch.no_grad():
        torch.testing.assert_close(new(images), old(images), rtol=1e-5, atol=1e-5)


def test_tensors_of_another_width_are_not_taken_for_another_grid(tmp_path: Path) -> None:
    for positions in ("relative", "relative_bias", "learned_2d"):
        old = build_model("vit_ti16", image_size=32, positions=positions, **SMALL)
        state = {name: t for name, t in old.state_dict().items() if "pos" in name or "relative" in name}
        new = build_model("vit_ti16", image_size=64, positions=positions, **{**SMALL, "num_heads": 4, "width": 64})
        save_file({**new.state_dict(), **state}, tmp_path / "mixed.safetensors")
        with pytest.raises(WeightsError, match="has shape"):
            load_weights(new, tmp_path / "mixed.safetensors")


def test_a_table_of_no_square_grid_is_refused_with_a_way_out(tmp_path: Path) -> None:
    old = build_model("vit_ti16", image_size=(32, 64), positions="relative_bias", **SMALL)
    save_file(old.state_dict(), tmp_path / "old.safetensors")
    new = build_model("vit_ti16", image_size=64, positions="relative_bias", **SMALL)
    with pytest.raises(WeightsError, match="build the model with the image_size of the weights"):
        load_weights(new, tmp_path / "old.safetensors")
