"""What lies beside weights: reading what it says of a model, and writing what a library needs to open their folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitrail.config import Preprocessing, to_json
from vitrail.errors import WeightsError
from vitrail.layers.block import NORM_EPS
from vitrail.models.backbone import Family
from vitrail.models.registry import ALIASES, BACKBONES
from vitrail.models.swin import NORM_EPS as SWIN_NORM_EPS
from vitrail.models.swin import SwinConfig
from vitrail.models.vit import ViTConfig
from vitrail.weights.modern_sidecars import FIELDS, modern_fields

if TYPE_CHECKING:
    from vitrail.weights.weights_file import WeightsFile

LARGEST_JSON = 64 * 2**20
"""Bytes of a file beside weights; the names of a million classes take fewer."""

CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"

RESAMPLE = {"bilinear": 2, "bicubic": 3}
"""Pillow's numbers, by which transformers' processors name an interpolation."""


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; empty where there is no file, or it holds something else."""
    try:
        if not inside(path.parent, path.name).is_file() or path.stat().st_size > LARGEST_JSON:
            return {}
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, WeightsError):
        return {}
    return content if isinstance(content, dict) else {}


def read_stated(path: Path) -> dict[str, Any]:
    """Read a JSON object that decides what weights mean; empty where there is no file.

    Raises:
        WeightsError: there is one, and it cannot be read or holds something else: what it said would be guessed.
    """
    try:
        if not inside(path.parent, path.name).is_file():
            return {}
        if path.stat().st_size > LARGEST_JSON:
            raise ValueError(f"it is larger than {LARGEST_JSON:,} bytes")
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(content, dict):
            raise ValueError("it holds no JSON object")
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(
            f"{path} is damaged ({reason}), and says how the weights beside it are to be used; "
            "copy or fetch it again, or remove it to have that guessed"
        ) from None
    return content


def inside(folder: Path, name: str) -> Path:
    """Return the path of a checkpoint's file, unless a link there leads out of the folder.

    Files of a hub's local cache are links into the store beside their folder; these are followed.

    Raises:
        WeightsError: the link leads elsewhere.
    """
    path = folder / name
    if path.is_symlink():
        target, home = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
        store = home.parent.parent / "blobs" if home.parent.name == "snapshots" else home
        if not target.is_relative_to(home) and not target.is_relative_to(store):
            raise WeightsError(f"{path} is a link that leads out of its folder, and was refused; copy the file there")
    return path


