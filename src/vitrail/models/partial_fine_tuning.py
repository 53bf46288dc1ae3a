"""A ViT cut in two: blocks below that stay as they are, blocks above that learn (MAE, section 4.3)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vitrail.errors import ConfigError
from vitrail.models.classifier import ImageClassifier
from vitrail.models.vit import ViT


class Cut:
    """Where a classifier is cut, and both parts as functions.

    Above the cut are the last blocks, the final norm and the head; half a block is the MLP of the last one. With no
    block at all only the head learns, from the backbone's vectors.

    Args:
        model: a classifier over a ViT.
        blocks: how many learn: 0, 0.5, or a whole number up to the model's depth.
        image_size: height and width of the pictures, in pixels.

    Raises:
        ConfigError: the backbone is no ViT, or has no such number of blocks.
    """

    def __init__(self, model: ImageClassifier, blocks: float, image_size: tuple[int, int]) -> None:
        vit: Any = model.backbone
        if not isinstance(vit, ViT):
            raise ConfigError(f"tune_blocks counts the blocks of a ViT; for a {type(vit).__name__} use freeze")
        if blocks != 0.5 and not (float(blocks).is_integer() and 0 <= blocks <= vit.depth):
            raise ConfigError(f"tune_blocks takes 0, 0.5 or 1 to {vit.depth} of this model's blocks, not {blocks:g}")
        self.model = model
        self.vit: ViT = vit
        self.blocks = blocks
        self.first = vit.depth - max(1, int(blocks)) if blocks else vit.depth
        """Number of the first block with a part above the cut."""
        self.halved = blocks == 0.5
        # Positions depend on the size of the pictures and on nothing else of them.
        self._like = torch.empty(0, vit.config.channels, *image_size)

    @property
    def name(self) -> str:
        """Return what `frozen` gives, as a name for files."""
        return f"tokens-{self.blocks:g}" if self.blocks else f"embed-{self.vit.config.pool}"

    @property
    def numbers(self) -> int:
        """Return how many numbers `frozen` gives for a picture."""
        h, w = self.vit.patch_embed.grid(*self._like.shape[-2:])
        return self.vit.width * (self.vit.prefix + h * w if self.blocks else 1)

    def frozen(self, images: Tensor) -> Tensor:
        """Run what is below the cut: ``(B, C, H, W)`` to ``(B, prefix + N, D)``, or ``(B, D)`` with no block."""
        places, biases = self._positions()
        tokens = self.vit.tokens(images)
        for number in range(self.first):
            tokens = self.vit.blocks[number](_at(tokens, places[number]), biases[number])
        if self.halved:
            last: Any = self.vit.blocks[self.first]
            return last.attend(_at(tokens, places[self.first]), biases[self.first])
        return tokens if self.blocks else self.vit.pool(self.vit.norm(tokens))

    def tuned(self, tokens: Tensor) -> Tensor:
        """Run what is above the cut, from what `frozen` gives to logits ``(B, K)``."""
        if not self.blocks:
            return self.model.score(tokens)
        places, biases = self._positions()
        for number in range(self.first, self.vit.depth):
            block: Any = self.vit.blocks[number]
            tokens = block.transform(tokens) if self.halved else block(_at(tokens, places[number]), biases[number])
        return self.model.score(self.vit.pool(self.vit.norm(tokens)))

    def freeze(self) -> None:
        """Stop what is below the cut from learning."""
        for parameter in self.below().values():
            parameter.requires_grad_(False)

    def below(self) -> dict[str, nn.Parameter]:
        """Return the parameters below the cut by their names in the model."""
        return {name: p for name, p in self.model.named_parameters() if not self._learns(name)}

    def still(self) -> list[nn.Module]:
        """Return the modules below the cut, whose dropout is never to act."""
        whole = [
            self.vit.patch_embed,
            self.vit.dropout,
            *self.vit.relative[: self.first],
            *self.vit.blocks[: self.first],
        ]
        if self.halved:
            last: Any = self.vit.blocks[self.first]
            whole += [last.norm1, last.attn]
        return whole

    def _learns(self, name: str) -> bool:
        if not self.blocks:
            return not name.startswith("backbone.")
        layer = self.model.layer_of(name)
        if self.halved and layer == self.first + 1:
            return ".mlp." in name or ".norm2." in name
        return layer > self.first

    def _positions(self) -> tuple[list[Any], list[Any]]:
        """Return what is added before each block, and to its attention's scores: nothing but in ablations."""
        return self.vit._places(self._like, None), self.vit._biases(self._like, None)


def _at(tokens: Tensor, place: Tensor | None) -> Tensor:
    return tokens if place is None else tokens + place
