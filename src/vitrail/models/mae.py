"""The masked autoencoder (He et al. 2022, Masked Autoencoders Are Scalable Vision Learners) over any ViT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vitrail.coerce import coerce_options, from_json
from vitrail.config import check_choices
from vitrail.errors import ConfigError
from vitrail.layers.block import NORM_EPS, Block, initialise
from vitrail.layers.masking import Masking, Split, check_masking, draw_mask, split
from vitrail.layers.patches import check_not_empty, take
from vitrail.layers.positions import resize_positions, sincos_2d
from vitrail.models.backbone import run_blocks
from vitrail.models.targets import TargetKind, new_target
from vitrail.models.vit import ViT

DECODER_HEAD_WIDTH = 32
"""Channels a head of the paper's decoder (512 in 16 heads)."""


@dataclass(frozen=True)
class MAEConfig:
    """The light decoder on top of an encoder, and what is hidden and predicted (paper, section 3)."""

    mask_ratio: float = 0.75
    """Share of the patches that is hidden, in (0, 1)."""
    masking: Masking = "random"
    """How hidden patches are chosen: random; block, in rectangles as BEiT does; grid, three of every four."""
    mask_tokens_in: Literal["decoder", "encoder"] = "decoder"
    """Where hidden places get a token: in the decoder, so that the encoder sees a quarter of the tokens; or in the
    encoder already, which costs more and learns less (table 1c)."""
    decoder_width: int = 512
    decoder_depth: int = 8
    decoder_heads: int = 16
    target: TargetKind = "normalized"
    """What is predicted of a patch: its pixels with its own mean taken off and divided by its own deviation; its
    pixels as they are; its coefficients in the patches' principal components; or a tokenizer's token for it."""
    components: int = 96
    """Of target pca: how many coefficients (96 in table 1d's caption)."""
    vocabulary: int = 512
    """Of target tokens: how many tokens there are."""
    tokenizer: str = "kmeans"
    """Of target tokens: "kmeans", or the name of one that is given by `vitrail.models.targets.Tokens.use`."""

    def __post_init__(self) -> None:
        check_choices(self)
        check_masking(self.masking, self.mask_ratio)
        for name in ("decoder_width", "decoder_depth", "decoder_heads", "components", "vocabulary"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be 1 or more, not {getattr(self, name)}")
        if self.target == "tokens" and self.vocabulary < 2:
            raise ConfigError("a vocabulary of 1 token leaves nothing to predict; give 2 or more")
        if self.decoder_width % self.decoder_heads or self.decoder_width % 4:
            raise ConfigError(
                f"decoder_width {self.decoder_width} is not divisible by "
                f"{'4' if self.decoder_width % 4 else f'decoder_heads {self.decoder_heads}'}"
            )


@dataclass(frozen=True)
class MAEOutput:
    """What a masked autoencoder makes of a batch.

    Attributes:
        loss: scalar, over the hidden patches: mean squared error, or of tokens cross-entropy.
        predicted: ``(B, N, P * P * C)`` in the target's scale, inside a patch row, column, channel; of other targets
            ``(B, N, components)`` or scores ``(B, N, vocabulary)``.
        mask: ``(B, N)`` bool, 1 = hidden.
    """

    loss: Tensor
    predicted: Tensor
    mask: Tensor


class Decoder(nn.Module):
    """Narrow transformer that sees the visible tokens and, at every hidden place, one shared mask token.

    Attributes:
        target: what it predicts of a patch.
        mask_token: ``(1, 1, decoder_width)``; None where the encoder has one.
    """

    def __init__(self, encoder: ViT, config: MAEConfig) -> None:
        super().__init__()
        width, patches = config.decoder_width, encoder.config
        self.grid = grid = encoder.patch_embed.grid(*patches.image_size)
        self.prefix = encoder.prefix_tokens
        self.embed = nn.Linear(encoder.width, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width)) if config.mask_tokens_in == "decoder" else None
        fixed = torch.cat([torch.zeros(self.prefix, width), sincos_2d(grid, width)])
        self.pos_embed = nn.Parameter(fixed.unsqueeze(0), requires_grad=False)
        self.blocks = nn.ModuleList(Block(width, config.decoder_heads) for _ in range(config.decoder_depth))
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.target = new_target(
            config.target, patches.patch_size, patches.channels, config.components, config.vocabulary, config.tokenizer
        )
        self.predict = nn.Linear(width, self.target.size)
        self.apply(initialise)
        if self.mask_token is not None:
            nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, tokens: Tensor, parts: Split, grid: tuple[int, int], hidden_only: bool = False) -> Tensor:
        """Fill the hidden places and decode.

        Args:
            tokens: ``(B, prefix + V, D)`` from the encoder; with mask tokens in the encoder ``(B, prefix + N, D)``,
                the visible patches first.
            parts: which patches those are.
            grid: ``(h, w)`` of the whole image.
            hidden_only: leave out of the last block what only visible patches would need.

        Returns:
            ``(B, prefix + N, decoder_width)``: prefix, visible patches, then hidden ones; or the hidden ones alone.
            Attention does not mind the order, so nothing is sorted back before it must be.
        """
        *blocks, last = self.blocks
        tokens, _ = run_blocks(blocks, self.with_mask_tokens(tokens, parts, grid))
        return last(tokens, None, parts.hidden.shape[1] if hidden_only else None)

    def with_mask_tokens(self, tokens: Tensor, parts: Split, grid: tuple[int, int]) -> Tensor:
        """Embed the encoder's tokens, put the mask token at every hidden place, and add positions to all.

        Returns:
            ``(B, prefix + N, decoder_width)``: prefix, visible patches, then hidden ones.
        """
        tokens = self.embed(tokens)
        positions = resize_positions(self.pos_embed, self.grid, grid, self.prefix)
        of_patches = positions[:, self.prefix :].expand(tokens.shape[0], -1, -1)
        prefix = tokens[:, : self.prefix] + positions[:, : self.prefix]
        if self.mask_token is None:
            patches = tokens[:, self.prefix :] + take(of_patches, torch.cat([parts.visible, parts.hidden], dim=1))
            return torch.cat([prefix, patches], dim=1)
        visible = tokens[:, self.prefix :] + take(of_patches, parts.visible)
        hidden = self.mask_token + take(of_patches, parts.hidden)
        return torch.cat([prefix, visible, hidden.to(tokens.dtype)], dim=1)


