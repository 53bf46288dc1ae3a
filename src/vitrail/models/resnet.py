"""The ResNets of BiT (Kolesnikov et al. 2020, Big Transfer) and of the ViT paper's hybrids, without a head.

GroupNorm in the place of BatchNorm and standardised weights (`StdConv2d`); the stride sits on the 3x3
convolution. BiT's blocks are pre-activation ones (He et al. 2016, Identity Mappings); the hybrids' are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from vitrail.errors import ConfigError
from vitrail.layers.block import drop_path, drop_path_rates
from vitrail.layers.patches import check_images
from vitrail.layers.std_conv import Padding, StdConv2d, pad_same
from vitrail.models.backbone import Backbone, Family, Step, run_blocks

GROUPS = 32
NORM_EPS = 1e-5


@dataclass(frozen=True)
class ResNetConfig:
    """The shape of a ResNet (BiT, section 3.2) and its regularisation."""

    family: ClassVar[Family] = "bit"

    image_size: tuple[int, int] = (224, 224)
    """Height and width it is trained with; any other size works as well."""
    channels: int = 3
    depths: tuple[int, ...] = (3, 4, 6, 3)
    """Blocks of each stage; every stage but the first halves the grid and doubles the channels."""
    widen: int = 1
    """Factor of all channel numbers."""
    padding: Padding = "fixed"
    preactivation: bool = True
    """Norm and ReLU before each convolution (BiT), or after it (the ViT paper's hybrids)."""
    drop_path: float = 0.0
    """Rate of the last block; it rises linearly from 0 at the first."""

    def __post_init__(self) -> None:
        if self.widen < 1 or any(depth < 1 for depth in self.depths):
            raise ConfigError(f"depths {self.depths} and widen {self.widen} must be whole numbers from 1 on")


# The published BiT models; R50x1 has the depths and channels of the plain ResNet-50.
SIZES: dict[str, ResNetConfig] = {
    "bit_r50x1": ResNetConfig(depths=(3, 4, 6, 3)),
    "bit_r50x3": ResNetConfig(depths=(3, 4, 6, 3), widen=3),
    "bit_r101x1": ResNetConfig(depths=(3, 4, 23, 3)),
    "bit_r101x3": ResNetConfig(depths=(3, 4, 23, 3), widen=3),
    "bit_r152x2": ResNetConfig(depths=(3, 8, 36, 3), widen=2),
    "bit_r152x4": ResNetConfig(depths=(3, 8, 36, 3), widen=4),
}


def group_norm(channels: int) -> nn.GroupNorm:
    """Return GroupNorm with the groups that BiT uses everywhere."""
    return nn.GroupNorm(GROUPS, channels, eps=NORM_EPS)


class Downsample(nn.Module):
    """The shortcut of a stage's first block: a 1x1 convolution, normalised in post-activation blocks only."""

    def __init__(self, inputs: int, outputs: int, stride: int, config: ResNetConfig) -> None:
        super().__init__()
        self.conv = StdConv2d(inputs, outputs, 1, stride, config.padding)
        self.norm = nn.Identity() if config.preactivation else group_norm(outputs)

    def forward(self, images: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` to ``(B, outputs, H / stride, W / stride)``."""
        return self.norm(self.conv(images))


class Bottleneck(nn.Module):
    """Convolutions 1x1, 3x3 and 1x1 with a residual around, at a quarter of the channels inside.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        stride: of the 3x3 convolution and of the shortcut.
        config: padding and the kind of block.
        drop_path: probability that the branch is left out for a sample.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, config: ResNetConfig, drop_path: float = 0.0) -> None:
        super().__init__()
        inner = outputs // 4
        before = (inputs, inner, inner)
        after = (inner, inner, outputs)
        self.norm1, self.norm2, self.norm3 = map(group_norm, before if config.preactivation else after)
        self.conv1 = StdConv2d(inputs, inner, 1, 1, config.padding)
        self.conv2 = StdConv2d(inner, inner, 3, stride, config.padding)
        self.conv3 = StdConv2d(inner, outputs, 1, 1, config.padding)
        changes = stride != 1 or inputs != outputs
        self.downsample = Downsample(inputs, outputs, stride, config) if changes else None
        self.drop_path = drop_path
        self.preactivation = config.preactivation
        if not config.preactivation:
            # The branch starts out silent (Goyal et al. 2017, section 5.1). A pre-activation block ends with
            # a standardised convolution, which cannot be silenced that way.
            nn.init.zeros_(self.norm3.weight)

    def forward(self, images: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` to ``(B, outputs, H / stride, W / stride)``."""
        return self._preactivation(images) if self.preactivation else self._postactivation(images)

    def _preactivation(self, images: Tensor) -> Tensor:
        active = F.relu(self.norm1(images))
        shortcut = images if self.downsample is None else self.downsample(active)
        branch = F.relu(self.norm2(self.conv1(active)))
        branch = F.relu(self.norm3(self.conv2(branch)))
        return shortcut + drop_path(self.conv3(branch), self.drop_path, self.training)

    def _postactivation(self, images: Tensor) -> Tensor:
        shortcut = images if self.downsample is None else self.downsample(images)
        branch = F.relu(self.norm1(self.conv1(images)))
        branch = F.relu(self.norm2(self.conv2(branch)))
        branch = self.norm3(self.conv3(branch))
        return F.relu(shortcut + drop_path(branch, self.drop_path, self.training))


class Stem(nn.Module):
    """A 7x7 convolution and a max-pool, each of stride 2."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.same = config.padding == "same"
        self.conv = StdConv2d(config.channels, 64 * config.widen, 7, 2, config.padding)
        self.norm = nn.Identity() if config.preactivation else group_norm(64 * config.widen)
        self.activate = nn.Identity() if config.preactivation else nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, 64 widen, H / 4, W / 4)``."""
        images = self.activate(self.norm(self.conv(images)))
        if self.same:
            return F.max_pool2d(pad_same(images, 3, 2, value=-float("inf")), 3, 2)
        # BiT pads with zeros, which are not below everything before a ReLU as max_pool2d's own padding is.
        return F.max_pool2d(F.pad(images, (1, 1, 1, 1)), 3, 2)


class Stage(nn.Module):
    """Blocks at one grid, of which the first brings the stride and the channels; `ResNet.block_steps` runs them."""

    def __init__(self, inputs: int, outputs: int, stride: int, drop_paths: list[float], config: ResNetConfig) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(
                Bottleneck(outputs if i else inputs, outputs, 1 if i else stride, config, rate)
                for i, rate in enumerate(drop_paths)
            )
        )


class ResNet(Backbone):
    """A backbone: images to feature maps or one vector each.

    Parameter names are those of timm's ResNetV2 (`stages.0.blocks.0.conv1.weight`).
    """

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        self.depth = sum(config.depths)
        self.channels = tuple(256 * config.widen * 2**i for i in range(len(config.depths)))
        self.strides = tuple(4 * 2**i for i in range(len(config.depths)))
        self.stem = Stem(config)
        rates = drop_path_rates(config.drop_path, self.depth)
        self.stages = nn.Sequential()
        self.width = 64 * config.widen
        for i, (count, outputs) in enumerate(zip(config.depths, self.channels, strict=True)):
            below = sum(config.depths[:i])
            self.stages.append(Stage(self.width, outputs, 2 if i else 1, rates[below : below + count], config))
            self.width = outputs
        self.norm = group_norm(self.width) if config.preactivation else nn.Identity()

    def block_steps(self) -> list[Step]:
        """Return the blocks of all stages, first to last."""
        return [block for stage in self.stages for block in stage.blocks]  # type: ignore[misc, union-attr]

    def forward_features(self, images: Tensor) -> Tensor:
        """Return the last map, normalised and rectified: ``(B, C, H, W)`` to ``(B, width, h, w)``."""
        return F.relu(self.norm(run_blocks(self.block_steps(), self.stem(self._checked(images)))[0]))

    def feature_maps(self, images: Tensor, after: Sequence[int] = ()) -> list[Tensor]:
        """Return the map of every stage, ``(B, C_i, H / s_i, W / s_i)``; the last as `forward_features` does.

        With ``after``, a map after each of those blocks, as they leave it.
        """
        stem = self.stem(self._checked(images))
        ends = [sum(self.config.depths[: stage + 1]) - 1 for stage in range(len(self.config.depths))]
        _, maps = run_blocks(self.block_steps(), stem, after or ends)
        return maps if after else [*maps[:-1], F.relu(self.norm(maps[-1]))]

    def embed(self, images: Tensor) -> Tensor:
        """Describe each image by the mean of the last map: ``(B, C, H, W)`` to ``(B, width)``."""
        return self.forward_features(images).mean(dim=(2, 3))

    def last_map(self, images: Tensor) -> tuple[Tensor, Step]:
        """Return the normalised and rectified last map, and the mean over it."""
        return self.forward_features(images), lambda places: places.mean(dim=(2, 3))

    def input_filters(self) -> Tensor:
        """Return the standardised filters of the first convolution: ``(64 widen, C, 7, 7)``."""
        return self.stem.conv.standardised()

    def layer_of(self, name: str) -> int:
        """Return the layer a parameter belongs to: 0 for the stem, i + 1 for block i, depth + 1 after."""
        if name.startswith("stages."):
            _, stage, _, block, *_ = name.split(".")
            return sum(self.config.depths[: int(stage)]) + int(block) + 1
        return 0 if name.startswith("stem.") else self.depth + 1

    def without_part_in_maps(self, after: Sequence[int] = ()) -> list[str]:
        """Return the names of the norm's parameters where maps are taken after given blocks; else it has its part."""
        return [name for name, _ in self.named_parameters() if after and name.startswith("norm.")]

    def _checked(self, images: Tensor) -> Tensor:
        check_images(images, self.config.channels)
        return images
