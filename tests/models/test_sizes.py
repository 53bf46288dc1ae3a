"""Every named size against timm's model of the same name, and the published tables."""

import pytest
import torch

from tests.models.test_resnet import disturb
from vitrail.errors import ConfigError
from vitrail.heads.names import build_model, canonical_name, list_models
from vitrail.models.published import PUBLISHED, published
from vitrail.models.registry import ALIASES, BACKBONES
from vitrail.models.vit import SIZES

VIT_ALIASES = sorted(name for name, own in ALIASES.items() if own in SIZES and name.startswith("vit_"))

PARAMETERS = {
    "vit_ti16": 5_717_416,
    "vit_b16": 86_567_656,
    "vit_b32": 88_224_232,
    "vit_l16": 304_326_632,
    "vit_l32": 306_535_400,
    "vit_h14": 632_045_800,
    "mae_vit_b16": 111_907_840,
    "mae_vit_l16": 329_541_888,
    "mae_vit_h14": 657_074_508,
}


@pytest.mark.parametrize(("name", "count"), PARAMETERS.items())
def test_parameters_are_the_published_number(name: str, count: int) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in build_model(name).parameters()) == count


@pytest.mark.parametrize("alias", VIT_ALIASES)
def test_names_and_shapes_of_every_vit_are_timms(alias: str) -> None:
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        ours = build_model(alias, num_classes=0).state_dict()
        theirs = timm.create_model(alias, num_classes=0).state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}


@pytest.mark.parametrize("alias", VIT_ALIASES)
def test_two_blocks_of_every_vit_compute_what_timms_do(alias: str) -> None:
    timm = pytest.importorskip("timm")
    side = 2 * BACKBONES[canonical_name(alias)][1].patch_size
    theirs = timm.create_model(alias, depth=2, img_size=side, num_classes=5).eval()
    disturb(theirs)
    with torch.device("meta"):
        ours = build_model(alias, depth=2, image_size=side, num_classes=5).eval()
    state = theirs.state_dict()
    ours.load_state_dict({k if k.startswith("head.") else f"backbone.{k}": v for k, v in state.items()}, assign=True)
    images = torch.randn(2, 3, side, side)
    with torch.no_grad():
        found, expected = ours(images), theirs(images)
    assert (found - expected).norm() < 1e-5 * expected.norm()


def test_a_name_of_timms_brings_its_image_size() -> None:
    with torch.device("meta"):
        large = build_model("vit_base_patch16_384", num_classes=0)
        asked = build_model("vit_base_patch16_384", num_classes=0, image_size=96)
    assert large.config.image_size == (384, 384)
    assert large.pos_embed.shape[1] == 577
    assert asked.config.image_size == (96, 96)
    assert canonical_name("vit_base_patch16_384") == "vit_b16"


@pytest.mark.parametrize(("wrong", "right"), [("r50_vit_b17", "r50_vit_b16"), ("bit_50x1", "bit_r50x1")])
def test_a_misspelt_model_names_the_right_one(wrong: str, right: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean.*'{right}'"):
        build_model(wrong)


def test_aliases_lead_to_models() -> None:
    assert set(ALIASES.values()) <= set(list_models())


def test_published_figures_belong_to_models_and_are_per_cent() -> None:
    assert {row.model for row in PUBLISHED} <= set(list_models())
    assert all(50 < row.top1 < 100 and row.source and row.training for row in PUBLISHED)
    assert len({(row.model, row.image_size, row.training, row.source) for row in PUBLISHED}) == len(PUBLISHED)


def test_the_best_published_figure_comes_first() -> None:
    rows = published("vit_b16")
    assert [row.top1 for row in rows] == sorted((row.top1 for row in rows), reverse=True)
    assert rows[0].top1 == 85.49
    assert published("vit_giant14") == ()
