import pytest
import torch
from safetensors.torch import save_file

from vitrail.heads.names import build_model
from vitrail.models.vit import SIZES
from vitrail.weights.formats import torchvision as layout
from vitrail.weights.formats.plain import plain_name
from vitrail.weights.load import load_weights

from .random_weights import randomise, relative_difference

models = pytest.importorskip("torchvision.models")

SIZES_THERE = (("b", 16), ("b", 32), ("l", 16), ("l", 32), ("h", 14))
NAMES = {f"vit_{size}_{patch}": f"vit_{size}{patch}" for size, patch in SIZES_THERE}


def theirs_like(name: str, depth: int, size: int):
    c = SIZES[name]
    return randomise(
        models.VisionTransformer(
            size, c.patch_size, depth, c.num_heads, c.width, int(c.width * c.mlp_ratio), num_classes=7
        )
    )


@pytest.mark.parametrize(("theirs", "ours"), NAMES.items())
def test_names_and_shapes_of_every_model_are_torchvisions_there_and_back(theirs, ours):
    with torch.device("meta"):
        state = getattr(models, theirs)().state_dict()
        own = build_model(ours).state_dict()
    plain = layout.to_plain(state)
    assert {n: t.shape for n, t in plain.items()} == {plain_name(n): t.shape for n, t in own.items()}
    back = layout.from_plain(plain, 1)
    assert {n: t.shape for n, t in back.items()} == {n: t.shape for n, t in state.items()}


@pytest.mark.parametrize("name", NAMES.values())
def test_two_blocks_of_every_size_give_torchvisions_features_and_logits(name, tmp_path):
    size = 4 * SIZES[name].patch_size
    theirs = theirs_like(name, depth=2, size=size)
    ours = build_model(name, depth=2, image_size=size, num_classes=7).eval()
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    report = load_weights(ours, tmp_path / "model.safetensors")
    assert report.layout == "torchvision"
    assert not (report.missing + report.dropped + report.unexpected)
    images, features = torch.randn(2, 3, size, size), []
    theirs.heads.register_forward_pre_hook(lambda module, inputs: features.append(inputs[0]))
    with torch.no_grad():
        assert relative_difference(ours(images), theirs(images)) < 1e-5
        assert relative_difference(ours.backbone.embed(images), features[0]) < 1e-5


def test_the_names_of_the_published_files_are_understood():
    state = theirs_like("vit_b32", depth=1, size=64).state_dict()
    published = {n.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): t for n, t in state.items()}
    assert published.keys() != state.keys()
    old, new = layout.to_plain(published), layout.to_plain(state)
    assert all(torch.equal(old[n], new[n]) for n in new)
