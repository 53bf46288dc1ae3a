"""What an answer loses without some of the patches: each alone, or in every company (Shapley values).

Of a ViT patches are really taken out of the sequence, so that nothing stands in their place; other models are shown
something else there (`vitrail.explain.fill`).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from vitrail.errors import ConfigError
from vitrail.explain.cells import Cells, cells_of
from vitrail.explain.fill import Fill
from vitrail.explain.record import device_of, evaluating
from vitrail.explain.side_by_side import run_side_by_side
from vitrail.explain.target import Measure, Target
from vitrail.heads.classifier import ImageClassifier

VARIANTS_AT_ONCE = 16
"""Variants of images in one forward pass; what more would need does not stay in a core's cache."""


class Removal:
    """The score of images of which only some cells are there.

    Args:
        model: the classifier.
        images: ``(B, C, H, W)``, normalised.
        target: whose score.
        fill: what stands in the place of hidden cells; by default they are taken out of the sequence.
        side: of the cells in pixels, where they are filled; by default that of the patches, or 16.

    Attributes:
        cells: in which the images are explained.

    Raises:
        ConfigError: the model cannot do without patches and no fill is given, or the cells do not fit.
    """

    def __init__(
        self, model: ImageClassifier, images: Tensor, target: Target, fill: Fill | None = None, side: int | None = None
    ) -> None:
        backbone = model.backbone
        if fill is None and not backbone.can_leave_patches_out:
            raise ConfigError(
                f"patches cannot be taken out of this {type(backbone).__name__}; choose what stands in their place: "
                "mean, blur, or a masked autoencoder"
            )
        if fill is None and side not in (None, backbone.strides[0]):
            raise ConfigError(f"patches of {backbone.strides[0]} pixels are taken out whole; other cells need a fill")
        self.cells: Cells = cells_of(backbone, images.shape[-2], images.shape[-1], side)
        self.target = target
        self._model, self._fill = model, fill
        self._images = images.to(device_of(model))

    @property
    def images(self) -> int:
        """Number of images, B."""
        return len(self._images)

    @property
    def needs_a_patch(self) -> bool:
        """Whether there is no score without any patch."""
        return self._fill is None and not self._model.backbone.pools_class_token

    def scores(self, present: Tensor, measure: Measure = "log_probability") -> Tensor:
        """Score variants of the images.

        Args:
            present: ``(B, S, N)`` bool, which cells are there in S variants of each image; ``(1, S, N)`` for the same
                ones in all images.
            measure: which score; see `Target.score`.

        Returns:
            ``(B, S)`` on the CPU.
        """
        present = present.expand(len(self._images), -1, -1)
        with evaluating(self._model):
            answers = self._filled(present) if self._fill else self._without(present)
            logits = torch.cat(list(answers), dim=1)
        return self.target.score(logits, measure).float().cpu()

    def _filled(self, present: Tensor) -> Iterator[Tensor]:
        """Give the logits ``(B, S, K)`` of images with hidden cells filled, some variants at a time."""
        assert self._fill is not None
        each = max(1, VARIANTS_AT_ONCE // len(present))
        shown = (
            self._fill(self._images, ~some.to(self._images.device), self.cells) for some in present.split(each, dim=1)
        )

        def answer(images: Tensor) -> Tensor:
            return self._model(images.flatten(0, 1)).unflatten(0, images.shape[:2])

        return run_side_by_side(answer, shown, self._images.device)

    def _without(self, present: Tensor) -> Iterator[Tensor]:
        """Give the logits ``(B, S, K)`` of images without the patches that are not there."""
        groups = [group for number, one in enumerate(present) for group in _of_equal_counts(number, one)]
        logits: Tensor | None = None
        answers = run_side_by_side(self._answer_without, groups, self._images.device)
        for (number, variants, _), answer in zip(groups, answers, strict=True):
            logits = answer.new_empty(*present.shape[:2], answer.shape[1]) if logits is None else logits
            logits[number, variants] = answer
        if logits is not None:
            yield logits

    def _answer_without(self, group: Group) -> Tensor:
        """Return the logits ``(V, K)`` of one image with only the patches at some places, in V variants."""
        number, _, places = group
        image = self._images[number : number + 1]
        features = self._model.backbone.head_input_visible(image, places[None].to(image.device))
        return self._model.score(features[0])


Group = tuple[int, list[int], Tensor]
"""The number of an image, those of V variants of it, and the places ``(V, n)`` of the patches that are there."""


def _of_equal_counts(number: int, present: Tensor) -> Iterator[Group]:
    """Share out an image's variants ``(S, N)`` into groups with as many patches each, which can run together."""
    counts = present.sum(dim=-1)
    for count in counts.unique().tolist():
        for variants in (counts == count).nonzero().flatten().split(VARIANTS_AT_ONCE):
            yield number, variants.tolist(), present[variants].nonzero()[:, 1].view(len(variants), count)


def leave_one_out(removal: Removal, measure: Measure = "log_probability") -> Tensor:
    """Return what the score of each image loses without each cell alone, ``(B, N)``: positive where it falls."""
    count = removal.cells.count
    present = ~torch.eye(count, dtype=torch.bool)
    variants = torch.cat([torch.ones(1, count, dtype=torch.bool), present]).unsqueeze(0)
    scores = removal.scores(variants, measure)
    return scores[:, :1] - scores[:, 1:]


def shapley(
    removal: Removal, permutations: Tensor, measure: Measure = "log_probability"
) -> tuple[Tensor, Tensor | None]:
    """Estimate what each cell adds to the score, averaged over the orders in which cells come in (Shapley 1953).

    Cells come in one after the other in the order of a permutation; what the score rises by is that cell's. The mean
    over all permutations is the Shapley value, that over some drawn at random an estimate without bias (Castro et al.
    2009, Polynomial calculation of the Shapley value based on sampling). Over every permutation the values add up to
    the score of the whole image less that of none.

    Args:
        removal: the images and their score.
        permutations: ``(M, N)`` int64; see `draw_permutations`.
        measure: which score.

    Returns:
        Values ``(B, N)`` and their standard errors ``(B, N)``; None of a single permutation.

    Raises:
        ConfigError: the model has no score without any patch.
    """
    if removal.needs_a_patch:
        raise ConfigError(
            "Shapley values begin with no patch at all, where a model that pools its patches has no answer; choose a "
            "fill (mean, blur), or leave-one-out"
        )
    rises = []
    for order in permutations:
        scores = removal.scores(entering(order).unsqueeze(0), measure)
        rises.append(torch.empty(len(scores), len(order)).index_copy_(1, order, scores.diff(dim=1)))
    each = torch.stack(rises)
    errors = each.std(dim=0) / len(each) ** 0.5 if len(each) > 1 else None
    return each.mean(dim=0), errors


def entering(order: Tensor) -> Tensor:
    """Return which cells are there while they come in one after the other: ``(N,)`` to ``(N + 1, N)`` bool."""
    rank = order.argsort()
    return rank.unsqueeze(0) < torch.arange(len(order) + 1).unsqueeze(1)


def draw_permutations(cells: int, count: int, seed: int) -> Tensor:
    """Draw permutations of so many cells: ``(count, cells)``."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(cells, generator=generator) for _ in range(count)])
