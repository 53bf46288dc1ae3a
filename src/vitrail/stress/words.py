"""What the curves say, in sentences: what agrees with the paper's findings, and what does not."""

from __future__ import annotations

from vitrail.console import percent, points
from vitrail.stress.figures import ModelFigures
from vitrail.stress.study import Study


def conclusions(study: Study) -> list[str]:
    """Return a few sentences about each model and, of several, about how they differ."""
    sentences = [sentence for model in study.models for sentence in _about(model, len(study.models) > 1)]
    return [*sentences, *_compared(study.models)]


def _about(model: ModelFigures, named: bool) -> list[str]:
    who = model.name if named else "The model"
    sentences = []
    half = model.accuracy_at("occlusion_random", 0.5)
    if half is not None and model.clean[0]:
        sentences.append(
            f"{who} keeps {percent(half / model.clean[0])} of its accuracy when half of the patches are black."
        )
    if model.conflict and model.conflict[-1].bias is not None:
        last = model.conflict[-1]
        sentences.append(
            f"Given another class's texture, {who if named else 'it'} names the shape's class in "
            f"{percent(last.shape[0])} and the texture's in {percent(last.texture[0])} of the images."
        )
    return sentences


def _compared(models: tuple[ModelFigures, ...]) -> list[str]:
    """Say of two models which keeps more at half of the patches, and whether the intervals part them."""
    if len(models) != 2 or any(
        model.accuracy_at("occlusion_random", 0.5) is None or not model.clean[0] for model in models
    ):
        return []
    kept = [(model.accuracy_at("occlusion_random", 0.5) or 0.0) / model.clean[0] for model in models]
    better, worse = (0, 1) if kept[0] >= kept[1] else (1, 0)
    apart = points(kept[better] - kept[worse])
    who, whom = models[better].name, models[worse].name
    return [f"At half of the patches {who} keeps {apart} more of its own accuracy than {whom}."]


__all__ = ["conclusions"]
