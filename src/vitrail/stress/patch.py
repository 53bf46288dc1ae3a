"""A universal adversarial patch: one square that, wherever it is stuck on any image, changes what a model says.

Naseer et al. 2021, section 3.3, after Brown et al. 2017, Adversarial Patch: projected gradient descent on other images
than those it is measured on, in the expectation over where the patch lies, how it is turned, scaled and lit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vitrail.explain.record import evaluating
from vitrail.stress.image import StressImage, to_bytes
from vitrail.stress.model import StressedModel
from vitrail.stress.randomness import draws

STEP = 0.06
"""Largest change of a value, of 1, in one step; it falls to a tenth of that along half a cosine."""
MOMENTUM = 0.9
"""Of the gradients, each divided by its mean magnitude first (Dong et al. 2018)."""
TURN, SCALE, LIGHT = 15.0, 0.1, 0.1
"""Largest turn in degrees, share by which it is scaled, and brightness added, in either direction, while it learns."""


@dataclass(frozen=True)
class PatchPlan:
    """What a patch is to learn.

    Attributes:
        area: its share of the image, in (0, 1).
        target: the class it is to bring up; None: any but the right one.
        steps: of gradient descent.
        batch_size: images in a step.
        seed: of the order of images, and of where the patch lies.
    """

    area: float
    target: int | None
    steps: int
    batch_size: int = 20
    seed: int = 0

    def side(self, size: tuple[int, int]) -> int:
        """Return its side in pixels, for images of this height and width."""
        return max(1, min(round(math.sqrt(self.area * size[0] * size[1])), *size))


@dataclass(frozen=True)
class PatchState:
    """A patch that learns.

    Attributes:
        values: float32 ``(C, s, s)``, in [0, 1].
        momentum: of its gradients, likewise.
        step: steps done.
    """

    values: np.ndarray
    momentum: np.ndarray
    step: int = 0


def new_patch(plan: PatchPlan, size: tuple[int, int], channels: int) -> PatchState:
    """Return a grey patch with a little noise, before any step."""
    shape = (channels, plan.side(size), plan.side(size))
    noise = draws(0, "patch", plan.seed, plan.area, plan.target).uniform(0.4, 0.6, shape).astype(np.float32)
    return PatchState(noise, np.zeros(shape, dtype=np.float32))


def random_patch(side: int, channels: int, seed: int) -> np.ndarray:
    """Return the patch that a learned one is compared with: noise, uint8 ``(C, s, s)``."""
    return draws(0, "random patch", seed).randint(0, 256, (channels, side, side)).astype(np.uint8)


def train_patch(
    model: StressedModel,
    images: list[StressImage],
    plan: PatchPlan,
    state: PatchState | None = None,
    after: Callable[[PatchState], None] = lambda state: None,
) -> PatchState:
    """Teach a patch to mislead a model.

    What is drawn in a step depends on its number alone: a patch that goes on from a state ends up as if it had never
    stopped.

    Args:
        model: the model; it does not change.
        images: those it learns from.
        plan: what it learns.
        state: where it goes on; by default at the beginning.
        after: called after each step.
    """
    state = state or new_patch(plan, model.size, model.channels)
    parameters = [one for one in model.predictor.module.parameters() if one.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        with evaluating(model.predictor.module, gradients=True):
            while state.step < plan.steps:
                state = _stepped(model, images, plan, state)
                after(state)
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
    return state


def _stepped(model: StressedModel, images: list[StressImage], plan: PatchPlan, state: PatchState) -> PatchState:
    """Take one step: the loss of a batch goes up, or that of the target class down."""
    device, random = model.predictor.runtime.device, draws(0, "patch step", plan.seed, state.step)
    batch = _batch(images, plan, state.step)
    pixels = torch.from_numpy(np.stack([image.pixels for image in batch])).to(device)
    values = torch.from_numpy(state.values).to(device).requires_grad_()
    shown = stuck(pixels.float() / 255, values, _poses(len(batch), random).to(device), model.size)
    with model.predictor.runtime.precision.autocast():
        logits = model.predictor.module.logits({"image": shown * 255}).float()
    (gradient,) = torch.autograd.grad(_loss(logits, batch, plan), values)
    gradient = gradient.cpu().numpy()
    momentum = MOMENTUM * state.momentum + gradient / max(float(np.abs(gradient).mean()), 1e-12)
    rate = STEP * (0.1 + 0.9 * (1 + math.cos(math.pi * state.step / plan.steps)) / 2)
    moved = np.clip(state.values - np.float32(rate) * np.sign(momentum), 0, 1)
    return replace(state, values=moved, momentum=momentum.astype(np.float32), step=state.step + 1)


def _batch(images: list[StressImage], plan: PatchPlan, step: int) -> list[StressImage]:
    """Return the images of a step: all of them once, in an order drawn anew, before any comes again."""
    size = min(plan.batch_size, len(images))
    epoch, place = divmod(step, len(images) // size)
    order = draws(0, "patch order", plan.seed, epoch).permutation(len(images))
    return [images[number] for number in order[place * size : (place + 1) * size]]


def _loss(logits: Tensor, batch: list[StressImage], plan: PatchPlan) -> Tensor:
    """Return what goes down: the log probability of the right class, or the cross-entropy of the target."""
    if plan.target is not None:
        return F.cross_entropy(logits, torch.full((len(batch),), plan.target, device=logits.device))
    labels = torch.tensor([image.label for image in batch], device=logits.device)
    return -F.cross_entropy(logits, labels)


def _poses(count: int, random: np.random.RandomState) -> Tensor:
    """Draw how patches lie: ``(B, 5)`` of down and right (shares of the room there is), turn, scale, light."""
    drawn = random.random_sample((count, 5))
    turn, scale, light = ((2 * drawn[:, n] - 1) * most for n, most in ((2, math.radians(TURN)), (3, SCALE), (4, LIGHT)))
    return torch.from_numpy(np.stack([drawn[:, 0], drawn[:, 1], turn, 1 + scale, light], axis=1)).float()


def stuck(images: Tensor, patch: Tensor, poses: Tensor, size: tuple[int, int]) -> Tensor:
    """Stick a patch on images so that gradients reach it.

    Args:
        images: ``(B, C, H, W)`` in [0, 1].
        patch: ``(C, s, s)`` in [0, 1].
        poses: ``(B, 5)``: how far down and right, as shares of the room there is; turn in radians; scale; light.
        size: height and width of the images.

    Returns:
        ``(B, C, H, W)`` in [0, 1].
    """
    (height, width), side = size, patch.shape[-1]
    down, right, turn, scale, light = poses.unbind(dim=1)
    # From a pixel's place, in units of the image, to a place in the patch, in units of the patch; -1 to 1 is inside.
    middle_y, middle_x = (down * (height - side) + side / 2) * 2 / height - 1, (right * (width - side) + side / 2)
    middle_x = middle_x * 2 / width - 1
    across, along = width / (side * scale), height / (side * scale)
    cosine, sine = turn.cos(), turn.sin()
    rows = [cosine * across, sine * along, -(cosine * across * middle_x + sine * along * middle_y)]
    others = [-sine * across, cosine * along, sine * across * middle_x - cosine * along * middle_y]
    theta = torch.stack([torch.stack(rows, dim=1), torch.stack(others, dim=1)], dim=1)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    lit = (patch[None] + light[:, None, None, None]).clamp(0, 1)
    laid = F.grid_sample(lit, grid, mode="bilinear", padding_mode="border", align_corners=False)
    inside = (grid.abs() <= 1).all(dim=3)[:, None]
    return torch.where(inside, laid, images)


def pasted(image: StressImage, patch: np.ndarray, seed: int) -> np.ndarray:
    """Paste a patch on an image at a place drawn for it, upright and whole.

    Args:
        image: the image.
        patch: uint8 ``(C, s, s)``.
        seed: draws another place.

    Returns:
        uint8 ``(C, H, W)``.
    """
    side, (height, width) = patch.shape[-1], image.size
    random = draws(image.identity, "patch place", seed)
    top, left = random.randint(height - side + 1), random.randint(width - side + 1)
    changed = image.pixels.copy()
    changed[:, top : top + side, left : left + side] = patch
    return changed


def fitted(patch: np.ndarray, side: int) -> np.ndarray:
    """Bring a patch ``(C, s, s)`` to another side, bilinearly, for a model of another input size."""
    if patch.shape[-1] == side:
        return patch
    values = torch.from_numpy(patch).float()[None]
    resized = F.interpolate(values, size=(side, side), mode="bilinear", antialias=True, align_corners=False)
    return resized[0].round().clamp(0, 255).byte().numpy()


def learned(state: PatchState) -> np.ndarray:
    """Return the patch as pixels, uint8 ``(C, s, s)``."""
    return to_bytes(state.values)


__all__ = [
    "PatchPlan",
    "PatchState",
    "fitted",
    "learned",
    "new_patch",
    "pasted",
    "random_patch",
    "stuck",
    "train_patch",
]
