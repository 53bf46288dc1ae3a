"""Files of today's encoders and of Swin V2 compute here what the libraries they come from compute.

Random weights that leave nothing at its initial value go through the loader, small models in fp32; tokens, pooled
vectors and logits are compared at the size the positions are made for and at another one, which is no square.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vitrail.errors import WeightsError
from vitrail.heads.names import build_model
from vitrail.heads.registry import build
from vitrail.models.backbone import backbone_of
from vitrail.weights.convert import convert
from vitrail.weights.detect import LAYOUTS
from vitrail.weights.load import load_weights
from vitrail.weights.weights_file import WeightsFile

from .random_weights import randomise, relative_difference

timm = pytest.importorskip("timm")
transformers = pytest.importorskip("transformers")

TOLERANCE = 1e-5
pytestmark = pytest.mark.filterwarnings("ignore:.*assumed.*heads:UserWarning")


def saved(model: nn.Module, folder: Path, name: str = "model.safetensors") -> Path:
    return written(model.state_dict(), folder / name)


def written(state: dict[str, Tensor], file: Path) -> Path:
    save_file({name: tensor.contiguous().clone() for name, tensor in state.items()}, file)
    return file


def opened(source: Path, **options: Any) -> nn.Module:
    """The model that a file says it belongs to, with its weights; nothing may be missing or unknown."""
    weights = WeightsFile(source)
    model = build(dataclasses.replace(weights.spec, backbone_options=weights.spec.backbone_options | options)).eval()
    report = load_weights(model, weights)
    assert not report.missing
    assert not report.unexpected
    return model


def images(height: int, width: int, seed: int = 11) -> Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(seed))


SMALL = {"embed_dim": 128, "depth": 2, "num_heads": 2}
SWIN = {"embed_dim": 32, "depths": (2, 1, 2, 1), "num_heads": (1, 2, 4, 8)}

# timm's name; what its model is built with; the options of vitrail's that follow timm where it is not the original;
# the size of the positions; another size, of whole patches.
TIMM: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[int, int], tuple[int, int]]] = {
    "deit_tiny_distilled_patch16_224": ({"num_classes": 5}, {}, (64, 64), (96, 48)),
    "deit3_small_patch16_224": ({"num_classes": 5}, {}, (64, 64), (96, 48)),
    "deit3_huge_patch14_224": ({"num_classes": 5}, {}, (56, 56), (84, 42)),
    "beit_base_patch16_224": ({"num_classes": 5}, {}, (64, 64), (96, 48)),
    "beitv2_large_patch16_224": ({"num_classes": 5}, {}, (64, 64), (80, 112)),
    "vit_small_patch14_dinov2": ({}, {"position_resize": "bicubic"}, (56, 56), (84, 42)),
    "vit_small_patch14_reg4_dinov2": ({}, {}, (56, 56), (84, 42)),
    "vit_giant_patch14_dinov2": ({}, {"position_resize": "bicubic"}, (56, 56), (84, 42)),
    "vit_giant_patch14_reg4_dinov2": ({}, {}, (56, 56), (84, 42)),
    "vit_small_patch16_dinov3": ({"global_pool": "token"}, {}, (64, 64), (96, 48)),
    "vit_small_patch16_dinov3_qkvb": ({"global_pool": "token"}, {}, (64, 64), (96, 48)),
    "vit_small_plus_patch16_dinov3_qkvb": ({"global_pool": "token"}, {}, (64, 64), (96, 48)),
    "vit_base_patch16_clip_quickgelu_224": ({"num_classes": 5}, {}, (64, 64), (96, 48)),
    "vit_base_patch16_clip_224": ({"num_classes": 5}, {"mlp": "gelu"}, (64, 64), (96, 48)),
    # trained with GELU by tanh; timm computes the first versions with the exact one unless it is told
    "vit_base_patch16_siglip_224": ({"act_layer": "gelu_tanh", "num_classes": 5}, {}, (64, 64), (96, 48)),
    "vit_so400m_patch16_siglip_256": ({"num_classes": 5}, {}, (64, 64), (96, 48)),
    "vit_so400m_patch16_siglip_gap_256": ({"num_classes": 5}, {"mlp": "gelu_tanh"}, (64, 64), (96, 48)),
}


def timms(name: str, size: tuple[int, int]) -> nn.Module:
    options, *_ = TIMM[name]
    return randomise(timm.create_model(name, img_size=size, **SMALL | {"num_classes": 0} | options), seed=3)


@pytest.mark.parametrize("name", TIMM)
@torch.no_grad()
def test_a_file_of_timms_gives_timms_tokens_vectors_and_logits_at_any_size(name: str, tmp_path: Path) -> None:
    _, options, native, other = TIMM[name]
    theirs = timms(name, native)
    ours: Any = opened(saved(theirs, tmp_path), **options)
    backbone = backbone_of(ours)
    for size in (native, other):
        if size != native:
            theirs.set_input_size(img_size=size)
        given = images(*size)
        tokens = theirs.forward_features(given)
        assert relative_difference(backbone.forward_features(given), tokens) < TOLERANCE
        assert relative_difference(backbone.embed(given), theirs.forward_head(tokens, pre_logits=True)) < TOLERANCE
        if backbone is not ours:
            assert relative_difference(ours(given), theirs(given)) < TOLERANCE


def swin_v2(window: int, size: tuple[int, int], pretrained: tuple[int, ...] = (0, 0, 0, 0)) -> nn.Module:
    name = f"swinv2_tiny_window{window}_256"
    options = {"pretrained_window_sizes": pretrained} if any(pretrained) else {}
    return randomise(timm.create_model(name, img_size=size, num_classes=5, **SWIN, **options), seed=4)


@pytest.mark.parametrize(
    ("window", "pretrained", "size", "other"),
    [(8, (0, 0, 0, 0), 256, (256, 512)), (16, (0, 0, 0, 0), 256, (512, 256)), (16, (12, 12, 12, 6), 256, (256, 512))],
)
@torch.no_grad()
def test_a_swin_v2_gives_timms_map_vector_and_logits(
    window: int, pretrained: tuple[int, ...], size: int, other: tuple[int, int], tmp_path: Path
) -> None:
    theirs = swin_v2(window, (size, size), pretrained)
    (tmp_path / "config.json").write_text(
        f'{{"window_size": {window}, "pretrained_window_sizes": {list(pretrained)}, "image_size": {size}}}'
    )
    ours: Any = opened(saved(theirs, tmp_path))
    _compare_swin(ours, theirs, (size, size))
    wide: Any = build_model_like(ours, image_size=other)
    _compare_swin(wide, swin_v2(window, other, pretrained), other)


def build_model_like(model: Any, **options: Any) -> nn.Module:
    config = {**vars(model.backbone.config), **options}
    other = build_model("swinv2_t", num_classes=5, **config).eval()
    fitting = {name: tensor for name, tensor in model.state_dict().items() if "relative_coords" not in name}
    other.load_state_dict(fitting, strict=False)
    return other


def _compare_swin(ours: Any, theirs: Any, size: tuple[int, int]) -> None:
    given = images(*size)
    tokens = theirs.forward_features(given)
    assert relative_difference(ours.backbone.forward_features(given), tokens) < TOLERANCE
    assert relative_difference(ours.backbone.embed(given), theirs.forward_head(tokens, pre_logits=True)) < TOLERANCE
    assert relative_difference(ours(given), theirs(given)) < TOLERANCE


VIT = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 64, "patch_size": 16}
MLP = VIT | {"intermediate_size": 192}

Call = Callable[[Any, Tensor], Any]


def plain_call(model: Any, given: Tensor) -> Any:
    return model(given)


def resized_call(model: Any, given: Tensor) -> Any:
    return model(given, interpolate_pos_encoding=True)


# The class, its config, how it is called, the options of vitrail's that resize positions as transformers does.
PLAIN = {"position_resize": "bicubic_plain"}
HUGGINGFACE: dict[str, tuple[str, str, dict[str, Any], Call, dict[str, Any] | None]] = {
    "deit": ("DeiTForImageClassificationWithTeacher", "DeiT", MLP | {"num_labels": 5}, resized_call, PLAIN),
    # transformers fits BEiT's biases to another size in a way of its own: not the original's
    "beit": ("BeitForImageClassification", "Beit", MLP | {"use_relative_position_bias": True}, plain_call, None),
    "dinov2": ("Dinov2Model", "Dinov2", VIT, plain_call, PLAIN),
    "dinov2 classifier": ("Dinov2ForImageClassification", "Dinov2", VIT | {"num_labels": 5}, plain_call, PLAIN),
    "dinov2 giant": ("Dinov2Model", "Dinov2", VIT | {"use_swiglu_ffn": True}, plain_call, PLAIN),
    "dinov2 registers": ("Dinov2WithRegistersModel", "Dinov2WithRegisters", VIT, plain_call, {}),
    "dinov3": ("DINOv3ViTModel", "DINOv3ViT", MLP | {"num_register_tokens": 4}, plain_call, {}),
    "dinov3 gated": (
        "DINOv3ViTModel",
        "DINOv3ViT",
        MLP | {"num_register_tokens": 4, "use_gated_mlp": True, "hidden_act": "silu"},
        plain_call,
        {},
    ),
    "dinov3 7b": (
        "DINOv3ViTModel",
        "DINOv3ViT",
        MLP | {"num_register_tokens": 4, "query_bias": False, "value_bias": False},
        plain_call,
        {},
    ),
    "clip": ("CLIPVisionModel", "CLIPVision", MLP, resized_call, PLAIN),
    "open_clip's clip": ("CLIPVisionModel", "CLIPVision", MLP | {"hidden_act": "gelu"}, resized_call, PLAIN),
    "siglip": ("SiglipVisionModel", "SiglipVision", MLP, resized_call, PLAIN),
    "swin v2": (
        "Swinv2ForImageClassification",
        "Swinv2",
        {"embed_dim": 32, "depths": [2, 1], "num_heads": [1, 2], "image_size": 64, "window_size": 8, "num_labels": 5},
        plain_call,
        {},
    ),
}


def huggingfaces(kind: str) -> Any:
    name, config, options, *_ = HUGGINGFACE[kind]
    return randomise(getattr(transformers, name)(getattr(transformers, f"{config}Config")(**options)), seed=5)


@pytest.mark.parametrize("generation", ["before 2026", "since 2026"])
@pytest.mark.parametrize("kind", HUGGINGFACE)
@torch.no_grad()
def test_a_folder_of_transformers_gives_its_tokens_vectors_and_logits(
    kind: str, generation: str, tmp_path: Path
) -> None:
    *_, call, options = HUGGINGFACE[kind]
    theirs = huggingfaces(kind)
    theirs.save_pretrained(tmp_path)  # under the names of before
    if generation == "since 2026":
        saved(theirs, tmp_path)
    ours: Any = opened(tmp_path, **options or {})
    native = (64, 64)
    for size in (native, (96, 48)) if options is not None and kind != "swin v2" else (native,):
        given = images(*size)
        _compare(ours, theirs, given, call(theirs, given), kind)


def _compare(ours: Any, theirs: Any, given: Tensor, answer: Any, kind: str) -> None:
    backbone, compared = backbone_of(ours), 0
    tokens = getattr(answer, "last_hidden_state", None)
    if tokens is not None:
        if "clip" in kind and "siglip" not in kind:  # there only the class token is normalised
            tokens = getattr(theirs, "vision_model", theirs).post_layernorm(tokens)
        assert relative_difference(backbone.forward_features(given), tokens) < TOLERANCE
        compared += 1
    pooled = getattr(answer, "pooler_output", None)
    if pooled is not None:
        assert relative_difference(backbone.embed(given), pooled) < TOLERANCE
        compared += 1
    if getattr(answer, "logits", None) is not None:
        assert relative_difference(ours(given), answer.logits) < TOLERANCE
        compared += 1
    assert compared


def originals(name: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """timm's tensors under the names of the repository that published the model, written out by hand."""
    theirs: dict[str, Tensor] = {}
    width = state["blocks.0.norm1.weight"].shape[0]
    for key, tensor in state.items():
        if name == "dinov2":
            key = key.replace("reg_token", "register_tokens")
            if "mlp" in key and state["blocks.0.mlp.fc1.weight"].shape[0] != 4 * width:
                key = key.replace("mlp.fc1", "mlp.w12").replace("mlp.fc2", "mlp.w3")
        elif name in ("deit3", "beit"):
            key = re.sub(r"ls(\d)\.gamma", r"gamma_\1", key)
        theirs[key] = tensor
    if name == "dinov2":
        theirs["mask_token"] = torch.full((1, width), 7.0)
        if "register_tokens" in theirs:  # timm adds the position of the class token to the token
            place = torch.randn(1, 1, width)
            theirs["cls_token"] = theirs["cls_token"] - place
            theirs["pos_embed"] = torch.cat([place, theirs["pos_embed"]], dim=1)
    return theirs


