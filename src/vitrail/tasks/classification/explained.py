"""Why a classifier says what it says: maps of one class, whether they are true, as figures."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vitrail.console import percent
from vitrail.errors import ConfigError, DataError
from vitrail.explain.cells import fit_map
from vitrail.explain.faithfulness import measure_faithfulness, random_curves
from vitrail.explain.fill import FILLS
from vitrail.explain.methods import Explanation, Request, explain, find_method
from vitrail.explain.outlier_tokens import outlier_tokens, without_outliers
from vitrail.explain.record import device_of, evaluating
from vitrail.explain.sanity import maps_of_check, sanity_check
from vitrail.explain.target import Target, target_of
from vitrail.models.backbone import backbone_of
from vitrail.output import Progress
from vitrail.settings import LookSettings
from vitrail.tasks.classification.match_classes import match_classes
from vitrail.tasks.fill import MEAN, NamedFill, open_fill
from vitrail.tasks.inside import Inspected
from vitrail.visualize import explanations, layer_charts
from vitrail.visualize.figure import Figure

SEED = 0
"""Of the orders that Shapley values and random maps are drawn with, and of randomised weights."""

PREDICTED = "predicted"
AT_ONCE = 32
"""Images in a forward pass that asks for classes."""

DEFAULT = ("leave-one-out",)


def draw_explained(inspected: Inspected, class_names: Sequence[str], settings: LookSettings) -> dict[str, Figure]:
    """Draw why a class is given, by every method asked for, and test each map; by name.

    Args:
        inspected: the classifier and its images.
        class_names: in the order of its outputs.
        settings: what was asked for; nothing is drawn without ``explain``.

    Raises:
        ConfigError: there is no such class or method, or it has no meaning for the model.
    """
    if settings.explain is None:
        return {}
    target = _target(inspected, class_names, settings)
    fill = open_fill(settings.fill, inspected.preprocessing) if settings.fill else None
    request = _request(inspected, target, fill, settings)
    found = {name: _explained(name, request, settings) for name in settings.method or DEFAULT}
    # All maps are tested alike; where patches cannot be taken out, by filling them.
    random = random_curves(request.removal, SEED)
    tests = {name: measure_faithfulness(request.removal, one.values, random) for name, one in found.items()}
    captions = _captions(inspected, target, class_names)
    mean, std = inspected.preprocessing.mean, inspected.preprocessing.std
    shown = explanations.Shown(inspected.images, mean, std, captions, found, tests)
    hidden = fill.what if fill else "taken out of the sequence" if request.fill is None else MEAN
    drawn = {
        "explanation": Figure(
            explanations.draw_explanations(shown, f"To test the maps, patches are {hidden}."),
            f"Explanation: why {_why(settings)}",
            f"Where the model finds what speaks for the class, by {_sources(found)}. Below each map stands what "
            "becomes of the class when the patches it names are removed: a map that does no better than random ones "
            "says nothing of the model.",
            _map_data(found, target),
        ),
        "faithfulness": Figure(
            explanations.draw_faithfulness(tests),
            "Deletion and insertion",
            f"The probability of the class as patches are removed from the image ({hidden}), or put into an empty one, "
            "in the order of each map (Petsiuk et al. 2018, RISE, figure 5). A true map falls fast and rises fast.",
            {name: explanations.faithfulness_data(test) for name, test in tests.items()},
        ),
    }
    return drawn | (_sanity(inspected, request, found) if settings.sanity else {})


def check_explanation(class_names: Sequence[str], settings: LookSettings) -> None:
    """Refuse a class or a method that does not exist.

    Raises:
        ConfigError: the first of them.
    """
    for name in settings.method:
        find_method(name)
    if settings.explain not in (None, PREDICTED):
        class_number(str(settings.explain), class_names)
    if settings.against is not None:
        class_number(settings.against, class_names)
    if settings.permutations < 1:
        raise ConfigError(f"--permutations takes 1 or more, not {settings.permutations}")


def explain_images(
    model: Any,
    class_names: Sequence[str],
    images: Tensor,
    label: str = PREDICTED,
    against: str | None = None,
    method: str = DEFAULT[0],
) -> Explanation:
    """Explain a class of images in numbers.

    Args:
        model: the classifier.
        class_names: in the order of its outputs.
        images: ``(B, C, H, W)``, normalised.
        label: the class, a name or a number; or ``predicted``.
        against: the class it is set against.
        method: a key of `vitrail.explain.methods.METHODS`. What it hides is taken out of the sequence, or where that
            cannot be, filled with the image's mean.

    Raises:
        ConfigError: there is no such class or method, or it has no meaning for the model.
    """
    classes = None if label == PREDICTED else [class_number(label, class_names)]
    other = None if against is None else [class_number(against, class_names)]
    fill = None if backbone_of(model).can_leave_patches_out else FILLS["mean"]
    return explain(method, Request(model, images, target_of(model, images, classes, other), fill, seed=SEED))


def class_number(text: str, class_names: Sequence[str]) -> int:
    """Return the class of a name, as data sets spell it too, or of a number.

    Raises:
        ConfigError: there is none.
    """
    try:
        (number,), _ = match_classes([text], class_names, f"--explain {text}")
    except DataError as error:
        raise ConfigError(f"{text!r} is no class of the model; {f'{error}'.partition('; ')[2]}") from None
    return number


def _target(inspected: Inspected, class_names: Sequence[str], settings: LookSettings) -> Target:
    classes = None if settings.explain == PREDICTED else [class_number(str(settings.explain), class_names)]
    against = None if settings.against is None else [class_number(settings.against, class_names)]
    return target_of(inspected.model, inspected.images, classes, against)


def _request(inspected: Inspected, target: Target, fill: NamedFill | None, settings: LookSettings) -> Request:
    """Ask for maps; a model that cannot do without patches has them filled with the mean unless told otherwise."""
    taken_out = inspected.backbone.can_leave_patches_out
    chosen = fill.fill if fill else None if taken_out else FILLS["mean"]
    return Request(inspected.model, inspected.images, target, chosen, settings.cell, settings.permutations, SEED)


def _explained(name: str, request: Request, settings: LookSettings) -> Explanation:
    """Explain by one method; of a map of attention alone, outlier tokens are left out where that is asked for."""
    found = explain(name, request)
    if not settings.drop_outliers:
        return found
    outliers = outlier_tokens(request.model, request.images).found
    if outliers.shape != found.values.shape:
        outliers = fit_map(outliers.float(), (found.values.shape[-2], found.values.shape[-1])) > 0
    return Explanation(
        without_outliers(found.values, outliers),
        found.unit,
        found.signed,
        found.errors,
        f"{found.note} {int(outliers.sum())} outlier tokens are left out.".strip(),
    )


def _captions(inspected: Inspected, target: Target, class_names: Sequence[str]) -> list[str]:
    device = device_of(inspected.model)
    with evaluating(inspected.model):
        logits = torch.cat([inspected.model(some.to(device)).cpu() for some in inspected.images.split(AT_ONCE)])
    shares = target.score(logits, "probability").tolist()
    lines = []
    for number, caption in enumerate(inspected.captions):
        said = f"{class_names[int(target.classes[number])]} {percent(shares[number])}"
        if target.against is not None:
            said += f" against {class_names[int(target.against[number])]}"
        lines.append(f"{caption.splitlines()[0]}\n{said}")
    return lines


def _why(settings: LookSettings) -> str:
    chosen = "the predicted class" if settings.explain == PREDICTED else str(settings.explain)
    return chosen + (f" and not {settings.against}" if settings.against else "")


def _sources(found: dict[str, Explanation]) -> str:
    return "; ".join(f"{find_method(name).title} ({find_method(name).source})" for name in found)


def _map_data(found: dict[str, Explanation], target: Target) -> dict[str, Any]:
    data: dict[str, Any] = {"classes": target.classes}
    if target.against is not None:
        data["against"] = target.against
    for name, one in found.items():
        data[name] = one.values
        if one.errors is not None:
            data[f"{name} standard error"] = one.errors
    return data


def _sanity(inspected: Inspected, request: Request, found: dict[str, Explanation]) -> dict[str, Figure]:
    progress, done = Progress("maps of the sanity check", at_once=True), itertools.count(1)
    total = len(found) * maps_of_check(inspected.model)

    def again(name: str) -> Any:
        def mapped(model: Any) -> Tensor:
            values = explain(name, dataclasses.replace(request, model=model)).values
            progress.reached(next(done), total)
            return values

        return mapped

    checks = {name: list(sanity_check(inspected.model, again(name), SEED)) for name in found}
    text = (
        "How much of the order of each map is left as the weights are mixed layer by layer, from the head down "
        "(Adebayo et al. 2018, Sanity Checks for Saliency Maps, figure 2). A map "
        "that stays alike has not looked at what was learned."
    )
    data = {name: layer_charts.sanity_data(maps) for name, maps in checks.items()}
    return {"sanity": Figure(layer_charts.draw_sanity(checks), "Sanity check", text, data)}


__all__ = ["check_explanation", "class_number", "draw_explained", "explain_images"]
