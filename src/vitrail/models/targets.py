"""What a masked autoencoder predicts of each hidden patch (MAE, table 1d): pixels, coefficients or tokens."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vitrail.errors import ConfigError
from vitrail.layers.patches import pad_to_patches, patchify, take
from vitrail.models.tokenizers import Drawable, KMeansTokenizer, Tokenizer

TargetKind = Literal["normalized", "pixels", "pca", "tokens"]


class Pixels(nn.Module):
    """Predict every pixel of a patch, by squared error.

    Args:
        patch_size: P.
        channels: C.
        normalize: take each patch's own mean off and divide by its own deviation.

    Attributes:
        size: how many numbers are predicted for a patch, P * P * C.
        is_pixels: whether the target is a patch's own pixels, and nothing has to be fitted.
        classifies: whether one of several tokens is predicted.
    """

    is_pixels, classifies = True, False
    fitted = True

    def __init__(self, patch_size: int, channels: int, normalize: bool) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.normalize = normalize
        self.size = patch_size**2 * channels

    def forward(self, images: Tensor, places: Tensor | None = None) -> Tensor:
        """Return what is to be predicted of images ``(B, C, H, W)``.

        Args:
            images: normalised.
            places: ``(B, V)`` indices of the patches that are asked for; all N when absent.

        Returns:
            ``(B, V, P * P * C)``. Normalisation uses the unbiased variance plus 1e-6, as the published weights were
            trained.
        """
        patches = patches_of(images, self.patch_size, places)
        if not self.normalize:
            return patches
        mean, deviation = patch_statistics(patches)
        return (patches - mean) / deviation

    def loss(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Return the mean over everything of the squared difference."""
        return mean_squared_error(predicted, target)

    def to_patches(self, predicted: Tensor) -> Tensor:
        """Return the patches that are predicted; of normalised ones the pattern alone."""
        return predicted

    shown = to_patches

    def fit(self, patches: Tensor) -> None:
        """Fit nothing: pixels need no fitting."""


