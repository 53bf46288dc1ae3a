"""Which patches of an image are hidden: drawn in the loader, so that a mask belongs to its image."""

from __future__ import annotations

from torch import Tensor

from vitrail.layers.masking import Masking, draw_mask
from vitrail.layers.patches import grid_of


class MaskDrawer:
    """Draws the mask of one image in the loader, so that it belongs to the image and not to the process.

    Args:
        patch_size: P, in pixels.
        mask_ratio: share hidden, in (0, 1).
        masking: how hidden patches are chosen.
        given: ``(N,)`` bool, 1 = hidden: the mask of every image, in place of a drawn one.
    """

    def __init__(
        self, patch_size: int, mask_ratio: float, masking: Masking = "random", given: Tensor | None = None
    ) -> None:
        self.patch_size = patch_size
        self.mask_ratio = mask_ratio
        self.masking: Masking = masking
        self.given = given

    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        """Return ``mask`` ``(N,)`` for an image ``(C, H, W)``."""
        if self.given is not None:
            return {"mask": self.given}
        height, width = image.shape[-2:]
        return {"mask": draw_mask(self.masking, grid_of(height, width, self.patch_size), self.mask_ratio)}
