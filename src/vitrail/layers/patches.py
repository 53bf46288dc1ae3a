"""Images to patches and back."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from vitrail.errors import InputError


def check_images(images: Tensor, channels: int) -> None:
    """Refuse what is no batch of normalised images.

    Args:
        images: should be ``(B, C, H, W)``, of floating point.
        channels: C of the model.

    Raises:
        InputError: it has another shape, or the type of images that are not normalised yet.
    """
    if images.ndim != 4 or images.shape[1] != channels:
        raise InputError(f"expected images (B, {channels}, H, W), got a tensor of shape {tuple(images.shape)}")
    if not images.is_floating_point():
        kind = str(images.dtype).removeprefix("torch.")
        raise InputError(
            f"expected normalised images of floating point, got {kind}; scale them to 0 to 1, subtract the mean and "
            "divide by std (a checkpoint's description says both)"
        )


def check_not_empty(images: Tensor) -> None:
    """Refuse a batch of no images where a mean over it is asked for.

    Raises:
        InputError: it is empty.
    """
    if images.shape[0] == 0:
        raise InputError("a batch of no images has no loss; give one image or more")


def grid_of(height: int, width: int, patch_size: int) -> tuple[int, int]:
    """Return the grid ``(h, w)`` that covers an image; a last, partly filled row or column counts."""
    return -(-height // patch_size), -(-width // patch_size)


def pad_to_patches(images: Tensor, patch_size: int) -> Tensor:
    """Pad ``(B, C, H, W)`` with zeros at the bottom and right until patches cover it.

    Zero is the mean colour of a normalised image, so what is added carries no edge of its own.
    """
    bottom, right = -images.shape[-2] % patch_size, -images.shape[-1] % patch_size
    return F.pad(images, (0, right, 0, bottom)) if bottom or right else images


def patchify(images: Tensor, patch_size: int) -> Tensor:
    """Cut images into patches.

    Args:
        images: ``(B, C, H, W)`` with H and W multiples of P.
        patch_size: P, in pixels.

    Returns:
        ``(B, N, P * P * C)``: patches in row-major order; inside a patch row, column, channel,
        the layout of MAE's targets.
    """
    batch, channels, height, width = images.shape
    h, w = height // patch_size, width // patch_size
    patches = images.reshape(batch, channels, h, patch_size, w, patch_size)
    return patches.permute(0, 2, 4, 3, 5, 1).reshape(batch, h * w, patch_size * patch_size * channels)


def unpatchify(patches: Tensor, patch_size: int, grid: tuple[int, int]) -> Tensor:
    """Put ``(B, N, P * P * C)`` patches together to ``(B, C, H, W)``; the inverse of `patchify`."""
    batch, _, size = patches.shape
    h, w = grid
    channels = size // patch_size**2
    pixels = patches.reshape(batch, h, w, patch_size, patch_size, channels)
    return pixels.permute(0, 5, 1, 3, 2, 4).reshape(batch, channels, h * patch_size, w * patch_size)


def take(tokens: Tensor, indices: Tensor) -> Tensor:
    """Gather tokens ``(B, N, D)`` at ``indices`` ``(B, V)``, giving ``(B, V, D)``."""
    return tokens.gather(1, indices.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))


class PatchEmbedding(nn.Module):
    """Project each patch to a token (ViT, equation 1).

    The weights are a convolution's, ``(D, C, P, P)``, as in every published checkpoint; they are applied
    as a matrix product, so that hidden patches can be left out before any arithmetic (MAE, section 3).
    Without ``bias`` it is CLIP's.
    """

    def __init__(self, patch_size: int, channels: int, width: int, bias: bool = True) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Conv2d(channels, width, patch_size, patch_size, bias=bias)
        # A convolution over patches is a linear map of D outputs and C * P * P inputs: initialised as one.
        nn.init.xavier_uniform_(self.proj.weight.view(width, -1))
        if self.proj.bias is not None:
            nn.init.zeros_(self.proj.bias)

    sees_only_its_patch = True
    """Whether a token depends on the pixels of its own patch alone."""

    def input_filters(self) -> Tensor:
        """Return the filters that are applied to the pixels first: ``(D, C, P, P)``."""
        return self.proj.weight

    @property
    def stride(self) -> int:
        """Pixels between two neighbouring tokens."""
        return self.patch_size

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Return the grid ``(h, w)`` of tokens for an image of this size in pixels."""
        return grid_of(height, width, self.patch_size)

    def forward(self, images: Tensor, visible: Tensor | None = None) -> Tensor:
        """Embed patches.

        Args:
            images: ``(B, C, H, W)``, normalised; padded to whole patches where needed.
            visible: ``(B, V)`` indices of the patches to embed; all N when absent.

        Returns:
            Tokens ``(B, N, D)``, or ``(B, V, D)`` with ``visible``.
        """
        patches = patchify(pad_to_patches(images, self.patch_size), self.patch_size)
        if visible is not None:
            patches = take(patches, visible)
        # (D, C, P, P) -> (D, P * P * C), the order in which `patchify` lays out a patch.
        kernel = self.proj.weight.permute(0, 2, 3, 1).reshape(self.proj.out_channels, -1)
        return F.linear(patches, kernel, self.proj.bias)