def class_names_of(notes: dict[str, Any], config: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of the classes that stand in a weights file or in the config beside it; empty where none do.

    Args:
        notes: of vitrail's in the file.
        config: of vitrail's, transformers' or timm's beside it.
    """
    pretrained = config.get("pretrained_cfg")
    timms = config.get("label_names") or (pretrained.get("label_names") if isinstance(pretrained, dict) else None)
    for names in (notes.get("class_names"), config.get("class_names"), _by_number(config), timms):
        if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
            return tuple(names)
    return ()


def _by_number(config: dict[str, Any]) -> list[Any] | None:
    """Return transformers' names, unless they are the placeholders it makes up itself."""
    names = config.get("id2label")
    if not isinstance(names, dict) or all(str(name).startswith("LABEL_") for name in names.values()):
        return None
    return [names.get(str(number)) for number in range(len(names))]


def heads_of(notes: dict[str, Any], config: dict[str, Any]) -> int | None:
    """Return the number of heads that stands in a file or in transformers' or timm's config; None if in none.

    Args:
        notes: of vitrail's in the file.
        config: what lies beside it.
    """
    arguments = config.get("model_args")
    timms = arguments.get("num_heads") if isinstance(arguments, dict) else None
    said = notes.get("num_heads") or config.get("num_attention_heads") or timms
    return said if type(said) is int and said > 0 else None


def write_sidecars(file: Path, contents: dict[str, dict[str, Any]]) -> None:
    """Write JSON files into the folder of another.

    Raises:
        WeightsError: one cannot be written.
    """
    for name, content in contents.items():
        path = file.with_name(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise WeightsError(f"{path} cannot be written ({error.strerror or error})") from None


def check_sidecars(file: Path, contents: dict[str, dict[str, Any]]) -> None:
    """Refuse to write over what belongs to other weights in the same folder.

    Raises:
        WeightsError: a file is there already and says something else.
    """
    for name, content in contents.items():
        path = file.with_name(name)
        if path.exists() and read_json(path) != json.loads(json.dumps(content)):
            raise WeightsError(f"{path} is there already and belongs to other weights; give another folder")


def sidecars(layout: str, weights: WeightsFile) -> dict[str, dict[str, Any]]:
    """Return what has to lie beside weights in a layout, by file name; nothing where its library needs nothing.

    Args:
        layout: a key of `vitrail.weights.detect.LAYOUTS`.
        weights: what is written in that layout; of weights of no model known here nothing can be said.
    """
    writers: dict[str, Callable[[WeightsFile], dict[str, dict[str, Any]]]] = {
        "huggingface": _for_transformers,
        "swin_huggingface": _for_transformers,
        "timm": _for_timm,
        "swin_timm": _for_timm,
        "vitrail": _for_vitrail,
    }
    if layout in FIELDS and weights.backbone_config:
        return _for_transformers_since(layout, weights)
    writer = writers.get(layout.removesuffix("_2026"))
    return writer(weights) if writer and weights.backbone_config else {}


def _for_transformers_since(layout: str, weights: WeightsFile) -> dict[str, dict[str, Any]]:
    """Return transformers' files for an encoder of after 2021; none for one that no class of transformers' computes."""
    backbone = _shape_of(weights)
    fields = modern_fields(layout, backbone, weights.tensors.keys(), _classes(weights))
    if fields is None:
        return {}
    config = _of_images(weights) | fields | _labels(weights)
    if "projection.weight" in weights.tensors:
        config["projection_dim"] = len(weights.tensors["projection.weight"])
    return {CONFIG: config, PROCESSOR: transformers_processor(weights.preprocessing)}


def _of_images(weights: WeightsFile) -> dict[str, Any]:
    backbone = _shape_of(weights)
    height, width = backbone.image_size
    return {
        "image_size": height if height == width else [height, width],
        "patch_size": backbone.patch_size,
        "num_channels": backbone.channels,
    }


def _labels(weights: WeightsFile) -> dict[str, Any]:
    names = weights.description.class_names if _classes(weights) else ()
    if not names:
        return {}
    return {
        "id2label": {str(number): name for number, name in enumerate(names)},
        "label2id": {name: number for number, name in enumerate(names)},
    }


def _for_vitrail(weights: WeightsFile) -> dict[str, dict[str, Any]]:
    # The fields of `vitrail.weights.description.Description`, which stands above this module.
    return {
        CONFIG: {
            "model": to_json(weights.spec),
            "preprocessing": to_json(weights.preprocessing),
            "class_names": list(weights.description.class_names),
        }
    }


def _for_transformers(weights: WeightsFile) -> dict[str, dict[str, Any]]:
    return {CONFIG: transformers_config(weights), PROCESSOR: transformers_processor(weights.preprocessing)}


def transformers_config(weights: WeightsFile) -> dict[str, Any]:
    """Return what ``config.json`` holds for a ViT, ViTMAE or Swin of transformers."""
    backbone = _shape_of(weights)
    config = _of_images(weights) | {"hidden_act": "gelu", "qkv_bias": True}
    swin = backbone.family == "swin"
    config |= _swin_fields(backbone) if swin else _vit_fields(backbone)
    family = "Swin" if swin else "ViT"
    config["architectures"] = [f"{family}ForImageClassification" if _classes(weights) else f"{family}Model"]
    config |= _labels(weights)
    return config | (_mae_fields(weights.spec.head_options) if weights.spec.head == "mae" else {})


def _shape_of(weights: WeightsFile) -> Any:
    """Return the config of the backbone, of whatever family; `sidecars` asks for no other weights."""
    assert weights.backbone_config is not None
    return weights.backbone_config


def _vit_fields(backbone: ViTConfig) -> dict[str, Any]:
    return {
        "model_type": "vit",
        "hidden_size": backbone.width,
        "num_hidden_layers": backbone.depth,
        "num_attention_heads": backbone.num_heads,
        "intermediate_size": round(backbone.width * backbone.mlp_ratio),
        "layer_norm_eps": NORM_EPS,
    }


def _swin_fields(backbone: SwinConfig) -> dict[str, Any]:
    return {
        "model_type": "swin",
        "embed_dim": backbone.embed_width,
        "depths": list(backbone.depths),
        "num_heads": _swin_heads(backbone),
        "window_size": backbone.window[0],
        "mlp_ratio": backbone.mlp_ratio,
        "use_absolute_embeddings": backbone.positions in ("absolute", "both"),
        "layer_norm_eps": SWIN_NORM_EPS,
    }


def _swin_heads(backbone: SwinConfig) -> list[int]:
    return [2**stage * backbone.embed_width // backbone.head_width for stage in range(len(backbone.depths))]


def _mae_fields(options: dict[str, Any]) -> dict[str, Any]:
    width, depth = options.get("decoder_width", 512), options.get("decoder_depth", 8)
    return {
        "architectures": ["ViTMAEForPreTraining"],
        "model_type": "vit_mae",
        "decoder_hidden_size": width,
        "decoder_num_hidden_layers": depth,
        "decoder_num_attention_heads": options.get("decoder_heads", max(1, width // 32)),
        "decoder_intermediate_size": 4 * width,
        "norm_pix_loss": options.get("target", "normalized") == "normalized",
        "mask_ratio": options.get("mask_ratio", 0.75),
    }


def transformers_processor(preprocessing: Preprocessing) -> dict[str, Any]:
    """Return what ``preprocessor_config.json`` holds for transformers' image processors."""
    height, width = preprocessing.image_size
    said: dict[str, Any] = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": height, "width": width},
        "resample": RESAMPLE[preprocessing.interpolation],
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(preprocessing.mean),
        "image_std": list(preprocessing.std),
    }
    if preprocessing.resize == "crop":
        said |= {
            "image_processor_type": "BitImageProcessor",
            "size": {"shortest_edge": round(min(height, width) / preprocessing.crop_fraction)},
            "do_center_crop": True,
            "crop_size": {"height": height, "width": width},
        }
    return said


# What timm calls the options of a ViT, a Swin and a ResNet; what it has no word for cannot be said in its config.
TIMM_OPTIONS = {
    "image_size": "img_size",
    "channels": "in_chans",
    "patch_size": "patch_size",
    "width": "embed_dim",
    "depth": "depth",
    "num_heads": "num_heads",
    "mlp_ratio": "mlp_ratio",
    "class_token": "class_token",
    "pool": "global_pool",
    "embed_width": "embed_dim",
    "depths": "depths",
    "window": "window_size",
}
TIMM_POOLS = {"class": "token", "mean": "avg", "attention": "map"}
# What belongs to a run and not to the weights.
REGULARISATION = {"dropout", "attention_dropout", "drop_path", "position_resize", "layer_scale"}


def _classes(weights: WeightsFile) -> int:
    """Return how many classes the head has; 0 without a head."""
    return weights.spec.head_options.get("num_classes", 0)


OTHER_IN_TIMM = (
    "dinov3_",
    "siglip_",
    "dinov2_vit_s14_reg",
    "dinov2_vit_b14_reg",
    "dinov2_vit_l14_reg",
    "dinov2_vit_giant14_reg",
)
"""Models that timm's of the same name compute in another way: without biases, with another GELU, or without a position
of the class token; a config would say that they are the same."""


def _for_timm(weights: WeightsFile) -> dict[str, dict[str, Any]]:
    """Return timm's config; none for a model that timm cannot build from one."""
    names = {own: theirs for theirs, own in reversed(ALIASES.items()) if not theirs.startswith("deit")}
    spec = weights.spec
    if spec.backbone not in names or spec.head not in (None, "classifier") or spec.head_options.get("representation"):
        return {}
    if spec.backbone.startswith(OTHER_IN_TIMM):
        return {}
    backbone, p, named = _shape_of(weights), weights.preprocessing, vars(BACKBONES[spec.backbone][1])
    options = {n: v for n, v in vars(backbone).items() if v != named[n] and n not in REGULARISATION}
    if backbone.family == "bit":
        options.pop("image_size", None)
    if not options.keys() <= TIMM_OPTIONS.keys() - _fixed_by_timm(backbone.family):
        return {}
    arguments = {TIMM_OPTIONS[name]: _timms(name, value) for name, value in options.items()}
    if "embed_width" in options or ("depths" in options and backbone.family == "swin"):
        arguments["num_heads"] = _swin_heads(backbone)
    pretrained = {
        "input_size": [p.channels, *p.image_size],
        "interpolation": p.interpolation,
        "crop_pct": p.crop_fraction,
        "crop_mode": "center" if p.resize == "crop" else "squash",
        "mean": list(p.mean),
        "std": list(p.std),
        "num_classes": _classes(weights),
    }
    if weights.class_names:
        pretrained["label_names"] = list(weights.class_names)
    config = {"architecture": names[spec.backbone], "num_classes": _classes(weights), "pretrained_cfg": pretrained}
    return {CONFIG: config | ({"model_args": arguments} if arguments else {})}


def _fixed_by_timm(family: Family) -> set[str]:
    """Return options that belong to the name of a model in timm: its BiT's depths, its hybrids' patches."""
    return {"depths"} if family == "bit" else {"patch_size"} if family == "hybrid" else set()


def _timms(name: str, value: Any) -> Any:
    if name == "pool":
        return TIMM_POOLS[value]
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
