"""What every backbone answers, and the one loop over blocks that all of them run.

An abstract class and not a `typing.Protocol`: what heads, figures and loading are given is an `nn.Module` as well,
which a protocol cannot say, and most answers have a default.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from vitrail.errors import ConfigError
from vitrail.layers.attention import Attention
from vitrail.layers.window_layout import Partition

Step = Callable[[Tensor], Tensor]
"""A block as a function of its tokens alone."""


def run_blocks(steps: Sequence[Step], tokens: Tensor, keep: Collection[int] = ()) -> tuple[Tensor, list[Tensor]]:
    """Run blocks one after the other: the loop of every backbone.

    Args:
        steps: the blocks, as `Backbone.block_steps` gives them; some of them where a model is cut in two.
        tokens: what goes into the first.
        keep: after which blocks, numbered from 0, the tokens are kept.

    Returns:
        The tokens after the last block, and those kept, in order.
    """
    kept = []
    for number, step in enumerate(steps):
        tokens = step(tokens)
        if number in keep:
            kept.append(tokens)
    return tokens, kept


Family = Literal["vit", "modern_vit", "hybrid", "bit", "swin", "swin_v2"]


class BackboneConfig(Protocol):
    """The shape of a backbone: a frozen dataclass, with more fields of each family's own."""

    family: ClassVar[Family]
    """Whose layout and whose names the weights have in the files of others."""

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width that the model is built for, in pixels."""
        ...

    @property
    def channels(self) -> int:
        """C, of the images."""
        ...


@dataclass(frozen=True)
class VisiblePass:
    """The steps of a model of which only some patches are there, for who wants to see what happens between them.

    Attributes:
        tokens: ``(B, prefix + V, D)``, what goes into the first block.
        steps: the blocks.
        norm: normalises what comes out of the last one, as `Backbone.forward_features` does.
        pool: makes what `Backbone.head_input` gives of that.
    """

    tokens: Tensor
    steps: Sequence[Step]
    norm: Step
    pool: Step


class Backbone(nn.Module, ABC):
    """A model without a head: images to features, to maps at one or several strides, or to one vector each.

    Images ``(B, C, H, W)`` are normalised, and may have any height and width. A forward pass changes no state.

    Attributes:
        config: the shape, a frozen dataclass with ``image_size`` and ``channels`` (C), for which the model was built.
        width: D, length of the vector that `embed` gives.
        depth: L, number of blocks.
        channels: of each map of `feature_maps`.
        strides: pixels between two neighbouring places of each of those maps; one alone is a plain backbone, whose
            blocks all work at one resolution.
        prefix_tokens: how many tokens come before the grid; 1 with a class token.
    """

    config: Any
    width: int
    depth: int
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    prefix_tokens: int = 0

    @abstractmethod
    def forward_features(self, images: Tensor) -> Tensor:
        """Return the last features: tokens ``(B, prefix + N, D)``, or a map of the family's own layout."""

    @abstractmethod
    def feature_maps(self, images: Tensor, after: Sequence[int] = ()) -> list[Tensor]:
        """Return maps ``[(B, C_i, H / s_i, W / s_i)]``, finest first; sizes are rounded up.

        Args:
            images: ``(B, C, H, W)``.
            after: of a plain backbone, blocks numbered from 0 in rising order: a map after each of them, without a
                norm; by default one map of each stride.
        """

    @abstractmethod
    def embed(self, images: Tensor) -> Tensor:
        """Describe each image by one vector: ``(B, C, H, W)`` to ``(B, D)``."""

    @abstractmethod
    def layer_of(self, name: str) -> int:
        """Return the layer a parameter belongs to: 0 for the embeddings, i + 1 for block i, depth + 1 after."""

    def forward(self, images: Tensor) -> Tensor:
        """Embed; see `embed`."""
        return self.embed(images)

    def head_input(self, images: Tensor) -> Tensor:
        """Return what a classifier scores: the vector of `embed`, or several, ``(B, head_inputs, D)``."""
        return self.embed(images)

    @property
    def head_inputs(self) -> int:
        """How many vectors a classifier scores, each by a linear map of its own; their scores are averaged."""
        return 1

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters with several dimensions that are no maps, and should not decay."""
        return set()

    def without_part_in_maps(self, after: Sequence[int] = ()) -> list[str]:
        """Return the names of the parameters that `feature_maps` does without, so that they would get no gradient."""
        return []

    @property
    def placed_tokens(self) -> int:
        """How many of the tokens before the grid have learned positions."""
        return self.prefix_tokens

    @property
    def is_plain(self) -> bool:
        """Whether all blocks work at one resolution, as a ViT's."""
        return len(self.strides) == 1

    @property
    def pools_class_token(self) -> bool:
        """Whether `embed` is made of the class token alone."""
        return False

    def pooled_shares(self, patches: int) -> Tensor | None:
        """Return the share of each token in what `head_input` is made of, for so many patches: ``(prefix + N,)``.

        They add up to 1; None where the shares depend on the image, as of learned attention.
        """
        shares = torch.zeros(self.prefix_tokens + patches)
        if self.pools_class_token:
            shares[0] = 1
        else:
            shares[self.prefix_tokens :] = 1 / patches
        return shares

    @property
    def can_leave_patches_out(self) -> bool:
        """Whether `head_input_visible` can answer without some patches, as a ViT whose tokens see their own alone."""
        return False

    @property
    def splits_between_blocks(self) -> bool:
        """Whether `vitrail.heads.partial_fine_tuning` can cut it in two, as it can a ViT."""
        return False

    def last_map(self, images: Tensor) -> tuple[Tensor, Step]:
        """Return the last map on which the answer depends place by place, and the rest of the model as its function.

        Args:
            images: ``(B, C, H, W)``.

        Returns:
            The map ``(B, C_i, h, w)``, and a function of such a map, which of this one gives what `head_input` gives.

        Raises:
            ConfigError: the model has none.
        """
        raise ConfigError(f"a {type(self).__name__} has no last map to explain an answer on")

    def head_input_visible(self, images: Tensor, visible: Tensor) -> Tensor:
        """Return what a classifier scores of images of which only some patches are there.

        The others are taken out of the sequence.

        Args:
            images: ``(B, C, H, W)``.
            visible: ``(B, S, V)`` indices of the patches that are there, in S variants of each image.

        Returns:
            ``(B, S, D)``, or ``(B, S, head_inputs, D)``; see `head_input`.

        Raises:
            ConfigError: no patch can be taken out of this model, or nothing would be left.
        """
        raise ConfigError(f"patches cannot be taken out of a {type(self).__name__}; fill them instead")

    def visible_pass(self, images: Tensor, visible: Tensor) -> VisiblePass:
        """Return the steps that lead to what a classifier scores of images of which only some patches are there.

        Args:
            images: ``(B, C, H, W)``.
            visible: ``(B, V)`` indices of the patches that are there.

        Raises:
            ConfigError: no patch can be taken out of this model.
        """
        raise ConfigError(f"patches cannot be taken out of a {type(self).__name__}; fill them instead")

    def input_filters(self) -> Tensor:
        """Return the filters that are applied to the pixels first, as they are applied: ``(F, C, P, P)``.

        Raises:
            ConfigError: the model has none.
        """
        raise ConfigError(f"a {type(self).__name__} has no filters over pixels")

    def position_table(self, height: int, width: int) -> Tensor | None:
        """Return the positions added to the patches' tokens, for images of this size in pixels.

        Returns:
            ``(1, h * w, D)``, or ``(L, h * w, D)`` where every block has its own; None where nothing is added.
        """
        return None

    def position_biases(self) -> list[Tensor]:
        """Return what is added to the scores by offset, ``(K, 2h - 1, 2w - 1)`` of each block that has a table.

        By where the key lies from its query: the centre is a token's own place, right of it the key to its right.
        """
        return []

    def rotary_turns(self) -> Tensor | None:
        """Return how often each pair of channels is turned for a unit of a coordinate, ``(E / 4,)``; None if none is.

        Coordinates go from -1 to 1 along each side of the image.
        """
        return None

    def attention_layers(self) -> list[Attention]:
        """Return the attention of every block, first to last; nothing of a model without."""
        return []

    def token_grid(self, height: int, width: int) -> tuple[int, int] | None:
        """Return the grid ``(h, w)`` of patches of an image of this size in pixels; None of a model without tokens."""
        return None

    def windows(self, height: int, width: int) -> list[list[Partition]]:
        """Return how each block of each stage cuts its map, for images of this size in pixels.

        Nothing where attention is among all tokens, or where there is none.
        """
        return []

    @property
    def has_windows(self) -> bool:
        """Whether attention stays within windows."""
        return False


