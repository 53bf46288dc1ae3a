"""UperNet against transformers' own, with the same random weights over the same Swin."""

import re

import pytest
import torch

from vitrail.heads.convolution import new_norm
from vitrail.heads.names import build_model
from vitrail.heads.segmenter import Segmenter
from vitrail.heads.upernet import PyramidPooling
from vitrail.settings import Dense
from vitrail.weights.detect import translate

CLASSES = 5


def renamed(name: str) -> str:
    """Translate transformers' name of a parameter of the heads into ours."""
    for pattern, ours in (
        (r"decode_head\.psp_modules\.(\d)\.1\.", r"head.pooling.means.\1."),
        (r"decode_head\.bottleneck\.", "head.pooling.fuse."),
        (r"decode_head\.lateral_convs\.(\d)\.", r"head.laterals.\1."),
        (r"decode_head\.fpn_convs\.(\d)\.", r"head.smooth.\1."),
        (r"decode_head\.fpn_bottleneck\.", "head.fuse."),
        (r"decode_head\.classifier\.", "head.classify.conv."),
        (r"auxiliary_head\.convs\.0\.", "auxiliary.0.conv."),
        (r"auxiliary_head\.classifier\.", "auxiliary.0.classify.conv."),
        (r"backbone\.hidden_states_norms\.stage(\d)\.", lambda found: f"levels.norms.{int(found[1]) - 1}."),
    ):
        name = re.sub(pattern, ours, name)
    return name.replace("batch_norm.", "norm.")


@pytest.fixture(scope="module")
def pair() -> tuple[torch.nn.Module, Segmenter]:
    transformers = pytest.importorskip("transformers")
    shape = {"embed_dim": 32, "depths": [2, 2, 2, 2], "num_heads": [1, 2, 4, 8], "window_size": 2, "image_size": 128}
    backbone = transformers.SwinConfig(**shape, out_features=["stage1", "stage2", "stage3", "stage4"])
    config = transformers.UperNetConfig(
        backbone_config=backbone, hidden_size=32, auxiliary_channels=16, auxiliary_in_channels=128, num_labels=CLASSES
    )
    torch.manual_seed(0)
    theirs = transformers.UperNetForSemanticSegmentation(config).eval()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    for name, buffer in theirs.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    swin = build_model("swin_t", num_classes=0, embed_width=32, depths=(2, 2, 2, 2), window=2, image_size=128)
    ours = Segmenter(swin, CLASSES, Dense("upernet", width=32, norm="batch", dropout=0.0)).eval()
    state = theirs.state_dict()
    heads = {renamed(name): value for name, value in state.items()}
    heads = {name: value for name, value in heads.items() if name.startswith(("head.", "auxiliary.", "levels."))}
    body = {n.removeprefix("backbone."): v for n, v in state.items() if n.startswith("backbone.swin.")}
    missing, unexpected = ours.load_state_dict(heads, strict=False)
    assert not unexpected
    assert all(name.startswith("backbone.") for name in missing)
    missing, unexpected = swin.load_state_dict(translate(body, "theirs")[0], strict=False)
    assert not missing
    assert not unexpected
    for norm in ours.levels.norms:
        norm.eps = 1e-5
    return theirs, ours


@pytest.mark.parametrize("size", [(128, 128), (128, 192)])
def test_scores_equal_those_of_transformers(pair: tuple[torch.nn.Module, Segmenter], size: tuple[int, int]) -> None:
    theirs, ours = pair
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        expected = theirs(images).logits
        found = ours(images)
    assert found.shape == (2, CLASSES, *size)
    scale = expected.abs().max()
    assert torch.allclose(found / scale, expected / scale, atol=1e-5)


def test_auxiliary_scores_equal_those_of_transformers(pair: tuple[torch.nn.Module, Segmenter]) -> None:
    theirs, ours = pair
    images = torch.randn(1, 3, 128, 128)
    with torch.no_grad():
        maps = theirs.backbone.forward_with_filtered_kwargs(images).feature_maps
        expected = theirs.auxiliary_head(maps)
        _, (found,) = ours.all_scores(images)
    expected = torch.nn.functional.interpolate(expected, size=(128, 128), mode="bilinear")
    scale = expected.abs().max()
    assert torch.allclose(found / scale, expected / scale, atol=1e-5)


def test_a_map_of_one_place_is_not_normalised_to_plus_and_minus_one() -> None:
    torch.manual_seed(0)
    pooling = PyramidPooling(16, 32).train()
    features = torch.randn(1, 16, 1, 1)
    assert pooling(features).unique().numel() > 8
    with pytest.raises(ValueError, match="more than 1 value"):
        PyramidPooling(16, 32, "batch").train()(features)


@pytest.mark.parametrize(("channels", "groups"), [(256, 16), (32, 2), (24, 1), (8, 1)])
def test_groups_have_sixteen_channels_where_that_comes_out_even(channels: int, groups: int) -> None:
    assert new_norm("group", channels).num_groups == groups
