"""The published sizes of today's encoders, whole: what timm computes with random weights, at two sizes; slow."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from vitrail.heads.registry import build
from vitrail.models.backbone import backbone_of
from vitrail.weights.load import load_weights
from vitrail.weights.weights_file import WeightsFile

from .random_weights import randomise, relative_difference

timm = pytest.importorskip("timm")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*assumed.*:UserWarning")]

TANH = {"act_layer": "gelu_tanh"}  # as SigLIP was trained; timm's first versions have the exact GELU
CLASS = {"global_pool": "token"}  # as DINOv3 describes an image
BICUBIC = {"position_resize": "bicubic"}  # timm's way; DINOv2's own is the default

# timm's name; what it is built with; options of vitrail's; size of the positions; another size.
FULL: list[tuple[str, dict[str, Any], dict[str, Any], tuple[int, int], tuple[int, int]]] = [
    ("deit_tiny_distilled_patch16_224", {}, {}, (224, 224), (192, 320)),
    ("deit_small_distilled_patch16_224", {}, {}, (224, 224), (192, 320)),
    ("deit_base_distilled_patch16_224", {}, {}, (224, 224), (192, 320)),
    ("deit3_small_patch16_224", {}, {}, (224, 224), (192, 320)),
    ("deit3_base_patch16_224", {}, {}, (224, 224), (192, 320)),
    ("deit3_large_patch16_224", {}, {}, (224, 224), (192, 320)),
    ("beit_base_patch16_224", {}, {}, (224, 224), (192, 320)),
    ("beit_large_patch16_224", {}, {}, (224, 224), (192, 320)),
    ("vit_small_patch14_dinov2", {}, BICUBIC, (518, 518), (224, 336)),
    ("vit_base_patch14_dinov2", {}, BICUBIC, (518, 518), (224, 336)),
    ("vit_large_patch14_dinov2", {}, BICUBIC, (518, 518), (224, 336)),
    ("vit_small_patch14_reg4_dinov2", {}, {}, (518, 518), (224, 336)),
    ("vit_base_patch14_reg4_dinov2", {}, {}, (518, 518), (224, 336)),
    ("vit_large_patch14_reg4_dinov2", {}, {}, (518, 518), (224, 336)),
    ("vit_giant_patch14_dinov2", {"depth": 2}, BICUBIC, (518, 518), (224, 336)),
    ("vit_small_patch16_dinov3", CLASS, {}, (256, 256), (192, 320)),
    ("vit_small_plus_patch16_dinov3_qkvb", CLASS, {}, (256, 256), (192, 320)),
    ("vit_base_patch16_dinov3", CLASS, {}, (256, 256), (192, 320)),
    ("vit_large_patch16_dinov3", CLASS, {}, (256, 256), (192, 320)),
    ("vit_base_patch16_clip_quickgelu_224", {}, {}, (224, 224), (192, 320)),
    ("vit_large_patch14_clip_quickgelu_224", {}, {}, (224, 224), (196, 322)),
    ("vit_base_patch16_siglip_224", TANH, {}, (224, 224), (192, 320)),
    ("vit_so400m_patch14_siglip_224", TANH, {}, (224, 224), (196, 322)),
    ("swinv2_tiny_window8_256", {}, {}, (256, 256), (256, 512)),
    ("swinv2_small_window8_256", {}, {}, (256, 256), (256, 512)),
    ("swinv2_base_window8_256", {}, {}, (256, 256), (256, 512)),
    ("swinv2_base_window12to16_192to256", {}, {}, (256, 256), (512, 256)),
]


@pytest.mark.parametrize(("name", "given", "options", "native", "other"), FULL, ids=[row[0] for row in FULL])
@torch.no_grad()
def test_a_whole_model_gives_timms_tokens_vectors_and_logits(
    name: str,
    given: dict[str, Any],
    options: dict[str, Any],
    native: tuple[int, int],
    other: tuple[int, int],
    tmp_path: Path,
) -> None:
    classes = 0 if "siglip" in name or "dino" in name else 1000
    theirs: Any = randomise(timm.create_model(name, img_size=native, num_classes=classes, **given), seed=8)
    save_file({key: tensor.contiguous() for key, tensor in theirs.state_dict().items()}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(f'{{"architecture": "{name}"}}')
    weights = WeightsFile(tmp_path / "model.safetensors")
    for size in (native, other):
        # A Swin's windows are those of the images that it is built for; all others take images of any size.
        own = {"image_size": size} if "swin" in name else {}
        backbone_options = weights.spec.backbone_options | options | own
        ours: Any = build(dataclasses.replace(weights.spec, backbone_options=backbone_options)).eval()
        report = load_weights(ours, weights)
        assert not (report.missing + report.dropped + report.unexpected)
        backbone = backbone_of(ours)
        if size != native:
            theirs.set_input_size(img_size=size, **({"window_size": ours.backbone.config.window} if own else {}))
        images = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(9))
        tokens = theirs.forward_features(images)
        assert relative_difference(backbone.forward_features(images), tokens) < 1e-5
        assert relative_difference(backbone.embed(images), theirs.forward_head(tokens, pre_logits=True)) < 1e-5
        if classes:
            assert relative_difference(ours(images), theirs(images)) < 1e-5
