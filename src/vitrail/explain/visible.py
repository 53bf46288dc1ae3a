"""A ViT of which only some patches are there, as a backbone and a classifier of their own.

Whatever maps a model maps these, in one row of the patches that are left; `spread_out` brings that row back to the
patches' places.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vitrail.heads.classifier import ImageClassifier
from vitrail.layers.attention import Attention
from vitrail.models.backbone import Backbone, Step, VisiblePass, run_blocks


class VisiblePatches(Backbone):
    """A backbone whose images have no other patches than those that are left: they stand in one row, ``(1, V)``.

    Args:
        whole: the backbone, from which patches can be taken out.
        visible: ``(V,)`` indices of the patches that are left, ascending; the same ones in every image.
    """

    def __init__(self, whole: Backbone, visible: Tensor) -> None:
        super().__init__()
        self.whole, self.visible = whole, visible
        self.config, self.width, self.depth = whole.config, whole.width, whole.depth
        self.channels, self.strides, self.prefix_tokens = whole.channels, whole.strides, whole.prefix_tokens

    def _pass(self, images: Tensor) -> VisiblePass:
        return self.whole.visible_pass(images, self.visible.to(images.device).expand(len(images), -1))

    def forward_features(self, images: Tensor) -> Tensor:
        """Return the normalised tokens ``(B, prefix + V, D)``."""
        steps = self._pass(images)
        return steps.norm(run_blocks(steps.steps, steps.tokens)[0])

    def feature_maps(self, images: Tensor, after: Sequence[int] = ()) -> list[Tensor]:
        """Return one map ``(B, D, 1, V)``, normalised; with ``after`` one after each such block, without a norm."""
        steps = self._pass(images)
        last, kept = run_blocks(steps.steps, steps.tokens, after)
        maps = kept if after else [steps.norm(last)]
        return [tokens[:, self.prefix_tokens :].transpose(1, 2).unsqueeze(2) for tokens in maps]

    def head_input(self, images: Tensor) -> Tensor:
        """Return what a classifier scores."""
        steps = self._pass(images)
        return steps.pool(steps.norm(run_blocks(steps.steps, steps.tokens)[0]))

    def embed(self, images: Tensor) -> Tensor:
        """Return the same: nothing but maps is asked of this backbone."""
        return self.head_input(images)

    def last_map(self, images: Tensor) -> tuple[Tensor, Step]:
        """Return the row of patch tokens before the last block where the class token is pooled, else after it."""
        steps = self._pass(images)
        before = steps.steps[:-1] if self.pools_class_token else steps.steps
        tokens, _ = run_blocks(before, steps.tokens)
        prefix = tokens[:, : self.prefix_tokens]

        def rest(places: Tensor) -> Tensor:
            joined = torch.cat([prefix, places.flatten(2).transpose(1, 2)], dim=1)
            return steps.pool(steps.norm(run_blocks(steps.steps[len(before) :], joined)[0]))

        return tokens[:, self.prefix_tokens :].transpose(1, 2).unsqueeze(2), rest

    def layer_of(self, name: str) -> int:
        """Return what the whole backbone says."""
        return self.whole.layer_of(name.removeprefix("whole."))

    def token_grid(self, height: int, width: int) -> tuple[int, int]:
        """Return one row of as many patches as are left."""
        return 1, len(self.visible)

    def attention_layers(self) -> list[Attention]:
        """Return those of the whole backbone."""
        return self.whole.attention_layers()

    def pooled_shares(self, patches: int) -> Tensor | None:
        """Return the share of each token that is left in what is scored."""
        return self.whole.pooled_shares(patches)

    @property
    def pools_class_token(self) -> bool:
        """Whether the class token alone is pooled."""
        return self.whole.pools_class_token

    @property
    def head_inputs(self) -> int:
        """How many vectors a classifier scores."""
        return self.whole.head_inputs


class VisibleClassifier(ImageClassifier):
    """A classifier on the patches that are left; the head is the whole classifier's.

    Args:
        whole: the classifier.
        visible: ``(V,)``, as for `VisiblePatches`.
    """

    def __init__(self, whole: ImageClassifier, visible: Tensor) -> None:
        nn.Module.__init__(self)
        self.backbone = VisiblePatches(whole.backbone, visible)
        self.pre_logits, self.head, self.head_dist = whole.pre_logits, whole.head, whole.head_dist


def spread_out(row: Tensor, visible: Tensor, grid: tuple[int, int]) -> Tensor:
    """Bring what belongs to the patches that are left back to their places: ``(..., 1, V)`` to ``(..., h, w)``.

    Places whose patches are not there get nan.
    """
    spread = row.new_full((*row.shape[:-2], grid[0] * grid[1]), torch.nan)
    spread[..., visible] = row[..., 0, :]
    return spread.unflatten(-1, grid)


__all__ = ["VisibleClassifier", "VisiblePatches", "spread_out"]
