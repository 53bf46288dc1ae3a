"""Every method explains every backbone that it has a meaning for, whatever the batch, and refuses the others."""

import pytest
import torch

from tests.explain.naive import classifier, noise
from vitrail.errors import ConfigError
from vitrail.explain.fill import mean_fill
from vitrail.explain.methods import METHODS, Request, explain, random_map
from vitrail.explain.target import Target, target_of

SMALL = {"image_size": 16, "patch_size": 8, "width": 16, "depth": 2, "num_heads": 2}
MODELS = {
    "vit": ("vit_ti16", {}),
    "vit, mean": ("vit_ti16", {"pool": "mean"}),
    "swin": ("swin_t", {"seed": 4, "image_size": 32, "embed_width": 32, "depths": (1, 2), "window": 3}),
    "distilled": ("deit_ti16_distilled", SMALL),
    "dinov3": ("dinov3_vit_s16", SMALL | {"registers": 2, "seed": 6}),
    "dinov2, class and mean": ("dinov2_vit_s14", SMALL | {"pool": "class_mean"}),
    "siglip": ("siglip_vit_b16", SMALL),
    "swin v2": ("swinv2_t", {"seed": 4, "image_size": 32, "embed_width": 32, "depths": (1, 2), "window": 4}),
    "bit": ("bit_r50x1", {"image_size": 32, "depths": (1, 1)}),
    "hybrid": ("r_vit_ti16", {"image_size": 32, "patch_size": 8, "width": 16, "depth": 2, "num_heads": 2}),
}
REFUSED = {
    ("bit", "chefer"): "needs attention",
    ("bit", "rollout"): "attention can be looked at",
    ("bit", "attention"): "attention can be looked at",
    ("siglip", "chefer"): "does not follow attention pooling",
    ("swin v2", "attention"): "choose rollout for a Swin",
    ("swin", "attention"): "choose rollout for a Swin",
}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("method", METHODS)
def test_a_method_explains_a_backbone_or_refuses_it_in_one_sentence(kind, method):
    name, options = MODELS[kind]
    model, images = classifier(name, **options), noise(2, 16, 24)
    model.head.bias.data.zero_()  # else the class predicted may be one that nothing in the image speaks for
    target = target_of(model, images)
    taken_out = model.backbone.can_leave_patches_out and (model.backbone.pools_class_token or method != "shapley")
    fill = None if taken_out else mean_fill
    request = Request(model, images, target, fill, permutations=2, seed=3)
    if (kind, method) in REFUSED:
        with pytest.raises(ConfigError, match=REFUSED[kind, method]):
            explain(method, request)
        return
    found = explain(method, request)
    assert found.values.shape[0] == 2
    assert found.values.isfinite().all()
    assert found.values.flatten(1).std(dim=1).min() > 0
    assert found.signed or found.values.min() >= 0
    assert (found.errors is not None) == (method == "shapley")
    second = Request(model, images[1:], target.part(slice(1, 2)), fill, permutations=2, seed=3)
    torch.testing.assert_close(explain(method, second).values[0], found.values[1])
    other = Request(model, images, Target((target.classes + 1) % 3), fill, permutations=2, seed=3)
    assert torch.equal(explain(method, other).values, found.values) != METHODS[method].explains_class


def test_attention_alone_cannot_set_two_classes_against_each_other():
    request = Request(classifier(), noise(1, 8, 12), Target(torch.tensor([1]), torch.tensor([2])))
    with pytest.raises(ConfigError, match="rollout is the same map for every class"):
        explain("rollout", request)
    with pytest.raises(ConfigError, match="no method 'gradcam'; did you mean 'grad-cam'"):
        explain("gradcam", request)


def test_where_the_parts_do_not_add_up_the_baseline_is_another_and_said_so():
    request = Request(
        classifier("bit_r50x1", image_size=32, depths=(1, 1)), noise(1, 32, 32), Target(torch.tensor([1]))
    )
    assert "From the blurred image" in explain("integrated-gradients", request).note
    vit = Request(classifier(), 0.3 * noise(1, 8, 12), Target(torch.tensor([1])))
    assert "From the mean colour" in explain("integrated-gradients", vit).note


def test_a_random_map_is_the_same_for_the_same_seed():
    request = Request(classifier(), noise(2, 8, 12), Target(torch.tensor([1, 1])), seed=7)
    assert torch.equal(random_map(request), random_map(request))
    assert random_map(request).shape == (2, 2, 3)