class MAE(nn.Module):
    """Encoder over the visible patches, decoder over all places, loss on the hidden ones.

    ``mae.encoder`` is an ordinary ViT: it never hides anything, and is what is fine-tuned afterwards.

    Raises:
        ConfigError: the encoder pools by attention, which a masked autoencoder has no use for.
    """

    def __init__(self, encoder: ViT, config: MAEConfig) -> None:
        super().__init__()
        if encoder.config.pool == "attention":
            raise ConfigError('a masked autoencoder pools nothing; give its encoder pool "class" or "mean"')
        self.config = config
        self.encoder = encoder
        self.decoder = Decoder(encoder, config)
        # Not the encoder's own: what is fine-tuned afterwards has no use for it.
        self.encoder_mask_token = None
        if config.mask_tokens_in == "encoder":
            self.encoder_mask_token = nn.Parameter(torch.randn(1, 1, encoder.width) * 0.02)

    @property
    def patch_size(self) -> int:
        """P, in pixels."""
        return self.encoder.config.patch_size

    def grid(self, images: Tensor) -> tuple[int, int]:
        """Return the grid ``(h, w)`` of patches of a batch of images."""
        return self.encoder.patch_embed.grid(*images.shape[-2:])

    def target(self, images: Tensor, places: Tensor | None = None) -> Tensor:
        """Return what is to be predicted of images, as `MAEConfig.target` says.

        Args:
            images: ``(B, C, H, W)``, normalised.
            places: ``(B, V)`` indices of the patches that are asked for; all N when absent.

        Returns:
            ``(B, V, P * P * C)``, ``(B, V, components)``, or token ids ``(B, V, 1)``.
        """
        return self.decoder.target(images, places)

    def new_mask(self, images: Tensor) -> Tensor:
        """Draw a mask ``(B, N)`` for images, from torch's global random numbers."""
        return draw_mask(self.config.masking, self.grid(images), self.config.mask_ratio, images.shape[0], images.device)

    def loss(self, images: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss alone; the prediction is computed at the hidden places only.

        Arguments as in `forward`.
        """
        return self.loss_of(images, self.split(images, mask))

    def loss_of(self, images: Tensor, parts: Split) -> Tensor:
        """Return the loss of images ``(B, C, H, W)`` split as `split` does; a compiler makes one graph of it."""
        decoded = self.decode(self.encode(images, parts), parts, self.grid(images), hidden_only=True)
        return self.decoder.target.loss(self.predict(decoded), self.target(images, parts.hidden))

    def forward(self, images: Tensor, mask: Tensor | None = None) -> MAEOutput:
        """Hide patches and predict them.

        Args:
            images: ``(B, C, H, W)``, normalised.
            mask: ``(B, N)``, 1 = hidden, the same number hidden in every row; drawn at random when absent.

        Raises:
            ConfigError: the mask does not fit the images, or its rows hide different numbers of patches.
        """
        parts = self.split(images, mask)
        decoded = self.decode(self.encode(images, parts), parts, self.grid(images))
        shuffled = self.predict(decoded[:, self.encoder.prefix_tokens :])
        hidden = shuffled[:, -parts.hidden.shape[1] :]
        loss = self.decoder.target.loss(hidden, self.target(images, parts.hidden))
        return MAEOutput(loss, take(shuffled, parts.restore), parts.mask)

    def split(self, images: Tensor, mask: Tensor | None = None) -> Split:
        """List which patches of images are visible and which hidden; arguments and errors as in `forward`."""
        check_not_empty(images)
        h, w = self.grid(images)
        if mask is None:
            mask = self.new_mask(images)
        if mask.shape != (images.shape[0], h * w):
            raise ConfigError(
                f"a mask for these images has shape ({images.shape[0]}, {h * w}), one value for each patch of a "
                f"{h}x{w} grid; this one has {tuple(mask.shape)}"
            )
        return split(mask.to(images.device).bool())

    def encode(self, images: Tensor, parts: Split) -> Tensor:
        """First step: encode the visible patches alone (section 3, "MAE encoder").

        Args:
            images: ``(B, C, H, W)``, normalised.
            parts: which patches are visible.

        Returns:
            ``(B, prefix + V, D)``, each token normalised; with mask tokens in the encoder ``(B, prefix + N, D)``, the
            visible patches first.
        """
        if self.encoder_mask_token is None:
            encoded = self.encoder.forward_features(images, parts.visible)
        else:
            encoded = self._encode_all(images, parts, self.encoder_mask_token)
        # An encoder that pools by mean keeps its norm for after the pooling; here each token is normalised with it.
        return self.encoder.fc_norm(encoded)

    def decode(self, encoded: Tensor, parts: Split, grid: tuple[int, int], hidden_only: bool = False) -> Tensor:
        """Second step: decode all places, hidden ones from the mask token ("MAE decoder"); see `Decoder.forward`."""
        return self.decoder(encoded, parts, grid, hidden_only)

    def predict(self, decoded: Tensor) -> Tensor:
        """Third step: predict the target of each decoded patch ("Reconstruction target").

        Args:
            decoded: ``(B, V, decoder_width)``.

        Returns:
            ``(B, V, P * P * C)`` of targets that are pixels; `loss_of` compares the hidden ones with `target`.
        """
        return self.decoder.predict(self.decoder.norm(decoded))

    def _encode_all(self, images: Tensor, parts: Split, mask_token: Tensor) -> Tensor:
        """Encode all places, hidden ones with the mask token: ``(B, prefix + N, D)``, the visible patches first."""

        def hide(tokens: Tensor) -> Tensor:
            return torch.where(parts.mask.unsqueeze(-1), mask_token.to(tokens.dtype), tokens)

        tokens = self.encoder.forward_features(images, corrupt=hide)
        order = torch.cat([parts.visible, parts.hidden], dim=1)
        prefix = self.encoder.prefix_tokens
        return torch.cat([tokens[:, :prefix], take(tokens[:, prefix:], order)], dim=1)


def build(encoder: ViT, options: dict[str, Any]) -> MAE:
    """Put a decoder on an encoder; a decoder of another width keeps 32 channels a head unless heads are given.

    Args:
        encoder: the backbone.
        options: fields of `MAEConfig`.

    Raises:
        ConfigError: an option is unknown, of another type, or does not fit the others.
    """
    options = coerce_options(MAEConfig, options)
    if "decoder_width" in options:
        options.setdefault("decoder_heads", max(1, options["decoder_width"] // DECODER_HEAD_WIDTH))
    return MAE(encoder, from_json(MAEConfig, options))
