"""Whether a classifier's explanations are true of it: tested on a few images, as plain numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from vitrail.data.sources import Images
from vitrail.explain.faithfulness import measure_faithfulness, random_curves
from vitrail.explain.fill import FILLS
from vitrail.explain.methods import Request, explain
from vitrail.explain.target import target_of
from vitrail.models.backbone import backbone_of
from vitrail.tasks.classification.explained import SEED
from vitrail.tasks.inputs import inputs_of
from vitrail.visualize.explanations import faithfulness_data
from vitrail.weights.description import Description


def methods_for(model: Any) -> tuple[str, ...]:
    """Return the methods that are tested of a model: by removal, and by gradients."""
    return ("leave-one-out", "chefer" if backbone_of(model).can_leave_patches_out else "grad-cam")


def faithfulness_of(
    model: Any,
    description: Description,
    images: Images,
    methods: Sequence[str],
    done: Callable[[int], None] = lambda images: None,
) -> dict[str, dict[str, Any]]:
    """Explain the predicted class of each image and test the maps by deletion and insertion.

    Args:
        model: the classifier.
        description: of it.
        images: a few; one that cannot be read gives its place to the next.
        methods: keys of `vitrail.explain.methods.METHODS`.
        done: called with how many images have been tested.

    Returns:
        For each method the curves and areas, as `vitrail.visualize.explanations.faithfulness_data` writes them.

    Raises:
        ConfigError: a method has no meaning for the model.
    """
    fill = None if backbone_of(model).can_leave_patches_out else FILLS["mean"]
    inputs = inputs_of(images, description).images
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in methods}
    for number in range(len(inputs)):
        shown = inputs[number : number + 1]
        request = Request(model, shown, target_of(model, shown), fill, seed=SEED)
        random = random_curves(request.removal, SEED)
        for name in methods:
            test = measure_faithfulness(request.removal, explain(name, request).values, random)
            found[name].append(faithfulness_data(test))
        done(number + 1)
    return {name: _joined(tests) for name, tests in found.items()}


def _joined(tests: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return tests of single images as one of all of them."""
    joined: dict[str, Any] = {"share_of_patches": tests[0]["share_of_patches"]}
    for order in ("named", "random", "least"):
        joined[order] = {key: [value for test in tests for value in test[order][key]] for key in tests[0][order]}
    return joined


__all__ = ["faithfulness_of", "methods_for"]
