"""Whose names a state has, and how they are translated into plain ones and back."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from vitrail.errors import WeightsError, nearest
from vitrail.weights.checks import count, listed, parts_of
from vitrail.weights.formats import clip, google, huggingface, mae, modern, swin, swin_v2, timm, torchvision
from vitrail.weights.formats import modern_huggingface as hf
from vitrail.weights.formats.plain import check_axes, is_plain, own_from_plain, own_to_plain
from vitrail.weights.infer_modern import has_modern_shape, kind_of
from vitrail.weights.nearest_layout import nearest_layout
from vitrail.weights.reader import State
from vitrail.weights.wrappers import peel


@dataclass(frozen=True)
class Layout:
    """One way of naming and laying out the tensors of a ViT.

    Attributes:
        title: who uses it, for people.
        recognises: whether a state is of this layout, by its names.
        to_plain: translates into plain names.
        from_plain: translates back; takes the number of heads besides, for layouts that keep heads apart.
        suffix: the file format it is written in: ``.safetensors`` or ``.npz``.
        leaves_out: whether ``to_plain`` leaves a tensor out, by the file's name: the text tower beside one of images.
    """

    title: str
    recognises: Callable[[State], bool]
    to_plain: Callable[[State], State]
    from_plain: Callable[[State, int], State]
    suffix: str = ".safetensors"
    leaves_out: Callable[[str], bool] = lambda name: False


def _ends(*endings: str) -> Callable[[State], bool]:
    """Return a function that tells whether a state has, for every ending, a name that ends so."""
    return lambda state: all(any(name.endswith(ending) for name in state) for ending in endings)


def _holds(part: str) -> Callable[[State], bool]:
    return lambda state: any(part in name for name in state)


# The first that recognises a state is taken, so the more telling come first.
LAYOUTS: dict[str, Layout] = {
    "google": Layout(
        "Google's original ViT, hybrids and AugReg",
        _ends("embedding/kernel", "posembed_input/pos_embedding"),
        google.original_to_plain,
        google.original_from_plain,
        ".npz",
    ),
    "big_vision": Layout(
        "Google's big_vision",
        _ends("embedding/kernel", "Transformer/encoder_norm/scale"),
        google.big_vision_to_plain,
        google.big_vision_from_plain,
        ".npz",
    ),
    "bit": Layout(
        "Google's Big Transfer ResNets",
        _ends("root_block/standardized_conv2d/kernel"),
        google.bit_to_plain,
        google.bit_from_plain,
        ".npz",
    ),
    "swin_v2_huggingface": Layout(
        "Hugging Face transformers' Swin V2",
        swin_v2.is_huggingface,
        swin_v2.huggingface_to_plain,
        swin_v2.huggingface_from_plain,
    ),
    "swin_v2_timm": Layout("timm's Swin V2", swin_v2.is_timm, swin_v2.timm_to_plain, swin_v2.timm_from_plain),
    "swin_v2": Layout(
        "Microsoft's Swin V2", swin_v2.is_official, swin_v2.official_to_plain, swin_v2.official_from_plain
    ),
    "swin_huggingface": Layout(
        "Hugging Face transformers' Swin, names every version reads",
        swin.is_old_huggingface,
        swin.old_huggingface_to_plain,
        swin.old_huggingface_from_plain,
    ),
    "swin_huggingface_2026": Layout(
        "Hugging Face transformers' Swin, names since 2026",
        swin.is_new_huggingface,
        swin.new_huggingface_to_plain,
        swin.new_huggingface_from_plain,
    ),
    "swin_torchvision": Layout(
        "torchvision's Swin", swin.is_torchvision, swin.torchvision_to_plain, swin.torchvision_from_plain
    ),
    "swin_timm": Layout("timm's Swin", swin.is_timm, swin.timm_to_plain, swin.timm_from_plain),
    "swin": Layout("Microsoft's Swin and SimMIM", swin.is_official, swin.official_to_plain, swin.official_from_plain),
    "torchvision": Layout(
        "torchvision",
        lambda state: {"conv_proj.weight", "class_token"} <= state.keys(),
        torchvision.to_plain,
        torchvision.from_plain,
    ),
    "deit_huggingface": Layout(
        "Hugging Face transformers' DeiT", hf.is_deit, hf.deit_to_plain, hf.deit_from_plain, leaves_out=hf.is_buffer
    ),
    "beit_huggingface": Layout(
        "Hugging Face transformers' BEiT", hf.is_beit, hf.beit_to_plain, hf.beit_from_plain, leaves_out=hf.is_above_beit
    ),
    "dinov2_huggingface": Layout(
        "Hugging Face transformers' DINOv2",
        hf.is_dinov2,
        hf.dinov2_to_plain,
        hf.dinov2_from_plain,
        leaves_out=hf.is_buffer,
    ),
    "dinov3_huggingface": Layout(
        "Hugging Face transformers' DINOv3",
        hf.is_dinov3,
        hf.dinov3_to_plain,
        hf.dinov3_from_plain,
        leaves_out=hf.is_buffer,
    ),
    "clip_huggingface": Layout(
        "Hugging Face transformers' CLIP",
        hf.is_clip,
        hf.clip_to_plain,
        hf.clip_from_plain,
        leaves_out=hf.is_beside_tower,
    ),
    "siglip_huggingface": Layout(
        "Hugging Face transformers' SigLIP",
        hf.is_siglip,
        hf.siglip_to_plain,
        hf.siglip_from_plain,
        leaves_out=hf.is_beside_tower,
    ),
    "clip": Layout(
        "OpenAI's CLIP and open_clip", clip.is_clip, clip.to_plain, clip.from_plain, leaves_out=clip.is_beside
    ),
    "open_clip": Layout(
        "open_clip around a tower of timm's",
        clip.is_open_clip_trunk,
        clip.trunk_to_plain,
        clip.trunk_from_plain,
        leaves_out=clip.is_beside,
    ),
    "huggingface": Layout(
        "Hugging Face transformers, names every version reads",
        lambda state: _holds("patch_embeddings.projection")(state) and _holds("encoder.layer.")(state),
        huggingface.old_to_plain,
        huggingface.old_from_plain,
    ),
    "huggingface_2026": Layout(
        "Hugging Face transformers, names since 2026",
        _holds("patch_embeddings.projection"),
        huggingface.new_to_plain,
        huggingface.new_from_plain,
    ),
    "mae": Layout(
        "MAE's official files", _ends("decoder_pos_embed", "decoder_embed.weight"), mae.to_plain, mae.from_plain
    ),
    "dinov3": Layout(
        "DINOv3's own files", modern.is_dinov3, timm.to_plain, modern.dinov3_from_plain, leaves_out=modern.is_ignored
    ),
    "dinov2": Layout(
        "DINOv2's own files", modern.is_dinov2, timm.to_plain, modern.dinov2_from_plain, leaves_out=modern.is_ignored
    ),
    "beit": Layout(
        "BEiT's and DeiT III's own files",
        modern.is_beit,
        timm.to_plain,
        modern.beit_from_plain,
        leaves_out=modern.is_ignored,
    ),
    "vitrail": Layout(
        "vitrail",
        lambda state: any(name.startswith(("backbone.", "encoder.", "decoder.")) for name in state),
        own_to_plain,
        own_from_plain,
    ),
    "timm": Layout("timm, DeiT and MAE's encoder", is_plain, timm.to_plain, timm.from_plain),
}


# What only the names of one family hold, for files of no layout that is known here.
FAMILIES: tuple[tuple[str, str], ...] = (
    (r"(^|\.)visual\.(transformer\.resblocks|conv1|trunk)", "CLIP as OpenAI and OpenCLIP write it"),
    (r"(^|\.)(vision_model|text_model)\.", "CLIP or SigLIP as transformers write it"),
    (r"(^|\.)stages\.\d+\.blocks\.\d+\.(conv_dw|dwconv)\.|(^|\.)stages\.\d+\.\d+\.dwconv\.", "ConvNeXt"),
    (r"(^|\.)(backbone\.)?layers\.\d+\.ffn\.layers\.|\.ln1\.weight$", "a ViT as mmpretrain writes it"),
    (r"\.w_msa\.relative_position_bias_table$", "a Swin as mmpretrain writes it"),
    (r"image_encoder\.(neck|blocks)", "SAM"),
    (r"\.cpb_mlp\.|continuous_position_bias", "Swin V2"),
    (r"(^|\.)blocks_token_only", "CaiT"),
    (r"(^|\.)cls_attn_blocks\.", "XCiT"),
    (r"(^|\.)transformers?\.\d+\.blocks\.", "PiT"),
    (r"(^|\.)layer[1-4]\.\d+\.(conv|bn)\d\.", "a ResNet with batch norm"),
    (r"(^|\.)features\.\d+\.|(^|\.)classifier\.\d+\.", "a convolutional network of torchvision's"),
    (r"(^|\.)(encoder\.block|decoder\.block|model\.layers|transformer\.h)\.\d+\.", "a language model"),
)


def detect(state: State, origin: str) -> str:
    """Return the name of a state's layout, a key of `LAYOUTS`.

    Raises:
        WeightsError: it is none of the layouts.
    """
    state, _ = peel(state, _is_known)
    return _layout_of(state, origin)


def _layout_of(state: State, origin: str) -> str:
    for name, layout in LAYOUTS.items():
        if layout.recognises(state):
            return name
    if family := family_of(state):
        known = f"those of {family}, which is not read here"
        raise WeightsError(f"{origin} has {known} (it begins with {listed(sorted(state))}); is it the right file?")
    nearest_title, lacking = nearest_layout(state)
    if nearest_title:
        raise WeightsError(
            f"{origin} has the names of no model known here; nearest are {nearest_title}, which has no "
            f"{listed(lacking)} ({len(lacking)} of {count(state)})"
        )
    raise WeightsError(
        f"{origin} has the names of no ViT known here (it begins with {listed(sorted(state))}); is it the right file?"
    )


def family_of(names: Collection[str]) -> str:
    """Return the family of models whose names these are; "" where it is not known."""
    return next((title for pattern, title in FAMILIES if any(re.search(pattern, name) for name in names)), "")


def _is_known(state: State) -> bool:
    """Whether names are those of a model as they are, without a prefix of somebody's before them."""
    own = own_to_plain(state)
    others = any(layout.recognises(state) for name, layout in LAYOUTS.items() if name != "vitrail")
    if modern.has_foreign_names(own) or swin.is_timm(own) or swin_v2.is_timm(own):
        return others  # a wrapper of somebody's has the same prefix as models of vitrail's
    return others or is_plain(own) or swin.is_official(own)