def dinov3s(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """timm's DINOv3 under the names of the original, with a mask on the biases of keys that are not zero."""
    theirs: dict[str, Tensor] = {}
    for key, tensor in state.items():
        if key.endswith(".q_bias"):
            front = key.removesuffix("q_bias")
            theirs[f"{front}qkv.bias"] = torch.cat([tensor, torch.full_like(tensor, 3), state[f"{front}v_bias"]])
            theirs[f"{front}qkv.bias_mask"] = torch.cat([tensor * 0 + 1, tensor * 0, tensor * 0 + 1])
        elif not key.endswith(".v_bias"):
            key = key.replace("reg_token", "storage_tokens").replace("fc1_g", "w1").replace("fc1_x", "w2")
            key = key.replace("mlp.fc2", "mlp.w3") if any("fc1_g" in other for other in state) else key
            theirs[re.sub(r"gamma_(\d)", r"ls\1.gamma", key)] = tensor
    theirs["mask_token"] = torch.full((1, 1, 128), 7.0)
    theirs["rope_embed.periods"] = (100.0 ** (torch.arange(16) / 16)).bfloat16()
    return theirs


@pytest.mark.parametrize(
    ("model", "name", "layout"),
    [
        ("vit_small_patch14_dinov2", "dinov2", "dinov2"),
        ("vit_small_patch14_reg4_dinov2", "dinov2", "dinov2"),
        ("vit_giant_patch14_reg4_dinov2", "dinov2", "dinov2"),
        ("deit3_small_patch16_224", "deit3", "beit"),
        ("vit_small_patch16_dinov3_qkvb", "dinov3", "dinov3"),
        ("vit_small_plus_patch16_dinov3_qkvb", "dinov3", "dinov3"),
    ],
)
@torch.no_grad()
def test_a_file_of_the_original_repository_computes_the_same(
    model: str, name: str, layout: str, tmp_path: Path
) -> None:
    native = TIMM[model][2]
    theirs = timms(model, native)
    state = dinov3s(theirs.state_dict()) if name == "dinov3" else originals(name, theirs.state_dict())
    file = written(state, tmp_path / "model.safetensors")
    assert WeightsFile(file).layout == layout
    ours = opened(file)
    given = images(*native)
    assert relative_difference(backbone_of(ours).forward_features(given), theirs.forward_features(given)) < TOLERANCE


def with_indices(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """BEiT's own files hold a table of indices beside each table of biases."""
    indices = {
        name.replace("bias_table", "index"): torch.zeros(17, 17, dtype=torch.int64)
        for name in state
        if name.endswith("relative_position_bias_table")
    }
    return state | indices


@torch.no_grad()
def test_beits_own_file_computes_the_same_with_biases_of_its_own_and_shared_ones(tmp_path: Path) -> None:
    for shared in (False, True):
        options = {"use_rel_pos_bias": not shared, "use_shared_rel_pos_bias": shared, "use_abs_pos_emb": shared}
        theirs = randomise(timm.create_model("beit_base_patch16_224", img_size=64, **SMALL, **options), seed=6)
        predictor = {"lm_head.weight": torch.ones(9, 128), "mask_token": torch.ones(1, 1, 128)} if shared else {}
        file = written(with_indices(theirs.state_dict()) | predictor, tmp_path / "beit.safetensors")
        weights = WeightsFile(file)
        assert set(predictor) <= set(weights.ignored)
        assert weights.layout == "beit"
        assert sum(name.endswith("relative_position_index") for name in weights.ignored) == (1 if shared else 2)
        given = images(64, 64)
        assert relative_difference(opened(file)(given), theirs(given)) < TOLERANCE


def openais(tower: dict[str, Tensor], text: bool) -> dict[str, Tensor]:
    """timm's tensors of CLIP's image tower under OpenAI's names, with a text tower beside it or without."""
    renames = (
        ("patch_embed.proj", "conv1"),
        ("norm_pre", "ln_pre"),
        (r"^norm\.", "ln_post."),
        (r"blocks\.(\d+)\.norm(\d)", r"transformer.resblocks.\1.ln_\2"),
        (r"blocks\.(\d+)\.attn\.qkv\.", r"transformer.resblocks.\1.attn.in_proj_"),
        (r"blocks\.(\d+)\.attn\.proj", r"transformer.resblocks.\1.attn.out_proj"),
        (r"blocks\.(\d+)\.mlp\.fc1", r"transformer.resblocks.\1.mlp.c_fc"),
        (r"blocks\.(\d+)\.mlp\.fc2", r"transformer.resblocks.\1.mlp.c_proj"),
    )
    theirs: dict[str, Tensor] = {}
    for key, tensor in tower.items():
        if key.startswith("head."):
            continue
        for pattern, new in renames:
            key = re.sub(pattern, new, key)
        theirs[key] = tensor
    theirs["class_embedding"] = theirs.pop("cls_token")[0, 0]
    theirs["positional_embedding"] = theirs.pop("pos_embed")[0]
    theirs["proj"] = torch.randn(128, 16)
    theirs = {f"visual.{key}": tensor for key, tensor in theirs.items()}
    beside = {
        "transformer.resblocks.0.ln_1.weight": torch.ones(8),
        "token_embedding.weight": torch.ones(9, 8),
        "positional_embedding": torch.ones(7, 8),
        "ln_final.weight": torch.ones(8),
        "text_projection": torch.ones(8, 16),
        "logit_scale": torch.tensor(4.6),
        "input_resolution": torch.tensor(64),
    }
    return theirs | (beside if text else {})


@pytest.mark.parametrize("text", [True, False], ids=["whole", "image tower"])
@torch.no_grad()
def test_openais_clip_computes_the_same_and_its_text_tower_is_reported_not_used(text: bool, tmp_path: Path) -> None:
    theirs = timms("vit_base_patch16_clip_quickgelu_224", (64, 64))
    file = written(openais(theirs.state_dict(), text), tmp_path / "clip.safetensors")
    weights = WeightsFile(file)
    assert weights.layout == "clip"
    assert ("token_embedding.weight" in weights.ignored) == text
    given = images(64, 64)
    assert relative_difference(opened(file).forward_features(given), theirs.forward_features(given)) < TOLERANCE


@torch.no_grad()
def test_open_clip_around_a_tower_of_timms_computes_the_same(tmp_path: Path) -> None:
    theirs = randomise(timm.create_model("vit_so400m_patch16_siglip_256", img_size=64, **SMALL, num_classes=0))
    state = {f"visual.trunk.{name}": tensor for name, tensor in theirs.state_dict().items()}
    file = written(
        state | {"text.ln_final.weight": torch.ones(8), "logit_bias": torch.ones(1)}, tmp_path / "o.safetensors"
    )
    assert WeightsFile(file).layout == "open_clip"
    given = images(96, 48)
    theirs.set_input_size(img_size=(96, 48))
    assert relative_difference(opened(file).forward_features(given), theirs.forward_features(given)) < TOLERANCE


@torch.no_grad()
def test_a_whole_clip_or_siglip_of_transformers_gives_its_image_tower(tmp_path: Path) -> None:
    text = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    for kind in ("CLIP", "Siglip"):
        config = getattr(transformers, f"{kind}Config")(vision_config=MLP, text_config=text, projection_dim=16)
        theirs = randomise(getattr(transformers, f"{kind}Model")(config), seed=7)
        theirs.save_pretrained(tmp_path)
        ours, given = opened(tmp_path), images(64, 64)
        pooled = theirs.vision_model(given).pooler_output
        assert relative_difference(ours.embed(given), pooled) < TOLERANCE
        assert any(name.startswith("text_model.") for name in WeightsFile(tmp_path).ignored)


# What writes each layout.
THERE_AND_BACK: dict[str, Callable[[], dict[str, Tensor]]] = {
    **{f"timm {name}": lambda name=name: timms(name, TIMM[name][2]).state_dict() for name in TIMM},
    "timm beit, shared": lambda: randomise(
        timm.create_model(
            "beit_base_patch16_224", img_size=64, use_rel_pos_bias=False, use_shared_rel_pos_bias=True, **SMALL
        )
    ).state_dict(),
    "timm swin v2": lambda: swin_v2(8, (256, 256)).state_dict(),
    "clip": lambda: openais(timms("vit_base_patch16_clip_quickgelu_224", (64, 64)).state_dict(), text=False),
    "dinov2": lambda: originals("dinov2", timms("vit_giant_patch14_reg4_dinov2", (56, 56)).state_dict()),
    "deit3": lambda: originals("deit3", timms("deit3_small_patch16_224", (64, 64)).state_dict()),
}


@pytest.mark.parametrize("kind", THERE_AND_BACK)
def test_a_file_goes_into_plain_names_and_back_bit_for_bit(kind: str, tmp_path: Path) -> None:
    state = THERE_AND_BACK[kind]()
    weights = WeightsFile(written(state, tmp_path / "model.safetensors"))
    _same(LAYOUTS[weights.layout].from_plain(weights.tensors, weights.num_heads), state)


@pytest.mark.parametrize("kind", HUGGINGFACE)
def test_a_folder_of_transformers_goes_into_plain_names_and_back_bit_for_bit(kind: str, tmp_path: Path) -> None:
    theirs = huggingfaces(kind)
    theirs.save_pretrained(tmp_path)
    weights = WeightsFile(tmp_path)
    back = LAYOUTS[weights.layout].from_plain(weights.tensors, weights.num_heads)
    (tmp_path / "back").mkdir()
    written(back, tmp_path / "back" / "model.safetensors")
    (tmp_path / "back" / "config.json").write_text((tmp_path / "config.json").read_text())
    again, info = type(theirs).from_pretrained(tmp_path / "back", output_loading_info=True)
    assert {name for name in info["missing_keys"] if "mask_token" not in name} == set()
    assert not info["unexpected_keys"]
    _same({n: t for n, t in again.state_dict().items() if "mask_token" not in n}, theirs.state_dict())


def _same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    expected = {name: tensor for name, tensor in expected.items() if "mask_token" not in name}
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("name", ["deit_tiny_distilled_patch16_224", "vit_small_plus_patch16_dinov3_qkvb"])
@torch.no_grad()
def test_a_converted_file_computes_the_same(name: str, tmp_path: Path) -> None:
    theirs = timms(name, TIMM[name][2])
    file, given = saved(theirs, tmp_path), images(*TIMM[name][2])
    expected = opened(file)(given)
    for layout in ("vitrail", "timm", "huggingface"):
        convert(file, layout, tmp_path / layout)
        assert torch.equal(opened(tmp_path / layout)(given), expected)


@torch.no_grad()
def test_a_position_of_the_class_token_goes_into_the_token_where_timm_has_none_and_comes_back_as_zeros(
    tmp_path: Path,
) -> None:
    huggingfaces("dinov2 registers").save_pretrained(tmp_path)
    given = images(64, 64)
    expected = opened(tmp_path)(given)
    for layout in ("timm", "dinov2", "huggingface"):
        convert(tmp_path, layout, tmp_path / layout)
        assert relative_difference(opened(tmp_path / layout)(given), expected) < TOLERANCE
    theirs = timm.create_model(
        "vit_small_patch14_reg4_dinov2", img_size=64, patch_size=16, **SMALL, num_classes=0
    ).eval()
    theirs.load_state_dict(load_file(tmp_path / "timm" / "model.safetensors"))
    assert relative_difference(theirs(given), expected) < TOLERANCE


WRAPPED: dict[str, Callable[[dict[str, Tensor]], Any]] = {
    "as it is": lambda state: state,
    "DataParallel": lambda state: {f"module.{name}": t for name, t in state.items()},
    "torch.compile": lambda state: {f"_orig_mod.{name}": t for name, t in state.items()},
    "compiled and parallel": lambda state: {f"module._orig_mod.{name}": t for name, t in state.items()},
    "Lightning": lambda state: {
        "state_dict": {f"model.{name}": t for name, t in state.items()} | {"criterion.weight": torch.ones(3)},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2)}}}],
        "epoch": 3,
    },
    "optimizer beside": lambda state: {"model": state, "optimizer": {"state": {0: {"step": torch.ones(1)}}}},
    "averages alone": lambda state: {"model_ema": state, "epoch": 3},
    "teacher beside student": lambda state: {
        "student": {name: t * 0 for name, t in state.items()},
        "teacher": {f"backbone.{name}": t for name, t in state.items()} | {"dino_head.mlp.0.weight": torch.ones(2, 2)},
    },
    "teacher and student in one": lambda state: {
        "model": {f"teacher.backbone.{name}": t for name, t in state.items()}
        | {f"teacher.dino_head.{name}": torch.ones(2) for name in ("last_layer.weight_g",)}
    },
    "student": lambda state: {"student": {f"module.backbone.{name}": t for name, t in state.items()}},
    "encoder": lambda state: {f"encoder.{name}": t for name, t in state.items()},
}


