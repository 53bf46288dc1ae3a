"""A ViT cut in two: blocks below that stay as they are, blocks above that learn (MAE, section 4.3)."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from vitrail.errors import ConfigError
from vitrail.heads.classifier import ImageClassifier
from vitrail.models.backbone import run_blocks
from vitrail.models.vit import ViT


class PartialFineTuning:
    """Where a classifier is cut, and both parts as functions.

    Above the cut are the last blocks, the final norm and the head; half a block is the MLP of the last one. With no
    block at all only the head learns, from the backbone's vectors.

    Args:
        model: a classifier over a ViT.
        blocks: how many learn: 0, 0.5, or a whole number up to the model's depth.
        image_size: height and width of the images, in pixels.

    Raises:
        ConfigError: the backbone is no ViT, or has no such number of blocks.
    """

    def __init__(self, model: ImageClassifier, blocks: float, image_size: tuple[int, int]) -> None:
        vit = model.backbone
        if not vit.splits_between_blocks:
            raise ConfigError(f"tune_blocks counts the blocks of a ViT; for a {type(vit).__name__} use freeze")
        if blocks != 0.5 and not (float(blocks).is_integer() and 0 <= blocks <= vit.depth):
            raise ConfigError(f"tune_blocks takes 0, 0.5 or 1 to {vit.depth} of this model's blocks, not {blocks:g}")
        self.model = model
        self.vit = cast(ViT, vit)
        self.blocks = blocks
        self.first = vit.depth - max(1, int(blocks)) if blocks else vit.depth
        """Number of the first block with a part above the cut."""
        self.halved = blocks == 0.5
        self.image_size = image_size

    @property
    def name(self) -> str:
        """Return what `frozen` gives, as a name for files."""
        return f"tokens-{self.blocks:g}" if self.blocks else f"embed-{self.vit.config.pool}"

    @property
    def numbers(self) -> int:
        """Return how many numbers `frozen` gives for an image."""
        h, w = self.vit.token_grid(*self.image_size)
        return self.vit.width * (self.vit.prefix_tokens + h * w if self.blocks else 1)

    def frozen(self, images: Tensor) -> Tensor:
        """Run what is below the cut: ``(B, C, H, W)`` to ``(B, prefix + N, D)``, or ``(B, D)`` with no block."""
        tokens, _ = run_blocks(self.vit.block_steps(*self.image_size)[: self.first], self.vit.tokens(images))
        if self.halved:
            attend, _ = self.vit.half_steps(self.first, *self.image_size)
            return attend(tokens)
        return tokens if self.blocks else self.vit.pool(self.vit.norm(tokens))

    def tuned(self, tokens: Tensor) -> Tensor:
        """Run what is above the cut, from what `frozen` gives to logits ``(B, K)``."""
        if not self.blocks:
            return self.model.score(tokens)
        if self.halved:
            _, transform = self.vit.half_steps(self.first, *self.image_size)
            tokens = transform(tokens)
        else:
            tokens, _ = run_blocks(self.vit.block_steps(*self.image_size)[self.first :], tokens)
        return self.model.score(self.vit.pool(self.vit.norm(tokens)))

    def freeze(self) -> None:
        """Stop what is below the cut from learning."""
        for parameter in self.below().values():
            parameter.requires_grad_(False)

    def below(self) -> dict[str, nn.Parameter]:
        """Return the parameters below the cut by their names in the model."""
        return {name: p for name, p in self.model.named_parameters() if not self._learns(name)}

    def frozen_modules(self) -> list[nn.Module]:
        """Return the modules below the cut, whose dropout is never to act."""
        whole = [
            self.vit.patch_embed,
            self.vit.dropout,
            *self.vit.relative[: self.first],
            *self.vit.blocks[: self.first],
        ]
        if self.halved:
            last = self.vit.blocks[self.first]
            whole += [last.norm1, last.attn]  # type: ignore[list-item]
        return whole

    def _learns(self, name: str) -> bool:
        if not self.blocks:
            return not name.startswith("backbone.")
        layer = self.model.layer_of(name)
        if self.halved and layer == self.first + 1:
            return ".mlp." in name or ".norm2." in name
        return layer > self.first
