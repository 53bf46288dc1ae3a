import pytest
import torch

from vitrail.errors import ConfigError
from vitrail.heads.classifier import ImageClassifier
from vitrail.heads.names import build_model
from vitrail.models.backbone import freeze

TINY = {"width": 32, "num_heads": 2, "depth": 3, "image_size": 32}


def tiny(**options) -> ImageClassifier:
    model = build_model("vit_ti16", **{"num_classes": 5, **TINY, **options})
    assert isinstance(model, ImageClassifier)
    return model


def test_a_zero_head_scores_every_class_the_same_and_still_learns() -> None:
    model = tiny(head_init="zero")
    logits = model(torch.randn(4, 3, 32, 32))
    assert not logits.any()
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 3])).backward()
    assert model.head.weight.grad is not None
    assert model.head.weight.grad.any()


def test_the_representation_layer_is_linear_and_tanh() -> None:
    model, images = tiny(representation=24), torch.randn(2, 3, 32, 32)
    assert model.pre_logits is not None
    hidden = torch.tanh(model.backbone.embed(images) @ model.pre_logits.weight.T + model.pre_logits.bias)
    assert hidden.shape == (2, 24)
    torch.testing.assert_close(model(images), hidden @ model.head.weight.T + model.head.bias)


def test_a_new_head_takes_the_representation_layer_with_it() -> None:
    model = tiny(representation=24).double()
    before = {name: tensor.clone() for name, tensor in model.backbone.state_dict().items()}
    model.replace_head(9)
    assert model(torch.randn(2, 3, 32, 32).double()).shape == (2, 9)
    assert not model.head.weight.any()
    assert not [name for name in model.state_dict() if name.startswith("pre_logits")]
    assert all(torch.equal(before[name], tensor) for name, tensor in model.backbone.state_dict().items())


def test_head_options_are_suggested() -> None:
    with pytest.raises(ConfigError, match="did you mean 'representation'"):
        build_model("vit_ti16", representations=3)


@pytest.mark.parametrize("layers", range(6))
def test_frozen_layers_keep_still_and_the_others_move(layers: int) -> None:
    model = tiny()
    frozen = freeze(model, layers)
    assert set(frozen) == {n for n, _ in model.named_parameters() if model.layer_of(n) < layers}
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    free = [p for p in model.parameters() if p.requires_grad]
    if free:
        model(torch.randn(2, 3, 32, 32)).square().sum().backward()
        torch.optim.SGD(free, lr=1.0).step()
    moved = {name for name, p in model.named_parameters() if not torch.equal(before[name], p)}
    assert not moved & set(frozen)
    assert (layers > 4) == (not moved)


def test_freezing_never_lets_fixed_positions_go() -> None:
    model = tiny(positions="sincos_2d")
    freeze(model, 0)
    assert not model.backbone.pos_embed.requires_grad
