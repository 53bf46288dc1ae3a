"""The hybrids of the ViT paper (section 3.1): a ResNet in front, and a ViT over its feature map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from vitrail.errors import ConfigError
from vitrail.layers.patches import PatchEmbedding, grid_of
from vitrail.models.backbone import Family
from vitrail.models.resnet import ResNet, ResNetConfig
from vitrail.models.vit import ViT, ViTConfig


@dataclass(frozen=True)
class HybridConfig(ViTConfig):
    """The shape of a hybrid: that of its ViT, and of the ResNet in front.

    ``patch_size`` is counted in pixels of the image, as in any ViT; a patch of the ResNet's map has that
    divided by the ResNet's stride.
    """

    family: ClassVar[Family] = "hybrid"

    stem_depths: tuple[int, ...] = (3, 4, 9)
    """Blocks of the ResNet's stages; none is the 7x7 convolution and the max-pool alone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patch_size % self.stem_stride:
            raise ConfigError(
                f"patch_size {self.patch_size} is no multiple of {self.stem_stride}, the stride of a ResNet "
                f"with {len(self.stem_depths)} stages"
            )

    @property
    def stem_stride(self) -> int:
        """Pixels between two neighbouring places of the ResNet's map."""
        return 4 * 2 ** max(0, len(self.stem_depths) - 1)


# At stride 16 the fourth stage's blocks stand in the third (ViT, section 4.1). R26 and R+Ti are from How to train
# your ViT (Steiner et al. 2022); R+Ti/16 is the published name, though 8x8 patches of a map of stride 4 are
# 32 pixels wide.
SIZES: dict[str, HybridConfig] = {
    "r_vit_ti16": HybridConfig(width=192, num_heads=3, patch_size=32, stem_depths=()),
    "r26_vit_s32": HybridConfig(width=384, num_heads=6, patch_size=32, stem_depths=(2, 2, 2, 2)),
    "r26_vit_b32": HybridConfig(width=768, num_heads=12, patch_size=32, stem_depths=(2, 2, 2, 2)),
    "r50_vit_b16": HybridConfig(width=768, num_heads=12, patch_size=16, stem_depths=(3, 4, 9)),
    "r50_vit_b32": HybridConfig(width=768, num_heads=12, patch_size=32, stem_depths=(3, 4, 6, 3)),
    "r50_vit_l16": HybridConfig(width=1024, depth=24, num_heads=16, patch_size=16, stem_depths=(3, 4, 9)),
    "r50_vit_l32": HybridConfig(width=1024, depth=24, num_heads=16, patch_size=32, stem_depths=(3, 4, 6, 3)),
}


class HybridEmbedding(PatchEmbedding):
    """Patch tokens from a ResNet's map, in the place of those from pixels.

    Every token has seen more of the image than its own patch, so leaving patches out hides nothing: a hybrid
    cannot be the encoder of a masked autoencoder. Parameter names are timm's.

    Attributes:
        backbone: the ResNet, post-activation and padded as TensorFlow does.
        patch_size: side of a patch of the ResNet's map; mostly 1.
    """

    def __init__(self, config: HybridConfig) -> None:
        shape = ResNetConfig(
            image_size=config.image_size,
            channels=config.channels,
            depths=config.stem_depths,
            padding="same",
            preactivation=False,
        )
        backbone = ResNet(shape)
        super().__init__(config.patch_size // config.stem_stride, backbone.width, config.width)
        self.backbone = backbone
        self.pixels = config.patch_size

    sees_only_its_patch = False

    def input_filters(self) -> Tensor:
        """Return the filters of the ResNet's first convolution: ``(64, C, 7, 7)``."""
        return self.backbone.input_filters()

    @property
    def stride(self) -> int:
        """Pixels of the image between two neighbouring tokens."""
        return self.pixels

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Return the grid ``(h, w)`` of tokens for an image of this size in pixels."""
        return grid_of(height, width, self.pixels)

    def forward(self, images: Tensor, visible: Tensor | None = None) -> Tensor:
        """Embed patches; arguments and result as for `PatchEmbedding`."""
        return super().forward(self.backbone.forward_features(images), visible)


def hybrid(config: HybridConfig) -> ViT:
    """Build a hybrid: an ordinary ViT over `HybridEmbedding`."""
    return ViT(config, HybridEmbedding(config))