def layout_named(name: str) -> Layout:
    """Return a layout by its name.

    Raises:
        WeightsError: there is none; the nearest right names are given.
    """
    if not isinstance(name, str):
        raise WeightsError(f"a layout is named by text, not {type(name).__name__}; there are {', '.join(LAYOUTS)}")
    if name not in LAYOUTS:
        known = nearest(name, LAYOUTS) or f"; there are {', '.join(LAYOUTS)}"
        raise WeightsError(f"there is no layout {name!r}{known}")
    return LAYOUTS[name]


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


# What people call a layout, for each family of models: a library has one of its own for each.
FAMILY_LAYOUTS: dict[str, dict[str, str]] = {
    "ViT": _same("google", "big_vision", "torchvision", "huggingface", "huggingface_2026", "mae", "timm", "vitrail"),
    "Swin": {
        "timm": "swin_timm",
        "huggingface": "swin_huggingface",
        "huggingface_2026": "swin_huggingface_2026",
        "torchvision": "swin_torchvision",
        **_same("swin", "swin_timm", "swin_torchvision", "swin_huggingface", "swin_huggingface_2026", "vitrail"),
    },
    "Swin V2": {
        "timm": "swin_v2_timm",
        "huggingface": "swin_v2_huggingface",
        "swin": "swin_v2",
        **_same("swin_v2", "swin_v2_timm", "swin_v2_huggingface", "vitrail"),
    },
    "BiT": {"google": "bit", **_same("bit", "timm", "vitrail")},
    "DeiT": {"huggingface": "deit_huggingface", **_same("timm", "deit_huggingface", "vitrail")},
    "DeiT III": _same("timm", "beit", "vitrail"),
    "BEiT": {"huggingface": "beit_huggingface", **_same("timm", "beit", "beit_huggingface", "vitrail")},
    "DINOv2": {"huggingface": "dinov2_huggingface", **_same("timm", "dinov2", "dinov2_huggingface", "vitrail")},
    "DINOv3": {"huggingface": "dinov3_huggingface", **_same("timm", "dinov3", "dinov3_huggingface", "vitrail")},
    "CLIP": {"huggingface": "clip_huggingface", **_same("timm", "clip", "clip_huggingface", "vitrail")},
    "SigLIP": {"huggingface": "siglip_huggingface", **_same("timm", "open_clip", "siglip_huggingface", "vitrail")},
    "ViT without a class token": _same("timm", "vitrail"),
}

