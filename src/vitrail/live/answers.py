"""What a model makes of an image of which some patches are painted away, as the page draws it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vitrail.errors import ConfigError
from vitrail.explain.record import encoder_of, resolve_layers
from vitrail.live.drawings import LiveMap, data_url
from vitrail.live.requests import AnswerRequest
from vitrail.live.seen import LiveModel, Seen
from vitrail.visualize.draw import to_image
from vitrail.visualize.reconstruction import Reconstruction

SHARE = "attention, in multiples of an even share"

SHOWN = 5
"""Classes of the prediction that are shown."""


def prediction_of(seen: Seen, whole: Seen) -> dict[str, Any] | None:
    """Return the best classes, each with its probability now and of the whole image; None of a model without classes.

    The best class of the whole image stays among them.
    """
    names = seen.model.description.class_names
    if seen.model.predictor is None:
        return None
    now, before = seen.probabilities, whole.probabilities
    labels = now.topk(min(SHOWN, len(names))).indices.tolist()
    best = int(before.argmax())
    labels += [best] if best not in labels else []
    rows = [{"label": n, "name": names[n], "now": float(now[n]), "before": float(before[n])} for n in labels]
    return {"classes": rows, "best": best, "changed": labels[0] != best}


def view_of(seen: Seen, asked: AnswerRequest) -> dict[str, Any]:
    """Return what is drawn over the image: ``map`` or ``drawing``, or nothing of the view of the image alone.

    Raises:
        ConfigError: the view has no meaning for the model, or what is asked for does not exist.
    """
    if asked.view == "image":
        return {}
    if asked.view == "reconstruction":
        return _reconstruction(seen, asked.shown)
    return {"map": _map(seen, asked).to_json()}


def _map(seen: Seen, asked: AnswerRequest) -> LiveMap:
    if asked.view == "attention":
        return _attention(seen, asked)
    if asked.view == "rollout":
        found = seen.attention
        return LiveMap(found.rollout, "share", SHARE, found.even_rollout)
    if asked.view == "similarity":
        if asked.patch is None:
            raise ConfigError("point at a patch, and the others are coloured by how alike the model finds them")
        return LiveMap(seen.similarity(asked.patch), "cosine", "cosine similarity to the patch")
    return _explanation(seen, asked)


def _attention(seen: Seen, asked: AnswerRequest) -> LiveMap:
    layer = resolve_layers([asked.layer], len(encoder_of(seen.model.model).attention_layers()))[0]
    if asked.patch is None:
        return LiveMap(seen.attention.layers[layer], "share", SHARE, seen.attention.even[layer])
    values, even = seen.attention_of_cell(layer, asked.patch)
    return LiveMap(values, "share", SHARE, even)


def _explanation(seen: Seen, asked: AnswerRequest) -> LiveMap:
    label = explained_class(seen, asked.label)
    units = {
        "chefer": "relevance for the class; the scale ends at the largest",
        "grad-cam": "weighted activation for the class; the scale ends at the largest",
    }
    values = seen.explanation(asked.method, label)
    return LiveMap(values, "positive", units[asked.method], facts={"label": label, "largest": _largest(values)})


def _largest(values: Tensor) -> float:
    return float(values.nan_to_num().amax())


def explained_class(seen: Seen, label: int | None) -> int:
    """Return the class that is asked for, or the one that the model gives.

    Raises:
        ConfigError: there is no such class, or the model knows none.
    """
    count = len(seen.model.description.class_names)
    if seen.model.predictor is None:
        raise ConfigError("this model knows no classes, so that there is nothing to explain")
    if label is not None and not 0 <= label < count:
        raise ConfigError(f"there is no class {label}; this model's classes go from 0 to {count - 1}")
    return int(seen.probabilities.argmax()) if label is None else label


def _reconstruction(seen: Seen, shown: str) -> dict[str, Any]:
    """Return what a masked autoencoder fills in, and by how much that differs from what was there."""
    model = seen.model
    if model.description.task != "mae":
        raise ConfigError(f"a {model.description.name} fills in nothing; reconstructions are a masked autoencoder's")
    made, preprocessing = seen.reconstruction, model.description.preprocessing
    image = made.pasted if shown == "pasted" else made.predicted
    drawn = to_image(image[0], preprocessing.mean, preprocessing.std)
    return {"drawing": data_url(drawn), "difference": _difference(model, made)}


def _difference(model: LiveModel, made: Reconstruction) -> float:
    """Return the mean absolute difference over the hidden pixels, of values from 0 to 255."""
    deviation = torch.tensor(model.description.preprocessing.std).view(-1, 1, 1)
    apart = (made.predicted[0] - made.original[0]).abs() * deviation * 255
    return float(apart[:, made.hidden[0]].mean())


__all__ = ["explained_class", "prediction_of", "view_of"]
