"""Integrated gradients: what each pixel adds to the score on the way from a baseline to the image."""

from __future__ import annotations

import torch
from torch import Tensor

from vitrail.errors import ConfigError
from vitrail.explain.record import device_of, evaluating
from vitrail.explain.target import Target
from vitrail.heads.classifier import ImageClassifier

STEPS = 32
AT_ONCE = 16


def integrated_gradients(
    model: ImageClassifier, images: Tensor, target: Target, steps: int = STEPS, baseline: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Divide the rise of a class's logit from a baseline to the image among the pixels (Sundararajan et al. 2017).

    The integral of the gradient along the straight line (equation 1) is a sum over the middles of ``steps`` equal
    parts. Without its error the values of an image add up to the rise (completeness, proposition 1).

    Args:
        model: the classifier.
        images: ``(B, C, H, W)``, normalised.
        target: the classes.
        steps: points on the line.
        baseline: ``(B, C, H, W)``; by default 0, the mean colour of what the model was trained on.

    Returns:
        Values ``(B, C, H, W)``, positive where a pixel speaks for the class; the rise of each image ``(B,)``; and the
        error ``(B,)``, what the values add up to less the rise. All on the CPU. Where every convolution is normalised
        by itself, as in a BiT, the score jumps at an image of one colour, and the error from there is large.

    Raises:
        ConfigError: there are no steps, or the baseline has another shape.
    """
    if steps < 1:
        raise ConfigError(f"integrated gradients need one step or more, not {steps}")
    if baseline is not None and baseline.shape != images.shape:
        raise ConfigError(f"the baseline is {tuple(baseline.shape)}, the images are {tuple(images.shape)}")
    starts = torch.zeros_like(images) if baseline is None else baseline.to(images)
    values, rises = [], []
    with evaluating(model, gradients=True):
        for number, (image, start) in enumerate(zip(images, starts, strict=True)):
            one = target.part(slice(number, number + 1))
            values.append((image - start) * _mean_gradient(model, start, image, one, steps))
            with torch.no_grad():
                ends = torch.stack([image, start]).to(device_of(model))
                scores = one.score(model(ends).unsqueeze(0))[0].cpu()
            rises.append(scores[0] - scores[1])
    parts, rise = torch.stack(values), torch.stack(rises)
    return parts, rise, parts.flatten(1).sum(dim=1) - rise


def _mean_gradient(model: ImageClassifier, start: Tensor, image: Tensor, target: Target, steps: int) -> Tensor:
    """Return the mean gradient ``(C, H, W)`` at the middles of equal parts of the line from a baseline to an image."""
    shares = (torch.arange(steps, dtype=image.dtype) + 0.5) / steps
    total = torch.zeros_like(image)
    for some in shares.split(AT_ONCE):
        points = torch.lerp(start, image, some.view(-1, 1, 1, 1)).to(device_of(model)).requires_grad_()
        (gradient,) = torch.autograd.grad(target.score(model(points).unsqueeze(0)).sum(), points)
        total += gradient.sum(dim=0).cpu()
    return total / steps
