"""The table of published encoders: every line against timm's own code, and nothing without a source."""

import json
import re

import pytest
import torch

from vitrail.cli import main
from vitrail.errors import WeightsError
from vitrail.heads.names import build_model, resolve_name
from vitrail.weights.named import find_model, origin_of
from vitrail.weights.pretrained import SOURCES, Pretrained, licence_in_table, pretrained

timm = pytest.importorskip("timm")

PERMISSIVE = {"apache-2.0", "mit"}
ONE_OF_EACH_FAMILY = (
    "vit_tiny_patch16_384.augreg_in21k_ft_in1k",
    "deit_tiny_distilled_patch16_224.fb_in1k",
    "deit3_small_patch16_224.fb_in1k",
    "vit_base_patch16_224.mae",
    "vit_small_patch14_reg4_dinov2.lvd142m",
    "vit_small_patch16_dinov3.lvd1689m",
    "beit_base_patch16_224.in22k_ft_in22k",
    "vit_base_patch16_clip_224.openai",
    "vit_base_patch16_siglip_224.webli",
    "swin_tiny_patch4_window7_224.ms_in1k",
    "swinv2_tiny_window8_256.ms_in1k",
    "resnetv2_50x1_bit.goog_in21k",
    "vit_small_r26_s32_224.augreg_in21k",
)


@pytest.mark.parametrize("one", pretrained().values(), ids=lambda one: one.name)
def test_every_line_agrees_with_timms_own_table(one: Pretrained) -> None:
    theirs = timm.models.get_pretrained_cfg(one.name)
    assert theirs.hf_hub_id == one.repository
    assert theirs.input_size == (3, one.image_size, one.image_size)
    assert (theirs.license in PERMISSIVE) == (not one.must_accept)
    assert theirs.license == one.licence or {theirs.license, one.licence} <= PERMISSIVE
    assert (one.accuracy is None) == (not one.measure) == (not one.accuracy_source)
    assert one.accuracy is None or 60 < one.accuracy < 90


@pytest.mark.parametrize("name", ONE_OF_EACH_FAMILY)
def test_parameters_are_as_many_as_timm_builds(name: str) -> None:
    classes = timm.models.get_pretrained_cfg(name).num_classes or 0
    with torch.device("meta"):
        theirs = timm.create_model(name.partition(".")[0], num_classes=classes)
    assert sum(parameter.numel() for parameter in theirs.parameters()) == pretrained()[name].parameters


@pytest.mark.parametrize("name", [name for name in ONE_OF_EACH_FAMILY if pretrained()[name].model])
def test_the_model_named_beside_an_encoder_has_its_parameters(name: str) -> None:
    one = pretrained()[name]
    classes = timm.models.get_pretrained_cfg(name).num_classes or 0
    _, options = resolve_name(name.partition(".")[0])
    with torch.device("meta"):
        ours = build_model(one.model, num_classes=classes, **options)
    found = sum(parameter.numel() for parameter in ours.parameters())
    assert abs(found - one.parameters) <= 0.002 * one.parameters, (found, one.parameters)


def test_all_families_have_a_model_that_opens_them() -> None:
    assert not {one.name for one in pretrained().values() if not one.model}


def test_every_source_is_an_address_and_is_used() -> None:
    assert all(re.fullmatch(r"https://github\.com/[\w./-]+", address) for address in SOURCES.values())
    used = {
        address
        for one in pretrained().values()
        for address in (one.licence_source, one.listed_in, one.accuracy_source)
        if address
    }
    assert used == set(SOURCES.values())


def test_what_forbids_commercial_use_or_is_to_be_read_needs_to_be_accepted() -> None:
    asked = {one.licence for one in pretrained().values() if one.must_accept}
    assert asked == {"cc-by-nc-4.0", "dinov3-license"}
    assert licence_in_table("timm/vit_base_patch16_224.mae") == "cc-by-nc-4.0"
    assert licence_in_table("me/vit_base_patch16_224.mae") == ""


def test_a_name_of_the_table_is_a_repository_and_one_with_a_typo_is_answered() -> None:
    name = "vit_small_patch14_dinov2.lvd142m"
    assert str(origin_of(name)) == f"hf:timm/{name}"
    with pytest.raises(WeightsError, match=r"did you mean 'vit_small_patch14_dinov2\.lvd142m'"):
        find_model("vit_smal_patch14_dinov2.lvd142m")


def test_the_list_is_printed_as_a_table_and_as_json_with_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "mae", "--pretrained"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"vit_base_patch16_224\.mae +.*85\.8 +.*224 +.*67\.8 linear +.*cc-by-nc-4\.0\*", said)
    assert "accept them once with --accept-license" in said
    assert main(["models", "mae", "--pretrained", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["repository"] for row in rows] == [
        f"timm/vit_{s}.mae" for s in ("base_patch16_224", "large_patch16_224", "huge_patch14_224")
    ]
    assert rows[0]["licence_source"] == "https://github.com/facebookresearch/mae/blob/main/LICENSE"
    assert main(["models", "dinov9", "--pretrained"]) == 2
    assert "no published encoder's name contains 'dinov9'" in capsys.readouterr().err
