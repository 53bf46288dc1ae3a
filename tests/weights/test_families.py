"""Weights of other families of models: computed exactly as there, or refused with the parts that no model here has."""

import json
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import vitrail
from vitrail.cli import main
from vitrail.errors import WeightsError
from vitrail.heads.names import build_model
from vitrail.heads.registry import build
from vitrail.weights.convert import convert
from vitrail.weights.inspect import inspect, verify
from vitrail.weights.load import load_weights

from .random_weights import randomise, relative_difference

timm = pytest.importorskip("timm")

pytestmark = pytest.mark.filterwarnings("ignore:.*assumed.*heads:UserWarning")

SMALL = {"depth": 2, "embed_dim": 128, "num_heads": 2, "num_classes": 7}
SHORT = {"depths": (1, 1, 1, 1), "num_classes": 7}

EXACT = (
    ("vit_small_patch16_224", SMALL),
    # SigLIP was trained with GELU by tanh; timm computes its first versions with the exact one.
    ("vit_base_patch16_siglip_224", {**SMALL, "act_layer": "gelu_tanh"}),
    ("vit_base_patch16_siglip_gap_224", {**SMALL, "num_heads": 2}),
    ("vit_small_patch14_dinov2", {**SMALL, "img_size": 112}),
    ("vit_small_patch14_reg4_dinov2", {**SMALL, "img_size": 112}),
    ("vit_small_plus_patch16_dinov3_qkvb", {**SMALL, "global_pool": "token"}),
    ("deit3_small_patch16_224", SMALL),
    ("deit_tiny_distilled_patch16_224", SMALL),
    ("beit_base_patch16_224", SMALL),
    ("vit_base_patch16_clip_quickgelu_224", SMALL),
    ("swinv2_tiny_window8_256", {**SHORT, "embed_dim": 32, "num_heads": (1, 2, 4, 8)}),
    ("vit_base_patch16_224_miil", SMALL),  # without biases of queries, keys and values
    ("flexivit_small", SMALL),
    ("eva_large_patch14_196", SMALL),
    ("eva_giant_patch14_224", SMALL),  # without biases of keys alone
    ("swin_s3_small_224", {**SHORT, "embed_dim": 32, "num_heads": (1, 2, 4, 8)}),
)
REFUSED = (
    ("vit_small_patch16_rope_224", SMALL, "rotary"),
    ("vit_mediumd_patch16_rope_reg1_gap_256", SMALL, "rotary"),
    ("vit_pe_core_tiny_patch16_384", {**SMALL, "img_size": 112}, "Perception Encoder"),
    ("eva02_base_patch14_224", SMALL, "SwiGLU"),
    ("vit_base_patch16_rpn_224", SMALL, "norms after attention"),
    ("vit_relpos_small_patch16_224", SMALL, "relative position biases"),
    ("cait_xxs24_224", SMALL, "class attention"),
    ("samvit_base_patch16_224", SMALL, "neck"),
    ("swin_s3_tiny_224", {**SHORT, "embed_dim": 32, "num_heads": (1, 2, 4, 8)}, "windows of 7/7/14/7"),
    ("xcit_nano_12_p16_224", {"depth": 1, "embed_dim": 64, "num_heads": 2, "cls_attn_layers": 1}, "XCiT"),
    ("convnext_atto", {**SHORT, "dims": (8, 16, 32, 64)}, "ConvNeXt"),
    ("resnetv2_50", {"layers": (1, 1, 1, 1)}, "batch norm"),
)


def saved(model: torch.nn.Module, folder: Path) -> Path:
    file = folder / "model.safetensors"
    save_file({name: tensor.contiguous().clone() for name, tensor in model.state_dict().items()}, file)
    return file


def theirs(name: str, options: dict) -> torch.nn.Module:
    try:
        return randomise(timm.create_model(name, **options))
    except TypeError:  # some models fix what others take as an option
        return randomise(timm.create_model(name, num_classes=7))


@pytest.mark.parametrize(("name", "options"), EXACT)
def test_what_loads_gives_timms_output(name, options, tmp_path):
    model = theirs(name, options)
    file = saved(model, tmp_path)
    found = inspect(file)
    assert not found.unknown
    images = torch.randn(1, 3, *model.patch_embed.img_size)
    with torch.no_grad():
        for ours in (vitrail.from_pretrained(file)[0], build(found.model).eval()):
            load_weights(ours, file)
            assert relative_difference(ours(images), model(images)) < 1e-5