@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
@pytest.mark.parametrize("name", ["vit_small_patch14_reg4_dinov2", "vit_small_plus_patch16_dinov3_qkvb"])
@pytest.mark.parametrize("wrapped", WRAPPED)
@torch.no_grad()
def test_what_training_scripts_put_around_the_weights_is_peeled(
    wrapped: str, name: str, half: bool, tmp_path: Path
) -> None:
    state = timms(name, TIMM[name][2]).state_dict()
    state = {key: tensor.half() for key, tensor in state.items()} if half else state
    torch.save(WRAPPED[wrapped](state), tmp_path / "checkpoint.pth")
    theirs = timms(name, TIMM[name][2])
    theirs.load_state_dict(state)
    given = images(*TIMM[name][2])
    ours = opened(tmp_path / "checkpoint.pth")
    assert relative_difference(ours.forward_features(given), theirs.forward_features(given)) < TOLERANCE


def test_what_nothing_shows_is_said_to_be_assumed_and_a_config_beside_settles_it(tmp_path: Path) -> None:
    saved(timms("vit_base_patch16_clip_224", (64, 64)), tmp_path)
    assert "quick_gelu" in WeightsFile(tmp_path / "model.safetensors").assumption
    for architecture, mlp in (
        ("vit_base_patch16_clip_224", "gelu"),
        ("vit_base_patch16_clip_quickgelu_224", "quick_gelu"),
    ):
        (tmp_path / "config.json").write_text(f'{{"architecture": "{architecture}"}}')
        weights = WeightsFile(tmp_path / "model.safetensors")
        assert "quick_gelu" not in weights.assumption
        assert weights.spec.backbone_options.get("mlp", "quick_gelu") == mlp
    # timm's name says GELU, and its tag that the weights are OpenAI's, which were trained with quick_gelu
    stated = '{"architecture": "vit_base_patch16_clip_224", "pretrained_cfg": {"tag": "%s"}}'
    for tag, mlp in (("openai", "quick_gelu"), ("laion2b", "gelu"), ("openai_ft_in1k", "gelu")):
        (tmp_path / "config.json").write_text(stated % tag)
        weights = WeightsFile(tmp_path / "model.safetensors")
        assert weights.spec.backbone_options.get("mlp", "quick_gelu") == mlp
    (tmp_path / "config.json").unlink()
    saved(swin_v2(8, (256, 256)), tmp_path)
    assert "windows of 8 tokens" in WeightsFile(tmp_path / "model.safetensors").assumption
    (tmp_path / "config.json").write_text('{"architecture": "swinv2_base_window12to24_192to384"}')
    weights = WeightsFile(tmp_path / "model.safetensors")
    assert "windows" not in weights.assumption
    config: Any = weights.backbone_config
    assert (config.window, config.pretrained_windows) == ((24, 24), (12, 12, 12, 6))


