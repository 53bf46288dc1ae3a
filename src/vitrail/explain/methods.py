"""The methods that explain a class, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vitrail.errors import ConfigError, nearest
from vitrail.explain.attention_gradients import class_relevance
from vitrail.explain.cells import cells_of
from vitrail.explain.fill import Fill, blurred
from vitrail.explain.grad_cam import grad_cam
from vitrail.explain.integrated_gradients import integrated_gradients
from vitrail.explain.removal import Removal, draw_permutations, leave_one_out, shapley
from vitrail.explain.rollout import attention_maps
from vitrail.explain.stitched import window_rollout
from vitrail.explain.target import Target
from vitrail.heads.classifier import ImageClassifier

PERMUTATIONS = 8

INCOMPLETE = 0.1
"""Share of the rise that integrated gradients may miss."""


@dataclass(frozen=True)
class Request:
    """What is to be explained.

    Attributes:
        model: the classifier.
        images: ``(B, C, H, W)``, normalised.
        target: the classes.
        fill: what stands in the place of hidden cells; None takes them out of the sequence.
        side: of cells in pixels where they are filled.
        permutations: how many orders a Shapley value is the mean of.
        seed: of those orders.
    """

    model: ImageClassifier
    images: Tensor
    target: Target
    fill: Fill | None = None
    side: int | None = None
    permutations: int = PERMUTATIONS
    seed: int = 0

    @property
    def removal(self) -> Removal:
        """The images with the means to hide some of their cells."""
        return Removal(self.model, self.images, self.target, self.fill, self.side)


@dataclass(frozen=True)
class Explanation:
    """A map of an image's places.

    Attributes:
        values: ``(B, h, w)``, higher where a place speaks more for the class.
        unit: what they count.
        signed: whether what is below 0 speaks against the class.
        errors: ``(B, h, w)``, standard errors, of a method that samples.
        note: what must be known of them, a sentence.
    """

    values: Tensor
    unit: str
    signed: bool = False
    errors: Tensor | None = None
    note: str = ""


@dataclass(frozen=True)
class Method:
    """A way to explain a class.

    Attributes:
        title: its name in words.
        source: where it was published.
        explains_class: whether the map depends on the class; attention alone does not.
        hides: whether it hides cells, so that a fill has a meaning.
        run: does it.
    """

    title: str
    source: str
    run: Callable[[Request], Explanation]
    explains_class: bool = True
    hides: bool = False


def _rollout(request: Request) -> Explanation:
    backbone = request.model.backbone
    if backbone.has_windows:
        return Explanation(window_rollout(request.model, request.images), "share of the attention")
    return Explanation(attention_maps(request.model, request.images).rollout, "share of the attention")


def _attention(request: Request) -> Explanation:
    if request.model.backbone.has_windows:
        raise ConfigError("in windows no single layer looks at the whole image; choose rollout for a Swin")
    return Explanation(attention_maps(request.model, request.images).heads.mean(dim=1), "share of the attention")


def _grad_cam(request: Request) -> Explanation:
    return Explanation(grad_cam(request.model, request.images, request.target), "weighted activation")


def _attention_gradients(request: Request) -> Explanation:
    values = class_relevance(request.model, request.images, request.target)
    return Explanation(values, "relevance")


def _integrated_gradients(request: Request) -> Explanation:
    """Begin at the mean colour, or where the parts do not add up from there, at the blurred image."""
    model, images, target = request.model, request.images, request.target
    cells = cells_of(model.backbone, images.shape[-2], images.shape[-1], request.side)
    start, (values, rise, errors) = "the mean colour", integrated_gradients(model, images, target)
    if bool((errors.abs() > INCOMPLETE * rise.abs()).any()):
        start, blurry = "the blurred image", blurred(images, float(cells.side))
        values, rise, errors = integrated_gradients(model, images, target, baseline=blurry)
    worst = int((errors.abs() / rise.abs().clamp(min=1e-12)).argmax())
    note = (
        f"From {start} to the image. The parts of an image add up to the rise of its logit; at worst they miss "
        f"{float(errors[worst].abs()):.2g} of {float(rise[worst].abs()):.2g}."
    )
    return Explanation(cells.sums(values.sum(dim=1)), "rise of the logit", signed=True, note=note)


def _leave_one_out(request: Request) -> Explanation:
    removal = request.removal
    values = leave_one_out(removal).unflatten(1, removal.cells.grid)
    return Explanation(values, "fall of the log probability", signed=True)


def _shapley(request: Request) -> Explanation:
    removal = request.removal
    orders = draw_permutations(removal.cells.count, request.permutations, request.seed)
    values, errors = shapley(removal, orders)
    grid = removal.cells.grid
    laid_out = None if errors is None else errors.unflatten(1, grid)
    return Explanation(values.unflatten(1, grid), "rise of the log probability", signed=True, errors=laid_out)


METHODS: dict[str, Method] = {
    "leave-one-out": Method("Removal of each patch", "Zeiler and Fergus 2014", _leave_one_out, hides=True),
    "shapley": Method("Shapley values", "Castro et al. 2009", _shapley, hides=True),
    "chefer": Method("Gradient-weighted attention rollout", "Chefer et al. 2021", _attention_gradients),
    "grad-cam": Method("Grad-CAM", "Selvaraju et al. 2017", _grad_cam),
    "integrated-gradients": Method("Integrated gradients", "Sundararajan et al. 2017", _integrated_gradients),
    "rollout": Method("Attention rollout", "Abnar and Zuidema 2020", _rollout, explains_class=False),
    "attention": Method("Attention of the last layer", "Dosovitskiy et al. 2021", _attention, explains_class=False),
}


def explain(method: str, request: Request) -> Explanation:
    """Explain a class by a method of `METHODS`.

    Raises:
        ConfigError: there is no such method, or it has no meaning for the model or for two classes.
    """
    chosen = find_method(method)
    if request.target.against is not None and not chosen.explains_class:
        raise ConfigError(
            f"{method} is the same map for every class; to set two classes against each other choose "
            f"{', '.join(name for name, one in METHODS.items() if one.explains_class)}"
        )
    return chosen.run(request)


def find_method(name: str) -> Method:
    """Return the method of a name.

    Raises:
        ConfigError: there is none.
    """
    if name not in METHODS:
        raise ConfigError(f"there is no method {name!r}{nearest(name, METHODS) or '; choose ' + ', '.join(METHODS)}")
    return METHODS[name]


def random_map(request: Request) -> Tensor:
    """Return a map of random values ``(B, h, w)``, which says nothing of the model."""
    cells = cells_of(request.model.backbone, request.images.shape[-2], request.images.shape[-1], request.side)
    generator = torch.Generator().manual_seed(request.seed)
    return torch.rand(len(request.images), *cells.grid, generator=generator)
