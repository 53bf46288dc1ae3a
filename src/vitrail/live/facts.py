"""What a model can be asked, and why not the rest: the page offers the one and says the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from vitrail.console import printable
from vitrail.explain.methods import METHODS
from vitrail.layers.masking import MASKINGS
from vitrail.live.seen import LiveModel
from vitrail.settings.inputs import normalization_name
from vitrail.visualize.reconstruction import describe

NO_CLASSES = "This model knows no classes, so there is no prediction and nothing to explain."
NO_AUTOENCODER = "Only a masked autoencoder fills in what is painted away; this model is none."
OTHER_OBJECTIVE = "This page reconstructs by masked autoencoders alone; vitrail look draws what this model predicts."
NO_ATTENTION = "This model has no attention."


def facts_of(model: LiveModel) -> dict[str, Any]:
    """Return all that the page has to know of a model."""
    preprocessing, backbone = model.description.preprocessing, model.backbone
    return {
        "name": model.name,
        "kind": model.description.name,
        "parameters": sum(one.numel() for one in model.model.parameters()),
        "input": list(preprocessing.image_size),
        "channels": preprocessing.channels,
        "prepared": model.prepared,
        "normalization": normalization_name(preprocessing),
        "notes": list(model.notes),
        "grid": list(model.cells.grid),
        "cell": model.cells.side,
        "takes_out": model.takes_out,
        "removal": _removal(model),
        "pools_class_token": backbone.pools_class_token,
        "classes": distinct(model.description.class_names) if model.predictor is not None else [],
        "views": _views(model),
    }


def distinct(names: Sequence[str]) -> list[str]:
    """Return names of which no two are the same: ImageNet has two classes of cranes, which get their numbers."""
    counts = Counter(map(printable, names))
    return [f"{name} (class {n})" if counts[name] > 1 else name for n, name in enumerate(map(printable, names))]


def _removal(model: LiveModel) -> str:
    side = f"{model.cells.side}x{model.cells.side} pixels"
    if model.takes_out:
        said = f"Painted patches ({side}) are taken out of the sequence: nothing stands in their place."
        if model.description.task == "mae" and model.model.config.mask_tokens_in == "encoder":
            said += " Only for the reconstruction are they mask tokens of the encoder, as in its training."
        return said
    return (
        f"Painted squares ({side}) are filled with the mean colour of the image, since no patch can be taken out of "
        f"a {type(model.backbone).__name__}."
    )


def _views(model: LiveModel) -> dict[str, Any]:
    """Return what can be drawn over an image, each with its choices, or with why it cannot be drawn."""
    return {
        "image": {},
        "attention": _attention(model),
        "rollout": {"missing": NO_ATTENTION} if not model.backbone.attention_layers() else {},
        "similarity": {},
        "explanation": _explanation(model),
        "reconstruction": _reconstruction(model),
    }


def _attention(model: LiveModel) -> dict[str, Any]:
    layers = model.backbone.attention_layers()
    if not layers:
        return {"missing": NO_ATTENTION}
    if model.backbone.has_windows:
        whose = "all patches, each in its window"
    elif model.backbone.pools_class_token:
        whose = "the class token"
    else:
        whose = "all patches together"
    return {"heads": [layer.num_heads for layer in layers], "whose": whose}


def _explanation(model: LiveModel) -> dict[str, Any]:
    if model.predictor is None:
        return {"missing": NO_CLASSES}
    backbone, methods = model.backbone, []
    follows = bool(backbone.attention_layers()) and backbone.pooled_shares(1) is not None
    for name in ("chefer", "grad-cam", "leave-one-out"):
        if name != "chefer" or follows:
            methods.append({"name": name, "title": METHODS[name].title, "source": METHODS[name].source})
    without = "" if follows else "Gradient-weighted attention needs attention up to the class token or the mean."
    return {"methods": methods, "without": without}


def _reconstruction(model: LiveModel) -> dict[str, Any]:
    task = model.description.task
    if task != "mae":
        return {"missing": OTHER_OBJECTIVE if task in ("simmim", "mpp") else NO_AUTOENCODER}
    config = model.model.config
    return {
        "ratio": config.mask_ratio,
        "masking": config.masking,
        "maskings": list(MASKINGS),
        "label": describe(model.model, "estimated"),
    }


__all__ = ["distinct", "facts_of"]