def freeze_unused(backbone: Backbone, after: Sequence[int] = ()) -> None:
    """Stop what has no part in a backbone's maps, and would never get a gradient, from learning."""
    for name in backbone.without_part_in_maps(after):
        backbone.get_parameter(name).requires_grad_(False)


class Layered(Protocol):
    """A model whose parameters belong to layers: a backbone, or one with a head."""

    def layer_of(self, name: str) -> int:
        """Return the layer a parameter belongs to, from 0 for the embeddings upwards."""
        ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Give every parameter with its name."""
        ...


def freeze(model: Layered, layers: int) -> list[str]:
    """Stop the lowest layers of a model from learning.

    Args:
        model: a backbone, or one with a head.
        layers: how many, from below: 1 is the embeddings alone, ``depth + 1`` everything up to the last block;
            one more takes the final norm and the head as well. 0 freezes nothing.

    Returns:
        The names of the parameters that were frozen.
    """
    frozen = {name: tensor for name, tensor in model.named_parameters() if model.layer_of(name) < layers}
    for parameter in frozen.values():
        parameter.requires_grad_(False)
    return list(frozen)


def spread(depth: int, count: int) -> tuple[int, ...]:
    """Return ``count`` blocks out of ``depth``, numbered from 0, evenly spaced up to the last one."""
    return tuple(depth * (number + 1) // count - 1 for number in range(count))


def backbone_of(model: nn.Module) -> Backbone:
    """Return the backbone inside a model: that under a head, the encoder of what pretrains it, or the model itself.

    Raises:
        ConfigError: there is none.
    """
    found = getattr(model, "encoder", getattr(model, "backbone", model))
    if not isinstance(found, Backbone):
        raise ConfigError(f"a {type(model).__name__} has no backbone of vitrail's inside")
    return found
