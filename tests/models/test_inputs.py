"""What people hand to a model: no images at all, bytes that are not normalised, and torch's own tools."""

import warnings

import pytest
import torch

from vitrail.errors import InputError, VitrailError
from vitrail.heads.names import build_model

SMALL = {"image_size": 32, "patch_size": 8, "width": 32, "depth": 1, "num_heads": 2}
MODELS = {
    "vit": ("vit_ti16", SMALL),
    "vit by mean": ("vit_ti16", {**SMALL, "pool": "mean"}),
    "vit by attention": ("vit_ti16", {**SMALL, "pool": "attention"}),
    "vit with relative biases": ("vit_ti16", {**SMALL, "positions": "relative_bias"}),
    "vit with relative keys": ("vit_ti16", {**SMALL, "positions": "relative"}),
    "swin": ("swin_t", {"image_size": 32, "embed_width": 32, "depths": (2, 2), "window": 4}),
    "bit": ("bit_r50x1", {"image_size": 32, "depths": (1, 1)}),
    "hybrid": ("r26_vit_s32", {"width": 64, "depth": 1, "num_heads": 2, "stem_depths": (1, 1, 1, 1), "image_size": 64}),
}
PRETRAINED = {
    "mae": ("mae_vit_ti16", {**SMALL, "decoder_width": 16, "decoder_depth": 1}),
    "simmim": ("simmim_swin_t", {"image_size": 64, "embed_width": 32, "depths": (1, 1), "window": 4}),
    "mpp": ("mpp_vit_ti16", SMALL),
}


@pytest.fixture(params=MODELS)
def model(request):
    name, options = MODELS[request.param]
    torch.manual_seed(7)
    return build_model(name, num_classes=5, **options).eval()


@pytest.fixture
def images():
    return torch.randn(3, 3, 48, 64, generator=torch.Generator().manual_seed(3))


def test_no_images_give_no_scores_features_or_maps(model, images):
    assert model(images[:0]).shape == (0, 5)
    assert model.backbone.embed(images[:0]).shape == (0, model.backbone.width)
    some = model.backbone.feature_maps(images)
    none = model.backbone.feature_maps(images[:0])
    assert [a.shape[1:] for a in none] == [a.shape[1:] for a in some]
    assert all(len(a) == 0 for a in none)
    model.train()(images[:0]).sum().backward()


def test_bytes_that_are_not_normalised_are_refused_in_one_sentence(model, images):
    with pytest.raises(InputError, match="normalised images of floating point, got uint8") as refused:
        model(images.byte())
    assert isinstance(refused.value, ValueError)
    with pytest.raises(InputError, match="uint8"):
        model.backbone.feature_maps(images.byte())


def test_a_traced_model_computes_the_same(model, images):
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(model, images)
    assert torch.allclose(traced(images * 2), model(images * 2), atol=1e-5)


def test_vmap_over_single_images_computes_the_same(model, images):
    for vmap in (torch.vmap, torch.func.vmap):
        assert torch.allclose(vmap(lambda image: model(image[None])[0])(images), model(images), atol=1e-5)


def test_gradients_of_each_image_come_from_vmap(model, images):
    gradients = torch.func.vmap(torch.func.grad(lambda image: model(image[None]).sum()))(images)
    whole = images.clone().requires_grad_()
    model(whole).sum().backward()
    assert torch.allclose(gradients, whole.grad, atol=1e-5)


@pytest.mark.parametrize("name", PRETRAINED)
def test_self_supervised_models_take_no_images_or_say_so_and_refuse_bytes(name):
    model = build_model(PRETRAINED[name][0], **PRETRAINED[name][1])
    with pytest.raises(InputError, match="uint8"):
        model(torch.zeros(2, 3, 64, 64, dtype=torch.uint8))
    try:
        result = model(torch.zeros(0, 3, 64, 64))
    except VitrailError as error:
        assert "no images" in str(error)  # noqa: PT017
        return
    assert len(result) == 0
