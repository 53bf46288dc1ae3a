"""For files of no layout that is known: which known one they are nearest to, and which of their names it lacks."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection

from vitrail.heads.names import build_model
from vitrail.seeding import preserved
from vitrail.weights.formats import google, huggingface, mae, swin, timm, torchvision
from vitrail.weights.formats.plain import own_to_plain

NUMBER = re.compile(r"\d+")

LEAST_SHARE = 0.25
"""Of a file's names that a layout has, below which it is no likeness."""

TINY = {
    "vit_ti16": {"width": 64, "depth": 1, "num_heads": 1, "image_size": 32},
    "mae_vit_ti16": {
        "width": 64,
        "depth": 1,
        "num_heads": 1,
        "image_size": 32,
        "decoder_width": 32,
        "decoder_depth": 1,
    },
    "swin_t": {"embed_width": 32, "depths": (1, 1, 1, 1), "image_size": 64},
    "bit_r50x1": {"depths": (1, 1, 1, 1)},
}
"""Models whose names stand for those of their families."""

WRITTEN = {
    "timm's ViT": ("vit_ti16", timm.from_plain),
    "transformers' ViT": ("vit_ti16", huggingface.old_from_plain),
    "transformers' ViT since 2026": ("vit_ti16", huggingface.new_from_plain),
    "torchvision's ViT": ("vit_ti16", torchvision.from_plain),
    "Google's ViT": ("vit_ti16", google.original_from_plain),
    "MAE's": ("mae_vit_ti16", mae.from_plain),
    "timm's Swin": ("swin_t", swin.timm_from_plain),
    "Microsoft's Swin": ("swin_t", swin.official_from_plain),
    "transformers' Swin": ("swin_t", swin.old_huggingface_from_plain),
    "timm's BiT": ("bit_r50x1", timm.from_plain),
}


def nearest_layout(names: Collection[str]) -> tuple[str, tuple[str, ...]]:
    """Return the known layout that has most of a file's names, and the names that it lacks; "" where none is near.

    Args:
        names: the file's own; what somebody's program has put before each of them does no harm.
    """
    likeness = {
        title: tuple(name for name in names if not _has(patterns, name)) for title, patterns in _known().items()
    }
    title = min(likeness, key=lambda title: len(likeness[title]))
    lacking = likeness[title]
    return (title, lacking) if len(names) - len(lacking) >= LEAST_SHARE * len(names) else ("", ())


def _has(patterns: frozenset[str], name: str) -> bool:
    """Whether a layout has a name, or the end of it."""
    parts = NUMBER.sub("#", name).split(".")
    return any(".".join(parts[start:]) in patterns for start in range(len(parts)))


@functools.cache
def _known() -> dict[str, frozenset[str]]:
    with preserved():
        plain = {name: own_to_plain(dict(build_model(name, **options).state_dict())) for name, options in TINY.items()}
    return {
        title: frozenset(NUMBER.sub("#", name) for name in from_plain(plain[model], 1))
        for title, (model, from_plain) in WRITTEN.items()
    }


__all__ = ["nearest_layout"]