@pytest.mark.parametrize("kind", HUGGINGFACE)
@torch.no_grad()
def test_transformers_opens_what_is_written_for_it_and_computes_the_same(kind: str, tmp_path: Path) -> None:
    *_, call, _ = HUGGINGFACE[kind]
    theirs = huggingfaces(kind)
    theirs.save_pretrained(tmp_path / "there")
    convert(tmp_path / "there", "vitrail", tmp_path / "between")
    convert(tmp_path / "between", "huggingface", tmp_path / "back")
    again, info = type(theirs).from_pretrained(tmp_path / "back", output_loading_info=True)
    assert not {name for name in info["missing_keys"] if "mask_token" not in name}
    given = images(64, 64)
    expected, found = call(theirs, given), call(again.eval(), given)
    for part in ("logits", "last_hidden_state", "pooler_output"):
        if getattr(expected, part, None) is not None:
            assert torch.equal(getattr(found, part), getattr(expected, part))
    config = WeightsFile(tmp_path / "back").config
    assert config["architectures"] == [type(theirs).__name__]


@torch.no_grad()
def test_a_classifier_on_siglip_stands_on_the_mean_and_one_on_clip_is_refused(tmp_path: Path) -> None:
    text = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    for kind in ("Siglip", "CLIP"):
        config = getattr(transformers, f"{kind}Config")(vision_config=MLP, text_config=text, num_labels=3)
        theirs = randomise(getattr(transformers, f"{kind}ForImageClassification")(config), seed=12)
        theirs.save_pretrained(tmp_path / kind)
        if kind == "CLIP":
            with pytest.raises(WeightsError, match=r"CLIP: its classifier .* not normalised"):
                WeightsFile(tmp_path / kind).tensors  # noqa: B018
            continue
        given = images(64, 64)
        assert relative_difference(opened(tmp_path / kind)(given), theirs(given).logits) < TOLERANCE
