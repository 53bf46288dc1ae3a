"""Images as words: a token for each patch, for a masked autoencoder to predict (MAE, table 1d; BEiT)."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from vitrail.errors import ConfigError
from vitrail.layers.patches import pad_to_patches, patchify


@runtime_checkable
class Tokenizer(Protocol):
    """What a tokenizer has to be; an `nn.Module` that is one is stored in the checkpoint with its weights.

    One that is also `Drawable` lets predictions be drawn.

    Attributes:
        vocabulary: how many tokens there are.
    """

    vocabulary: int

    def __call__(self, images: Tensor) -> Tensor:
        """Tell the token of each patch: ``(B, C, H, W)``, normalised, to ids ``(B, N)`` int64 below `vocabulary`."""
        ...


@runtime_checkable
class Drawable(Protocol):
    """A tokenizer whose tokens can be drawn."""

    def patches(self, tokens: Tensor) -> Tensor:
        """Return what tokens look like: ids ``(B, N)`` to ``(B, N, P * P * C)``, in the scale of its input."""
        ...


class KMeansTokenizer(nn.Module):
    """The nearest of a few hundred typical patches, found by k-means.

    Attributes:
        vocabulary: how many there are, V.
        centres: ``(V, P * P * C)``, in normalised pixels.
    """

    centres: Tensor

    def __init__(self, patch_size: int, channels: int, vocabulary: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.vocabulary = vocabulary
        self.register_buffer("centres", torch.zeros(vocabulary, patch_size**2 * channels))

    @property
    def fitted(self) -> bool:
        """Whether there are centres yet."""
        return bool(self.centres.any())

    def fit(self, patches: Tensor, seed: int = 0) -> None:
        """Find the centres of patches ``(M, P * P * C)`` with scikit-learn's mini-batch k-means.

        Raises:
            ConfigError: there are fewer patches than centres.
        """
        from sklearn.cluster import MiniBatchKMeans

        if len(patches) < self.vocabulary:
            raise ConfigError(
                f"a vocabulary of {self.vocabulary} needs as many patches to be fitted on, not {len(patches)}"
            )
        found = MiniBatchKMeans(self.vocabulary, batch_size=4096, n_init="auto", random_state=seed)
        found.fit(patches.float().cpu().numpy())
        self.centres.copy_(torch.from_numpy(found.cluster_centers_))

    def forward(self, images: Tensor) -> Tensor:
        """Tell the nearest centre of each patch: ``(B, C, H, W)`` to ids ``(B, N)``."""
        patches = patchify(pad_to_patches(images, self.patch_size), self.patch_size)
        # The squared distance, less what is the same for all centres.
        return (self.centres.square().sum(dim=1) - 2 * patches @ self.centres.T).argmin(dim=-1)

    def patches(self, tokens: Tensor) -> Tensor:
        """Return the centres of tokens: ids ``(B, N)`` to ``(B, N, P * P * C)``."""
        return self.centres[tokens]
