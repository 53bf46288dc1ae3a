import copy
from typing import Any

import pytest
import torch

from vitrail.errors import ConfigError
from vitrail.heads.names import build_model
from vitrail.heads.partial_fine_tuning import PartialFineTuning

SMALL = {"image_size": 32, "patch_size": 8, "width": 32, "depth": 3, "num_heads": 2, "num_classes": 5}
CUTS = (0, 0.5, 1, 2, 3)


def classifier(**options: Any) -> Any:
    torch.manual_seed(0)
    return build_model("vit_ti16", **{**SMALL, **options})


@pytest.mark.parametrize("blocks", CUTS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pool": "mean"},
        {"pool": "attention", "class_token": False},
        {"positions": "learned", "positions_at": "layers"},
        {"positions": "relative_bias"},
        {"positions": "relative", "positions_at": "layers_shared"},
        {"representation": 16},
    ],
)
def test_both_parts_after_one_another_are_the_whole_model(blocks: float, options: dict[str, Any]) -> None:
    model = classifier(**options).eval()
    images = torch.randn(2, 3, 32, 32)
    cut = PartialFineTuning(model, blocks, (32, 32))
    torch.testing.assert_close(cut.tuned(cut.frozen(images)), model(images), rtol=0, atol=0)


@pytest.mark.parametrize("blocks", CUTS)
def test_exactly_what_is_above_the_cut_gets_gradients(blocks: float) -> None:
    model = classifier()
    cut = PartialFineTuning(model, blocks, (32, 32))
    cut.freeze()
    tokens = cut.frozen(torch.randn(2, 3, 32, 32))
    assert not tokens.requires_grad
    cut.tuned(tokens).sum().backward()
    with_gradient = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert with_gradient == {name for name, _ in model.named_parameters()} - cut.below().keys()
    expected = {0: set(), 0.5: {"blocks.2.mlp", "blocks.2.norm2", "norm"}}
    if blocks in expected:
        parts = {name.removeprefix("backbone.") for name in with_gradient if name.startswith("backbone.")}
        assert {next((e for e in expected[blocks] if part.startswith(e)), part) for part in parts} == expected[blocks]


def test_dropout_below_the_cut_never_acts_and_above_it_does() -> None:
    model = classifier(dropout=0.5, drop_path=0.5)
    cut = PartialFineTuning(model, 1, (32, 32))
    model.train()
    for module in cut.frozen_modules():
        module.eval()
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(cut.frozen(images), cut.frozen(images))
    tokens = cut.frozen(images)
    assert not torch.equal(cut.tuned(tokens), cut.tuned(tokens))


def test_a_hybrid_is_cut_too() -> None:
    model = build_model("r50_vit_b16", num_classes=3, stem_depths=(1, 1), patch_size=8, width=64, depth=2, num_heads=2)
    model.eval()
    cut = PartialFineTuning(model, 1, (64, 64))  # type: ignore[arg-type]
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(cut.tuned(cut.frozen(images)), model(images))


@pytest.mark.parametrize("blocks", [-1, 0.25, 1.5, 4])
def test_numbers_of_blocks_that_are_not_there_are_refused_in_a_sentence(blocks: float) -> None:
    with pytest.raises(ConfigError, match=r"0, 0\.5 or 1 to 3"):
        PartialFineTuning(classifier(), blocks, (32, 32))


def test_a_swin_is_told_to_use_freeze() -> None:
    swin: Any = build_model("swin_t", num_classes=3, embed_width=32, depths=(1, 1))
    with pytest.raises(ConfigError, match="use freeze"):
        PartialFineTuning(copy.copy(swin), 1, (32, 32))
