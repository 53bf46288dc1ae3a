"""Parts of other families of models, told by the names of their tensors: what a refusal calls them."""

from __future__ import annotations

import re
from collections.abc import Collection

# What stands at the end of a plain name, and what it is called.
PARTS: tuple[tuple[str, str], ...] = (
    (r"(^|\.)(ls[12]|layer_scale_?[12]?|lambda_?[12])(\.|$)|(^|\.)gamma(_[12])?$", "layer scale"),
    (r"(^|\.)(reg(ister)?_tokens?|storage_tokens)$", "register tokens"),
    (r"(^|\.)(dist(illation)?_token)$|(^|\.)(head_dist|distillation_classifier)\.", "a distillation token"),
    (r"(^|\.)detection_tokens$", "detection tokens"),
    (r"(^|\.)(norm_pre|pre_?norm|ln_pre|pre_layrnorm|pre_layernorm)\.", "a norm before the first block"),
    (r"\.attn\.(q_norm|k_norm|norm_[qk])\.|\.q(uery)?_layernorm\.", "norms of queries and keys"),
    (r"\.logit_scale$|\.cpb_mlp\.|continuous_position_bias", "Swin V2's cosine attention and position MLP"),
    (r"rel_pos|relative_position_bias|relative_position_bias_table", "relative position biases"),
    (r"(^|\.)(rope|rotary)|\.freqs$|(^|\.)periods$", "rotary positions"),
    (r"\.(fc1_[gx]|w12|w3|gate_proj|fc1_gate)\.", "gated MLPs (SwiGLU)"),
    (r"\.(attn|mlp)\.norm\.|\.(inner|sub)_?ln", "norms inside attention and MLP"),
    (r"\.attn\.proj_[lw]\.|(^|\.)blocks_token_only", "CaiT's talking heads and class attention"),
    (r"\.lambda_[qk][12]$", "differential attention"),
    (r"running_(mean|var)$|num_batches_tracked$", "batch norm"),
    (r"(^|\.)neck\.", "a neck above the blocks"),
    (r"\.(adapter|lora)_", "adapters"),
    (r"(^|\.)attn_pool\.", "attention pooling"),
    (r"\.dwconv|\.conv_dw\.|\.cpe[12]?\.", "convolutions inside the blocks"),
)

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


def parts_of(names: Collection[str]) -> tuple[str, ...]:
    """Return what tensors are parts of, in words; nothing for names that no family known here has."""
    return tuple(title for pattern, title in PARTS if any(re.search(pattern, name) for name in names))


def family_of(names: Collection[str]) -> str:
    """Return the family of models whose names these are; "" where it is not known."""
    return next((title for pattern, title in FAMILIES if any(re.search(pattern, name) for name in names)), "")


def count(names: Collection[str]) -> str:
    """Write how many tensors there are: ``1 tensor``, ``2 tensors``."""
    return f"{len(names)} tensor{'s' if len(names) != 1 else ''}"


def listed(names: Collection[str], most: int = 3) -> str:
    """Write the first names of a list: ``a, b, c, ...``."""
    ordered = list(names)
    return ", ".join(ordered[:most]) + (", ..." if len(ordered) > most else "")