MODERN_FAMILIES: dict[str, str] = {
    "deit": "DeiT",
    "deit3": "DeiT III",
    "beit": "BEiT",
    "dinov2": "DINOv2",
    "dinov3": "DINOv3",
    "clip": "CLIP",
    "siglip": "SigLIP",
    "gap": "ViT without a class token",
}


def _family(state: State) -> str:
    """Return the family that a plain state belongs to, a key of `FAMILY_LAYOUTS`."""
    if swin_v2.is_official(state):
        return "Swin V2"
    if swin.is_official(state):
        return "Swin"
    if has_modern_shape(state):
        return MODERN_FAMILIES[kind_of({name: tuple(tensor.shape) for name, tensor in state.items()})]
    return "BiT" if "stem.conv.weight" in state else "ViT"


def layout_for(library: str, state: State) -> tuple[str, Layout]:
    """Return the layout, with its name, in which a library keeps models like the one a plain state belongs to.

    Args:
        library: a key of `LAYOUTS`; of a Swin "timm" means "swin_timm", of a BiT "google" means "bit", and so on.
        state: the tensors under plain names.

    Raises:
        WeightsError: there is no such layout, or it is one for models of another family.
    """
    layout_named(library)
    family = _family(state)
    name = FAMILY_LAYOUTS[family].get(library)
    if name is None:
        fitting = ", ".join(FAMILY_LAYOUTS[family])
        raise WeightsError(f"the layout {library!r} is not one for a {family}; there are {fitting}")
    return name, LAYOUTS[name]


def translate(state: State, origin: str) -> tuple[State, str, tuple[str, ...]]:
    """Recognise a state's layout and translate it into plain names.

    Args:
        state: tensors by the file's own names.
        origin: the file, for error messages.

    Returns:
        The tensors under plain names; whose names they came under, a key of `LAYOUTS`; and the file's names of what is
        no part of the model, as a criterion.

    Raises:
        WeightsError: the layout is unknown, or a tensor has not the axes its name promises.
    """
    state, ignored = peel(state, _is_known)
    name = _layout_of(state, origin)
    try:
        plain = LAYOUTS[name].to_plain(state)
        check_axes(plain)
    except WeightsError as error:
        raise WeightsError(f"{origin}: {error}") from None
    except (RuntimeError, IndexError, TypeError, ValueError) as error:  # axes that cannot be turned as they should
        reason = str(error).splitlines()[0]
        foreign = " and ".join(parts_of(state))
        parts = f"; it holds {foreign}, with which no model of vitrail's computes" if foreign else ""
        raise WeightsError(f"{origin} has {name} names, but tensors that do not fit them ({reason}){parts}") from None
    return plain, name, (*ignored, *filter(LAYOUTS[name].leaves_out, state))