class Coefficients(nn.Module):
    """Predict the largest coefficients of a patch in the principal components of all patches, by squared error.

    Attributes:
        size: how many coefficients, K.
        mean: ``(P * P * C,)``, of the patches it was fitted on.
        components: ``(K, P * P * C)``, orthonormal, the most important first.
    """

    is_pixels, classifies = False, False
    mean: Tensor
    components: Tensor

    def __init__(self, patch_size: int, channels: int, components: int) -> None:
        super().__init__()
        length = patch_size**2 * channels
        self.patch_size = patch_size
        self.size = min(components, length)
        self.register_buffer("mean", torch.zeros(length))
        self.register_buffer("components", torch.zeros(self.size, length))

    @property
    def fitted(self) -> bool:
        """Whether there are components yet."""
        return bool(self.components.any())

    def fit(self, patches: Tensor) -> None:
        """Find the principal components of patches ``(M, P * P * C)``, with scikit-learn.

        Raises:
            ConfigError: there are fewer patches than components.
        """
        from sklearn.decomposition import PCA

        if len(patches) < self.size:
            raise ConfigError(f"{self.size} components need as many patches to be fitted on, not {len(patches)}")
        found = PCA(self.size, svd_solver="full").fit(patches.double().cpu().numpy())
        self.mean.copy_(torch.from_numpy(found.mean_))
        self.components.copy_(torch.from_numpy(found.components_))

    def forward(self, images: Tensor, places: Tensor | None = None) -> Tensor:
        """Return the coefficients ``(B, V, K)``; arguments as for `Pixels.forward`."""
        with torch.autocast(images.device.type, enabled=False):
            return F.linear(patches_of(images.float(), self.patch_size, places) - self.mean, self.components)

    def loss(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Return the mean over everything of the squared difference."""
        return mean_squared_error(predicted, target)

    def to_patches(self, predicted: Tensor) -> Tensor:
        """Return the patches ``(B, V, P * P * C)`` that have these coefficients."""
        return predicted.float() @ self.components + self.mean

    shown = to_patches


class Tokens(nn.Module):
    """Predict which of a vocabulary of tokens stands for a patch, by cross-entropy.

    Args:
        tokenizer: tells the tokens of images; None until `use` gives one.
        vocabulary: how many tokens there are.

    Attributes:
        size: how many scores are predicted for a patch, one for each token.
    """

    is_pixels, classifies = False, True

    def __init__(self, tokenizer: Tokenizer | None, vocabulary: int) -> None:
        super().__init__()
        self.size = vocabulary
        self.tokenizer: Tokenizer | None = None
        if tokenizer is not None:
            self.use(tokenizer)

    def use(self, tokenizer: Tokenizer) -> None:
        """Take a tokenizer; it does not learn, and where it is a module its weights go into the checkpoint.

        Raises:
            ConfigError: its vocabulary is not the one this target was made for.
        """
        if tokenizer.vocabulary != self.size:
            raise ConfigError(f"the tokenizer has {tokenizer.vocabulary} tokens, and {self.size} are predicted")
        if isinstance(tokenizer, nn.Module):
            tokenizer.requires_grad_(False)
        self.tokenizer = tokenizer

    @property
    def fitted(self) -> bool:
        """Whether there is a tokenizer, ready for use."""
        return getattr(self.tokenizer, "fitted", self.tokenizer is not None)

    def fit(self, patches: Tensor) -> None:
        """Fit k-means' tokens to patches ``(M, P * P * C)``."""
        assert isinstance(self.tokenizer, KMeansTokenizer)
        self.tokenizer.fit(patches)

    def train(self, mode: bool = True) -> Tokens:
        """Train the decoder around it; a tokenizer always stays as in evaluation."""
        super().train(mode)
        if isinstance(self.tokenizer, nn.Module):
            self.tokenizer.eval()
        return self

    @torch.no_grad()
    def forward(self, images: Tensor, places: Tensor | None = None) -> Tensor:
        """Return token ids ``(B, V, 1)``; arguments as for `Pixels.forward`.

        Raises:
            ConfigError: there is no tokenizer.
        """
        if self.tokenizer is None:
            raise ConfigError("this model's tokenizer is not part of vitrail; give it with mae.decoder.target.use(...)")
        with torch.autocast(images.device.type, enabled=False):
            tokens = self.tokenizer(images.float()).unsqueeze(-1)
        return tokens if places is None else take(tokens, places)

    def loss(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Return the mean cross-entropy, in nats."""
        return F.cross_entropy(predicted.float().flatten(0, 1), target.flatten())

    def to_patches(self, predicted: Tensor) -> Tensor:
        """Return patches ``(B, V, P * P * C)`` that look like the best tokens, given scores ``(B, V, vocabulary)``.

        Raises:
            ConfigError: the tokenizer cannot draw its tokens.
        """
        return self.shown(predicted.argmax(dim=-1, keepdim=True))

    def shown(self, target: Tensor) -> Tensor:
        """Return patches ``(B, V, P * P * C)`` that look like these tokens ``(B, V, 1)``; errors as `to_patches`."""
        if not isinstance(self.tokenizer, Drawable):
            raise ConfigError("this model predicts tokens of a tokenizer that has no way to draw them (`patches`)")
        return self.tokenizer.patches(target.squeeze(-1))


Target = Pixels | Coefficients | Tokens


def new_target(
    kind: TargetKind, patch_size: int, channels: int, components: int, vocabulary: int, tokenizer: str
) -> Target:
    """Make a target; coefficients and k-means' tokens are still to be fitted.

    Args:
        kind: what is predicted.
        patch_size: P.
        channels: C.
        components: of pca, how many; no more are taken than a patch has numbers.
        vocabulary: of tokens, how many there are.
        tokenizer: of tokens, "kmeans", or the name of one that will be given to `Tokens.use`.
    """
    if kind == "pca":
        return Coefficients(patch_size, channels, components)
    if kind == "tokens":
        own = KMeansTokenizer(patch_size, channels, vocabulary) if tokenizer == "kmeans" else None
        return Tokens(own, vocabulary)
    return Pixels(patch_size, channels, normalize=kind == "normalized")


def use_tokenizer(target: Target, tokenizer: Tokenizer) -> None:
    """Give a target that predicts tokens a tokenizer of the user's.

    Raises:
        ConfigError: the target predicts no tokens, or those of another vocabulary.
    """
    if not isinstance(target, Tokens):
        raise ConfigError("a tokenizer is for the target tokens; this model predicts pixels or coefficients")
    target.use(tokenizer)


def patches_of(images: Tensor, patch_size: int, places: Tensor | None = None) -> Tensor:
    """Cut images ``(B, C, H, W)`` into patches ``(B, N, P * P * C)``, or take those at ``places`` ``(B, V)``."""
    patches = patchify(pad_to_patches(images, patch_size), patch_size)
    return patches if places is None else take(patches, places)


def patch_statistics(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each patch, ``(B, N, 1)`` each, as normalised targets use them."""
    variance, mean = torch.var_mean(patches, dim=-1, keepdim=True)
    return mean, (variance + 1e-6).sqrt()


def mean_squared_error(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean over everything of the squared difference, in float32."""
    return (predicted.float() - target.float()).square().mean()
