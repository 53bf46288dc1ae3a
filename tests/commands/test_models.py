import json

import pytest
import torch

from vitrail.cli import main
from vitrail.commands.models import models
from vitrail.errors import ConfigError
from vitrail.heads.names import build_model
from vitrail.models.cost import cost
from vitrail.models.published import PUBLISHED
from vitrail.models.registry import BACKBONES
from vitrail.runs.choose_model import choose_model
from vitrail.settings import Architecture

from .test_start import random_images

# Parameters and GMACs at 224 and 384 pixels of ViT-G/14 by hand: L (12 D² N + 2 N² D) with an MLP of 8192, and the
# embedding of 14x14x3 pixels.
WIDTH, DEPTH, HIDDEN = 1664, 48, 8192


def gmacs_of_g14(grid: int) -> float:
    tokens = grid**2 + 1
    block = tokens * (4 * WIDTH**2 + 2 * WIDTH * HIDDEN) + 2 * tokens**2 * WIDTH
    return (DEPTH * block + grid**2 * 14 * 14 * 3 * WIDTH + 1000 * WIDTH) / 1e9


def test_the_giant_costs_what_the_papers_formula_says() -> None:
    (giant,) = models("vit_g14")[:1]
    assert giant.tokens == {224: 257, 384: 28**2 + 1}
    assert giant.multiply_accumulates[224] / 1e9 == pytest.approx(gmacs_of_g14(16), rel=1e-9)
    assert giant.multiply_accumulates[384] / 1e9 == pytest.approx(gmacs_of_g14(28), rel=1e-9)
    assert giant.published[0].top1 == 90.45


def test_every_published_figure_is_listed_and_every_backbone_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json", "--image-sizes", "224"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {fact["name"] for fact in listed} == set(BACKBONES)
    assert sum(len(fact["published"]) for fact in listed) == len([p for p in PUBLISHED if p.model in BACKBONES])
    assert all(min(fact["multiply_accumulates"].values()) > 1e8 for fact in listed)


def test_a_pattern_finds_what_is_pretrained_around_a_backbone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "vit_b16", "--image-sizes", "64"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in ("mae_vit_b16", "mpp_vit_b16", "r50_vit_b16", "images of 64 pixels", "[1]"))


@pytest.mark.parametrize("sizes", [(), (16,)])
def test_an_image_size_without_a_meaning_is_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="32"):
        models("vit_ti16", sizes)


def test_blocks_that_cost_the_same_are_run_once_and_counted_each() -> None:
    runs = []
    with torch.device("meta"):
        deep, shallow = (build_model("vit_ti16", depth=depth, num_classes=0) for depth in (9, 3))
    for block in deep.blocks:
        block.attn.register_forward_pre_hook(lambda module, inputs: runs.append(1))
    per_block = (cost(deep).multiply_accumulates - cost(shallow).multiply_accumulates) / 6
    assert len(runs) == 1
    assert per_block == 197 * 12 * 192**2 + 2 * 197**2 * 192
    assert all("forward" not in vars(block) for block in deep.blocks)


@pytest.mark.parametrize(
    ("name", "asked", "size"),
    [("vit_base_patch16_384", None, 384), ("vit_base_patch16_384", 96, 96), ("vit_b16", None, 64)],
)
def test_the_image_size_in_timms_name_is_not_lost(name: str, asked: int | None, size: int) -> None:
    start = choose_model(name, None, Architecture(), random_images(70, 100), asked, 3)
    assert start.backbone.backbone == "vit_b16"
    assert start.backbone.backbone_options["image_size"] == (size, size)