@pytest.mark.parametrize(("name", "options", "part"), REFUSED)
def test_what_no_model_here_computes_is_refused_with_its_parts_by_every_way(name, options, part, tmp_path, capsys):
    file = saved(theirs(name, options), tmp_path)
    with pytest.raises(WeightsError, match=part) as refused:
        vitrail.from_pretrained(file)
    assert "partial=True" not in str(refused.value)
    assert main(["weights", "inspect", str(file)]) == 2
    printed = capsys.readouterr()
    assert "build it" not in printed.out
    assert part in printed.err
    pool = {"pool": "mean", "class_token": False} if "gap" in name or "rpn" in name else {}
    swin = {"embed_width": 32, "depths": (1, 1, 1, 1)}
    target = ("swin_t", swin) if name.startswith("swin") else ("vit_ti16", {"width": 128, "depth": 2, **pool})
    for partial in (False, True):
        with pytest.raises(WeightsError) as refused:
            load_weights(build_model(target[0], num_classes=7, **target[1]), file, partial=partial)
        assert "partial=True" not in str(refused.value)


def test_what_no_model_here_computes_is_not_written_under_other_names(tmp_path):
    file = saved(theirs("samvit_base_patch16_224", SMALL), tmp_path)
    for layout in ("vitrail", "timm", "huggingface", "google"):
        with pytest.raises(WeightsError, match=r"cannot be converted: it holds .*neck"):
            convert(file, layout, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"hidden_act": "gelu_pytorch_tanh"}, "approximated by tanh (hidden_act gelu_pytorch_tanh)"),
        ({"layer_norm_eps": 1e-12}, "layer_norm_eps 1e-12 to a variance; here it is 1e-06"),
    ],
)
def test_what_is_computed_nearly_as_it_was_trained_is_listed(config, said, tmp_path):
    file = saved(theirs("vit_small_patch16_224", SMALL), tmp_path)
    assert inspect(file).approximations == ()
    (tmp_path / "config.json").write_text(json.dumps(config))
    (sentence,) = inspect(file).approximations
    assert said in sentence
    assert sentence in str(inspect(file))


def test_verify_says_what_is_not_known(tmp_path):
    verification = verify(saved(theirs("samvit_base_patch16_224", SMALL), tmp_path))
    assert any("neck" in problem for problem in verification.problems)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"hidden_act": "quick_gelu"}, "quick_gelu"),
        ({"layer_norm_eps": 1e-3}, "layer_norm_eps"),
        ({"qkv_bias": False}, "qkv_bias"),
        ({"architecture": "vit_base_patch32_clip_quickgelu_224"}, "quickgelu"),
        ({"architecture": "vit_base_patch16_224", "model_args": {"act_layer": "relu"}}, "act_layer"),
        ({"architecture": "vit_base_patch16_224", "global_pool": "avg"}, "global_pool"),
    ],
)
def test_what_only_a_config_beside_says_is_not_passed_over(config, said, tmp_path):
    file = saved(theirs("vit_small_patch16_224", SMALL), tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert said in inspect(file).unknown
    with pytest.raises(WeightsError, match=said):
        vitrail.from_pretrained(file)


def test_a_number_of_heads_that_nothing_says_is_called_an_assumption(tmp_path):
    model = theirs("vit_small_patch16_224", {**SMALL, "num_heads": 4})
    file = saved(model, tmp_path)
    assert "2 heads of 64 channels" in inspect(file).assumed
    with pytest.warns(UserWarning, match="num_heads"):
        vitrail.from_pretrained(file)
    images = torch.randn(1, 3, 224, 224)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("error")
        ours, _ = vitrail.from_pretrained(file, num_heads=4)
        assert relative_difference(ours(images), model(images)) < 1e-5
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "x", "model_args": {"num_heads": 4}}))
    assert not inspect(file).assumed


@pytest.mark.parametrize(("name", "part"), [("Siglip2Vision", "do not fit"), ("Yolos", "detection tokens")])
def test_families_of_transformers_are_refused_with_their_parts(name, part, tmp_path):
    transformers = pytest.importorskip("transformers")
    small = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
    size = {"image_size": [32, 32]} if name == "Yolos" else {}
    config = getattr(transformers, f"{name}Config")(**small | size)
    getattr(transformers, f"{name}Model")(config).save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match=part):
        vitrail.from_pretrained(tmp_path)
