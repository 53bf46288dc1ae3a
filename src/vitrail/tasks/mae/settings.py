"""Settings for pretraining a masked autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from vitrail.meaning import Rule
from vitrail.ranges import CHANNELS, DEPTH, HIDDEN, Range
from vitrail.settings.training import PretrainSettings


@dataclass(frozen=True)
class MAESettings(PretrainSettings):
    """Pretrain a masked autoencoder on images without labels."""

    FIRST: ClassVar[tuple[str, ...]] = (*PretrainSettings.FIRST, "mask_ratio", "decoder_width", "decoder_depth")
    RANGES: ClassVar[dict[str, Range]] = {
        "mask_ratio": HIDDEN,
        "decoder_width": CHANNELS,
        "decoder_depth": DEPTH,
        "components": CHANNELS,
        "vocabulary": Range(2, 65_536),
    }
    RULES: ClassVar[tuple[Rule, ...]] = (
        *PretrainSettings.RULES,
        Rule(
            ("normalize_target",),
            lambda s: not s.normalize_target and s.target not in ("auto", "normalized", "pixels"),
            "is for pixels; with this --target it says nothing",
        ),
        Rule(("components",), lambda s: s.target != "pca", "is for --target pca"),
        Rule(("vocabulary", "tokenizer"), lambda s: s.target != "tokens", "is for --target tokens"),
        Rule(("vocabulary",), lambda s: s.tokenizer != "kmeans", "is that of the tokenizer; leave it out"),
        Rule(("mask_ratio",), lambda s: s.mask is not None, "is that of --mask, which hides the same patches always"),
        Rule(("masking",), lambda s: s.mask is not None, "and --mask exclude each other; give one"),
    )

    mask_ratio: float = 0.75
    """Share of the patches that is hidden."""
    masking: Literal["random", "block", "grid"] = "random"
    """Hide patches at random, in large rectangles as BEiT does, or three of every four on a grid."""
    mask: str | None = None
    """Hide the same patches of every image; an image, bright where hidden, or numbers such as "0-9,14"."""
    mask_tokens_in: Literal["decoder", "encoder"] = "decoder"
    """The encoder sees visible patches only, or hidden places too, each with the mask token."""
    decoder_width: int = 512
    """Width of the decoder."""
    decoder_depth: int = 8
    """Blocks of the decoder."""
    normalize_target: bool = True
    """The target auto is normalized; with --no-normalize-target it is pixels."""
    target: Literal["auto", "normalized", "pixels", "pca", "tokens"] = "auto"
    """Pixels normalised by each patch's own mean and deviation (auto), pixels as they are, coefficients in principal
    components, or tokens."""
    components: int = 96
    """With target pca: how many coefficients."""
    vocabulary: int = 512
    """With target tokens: how many tokens."""
    tokenizer: str = "kmeans"
    """With target tokens: kmeans, fitted on the training images, or MODULE:NAME of a class of yours."""
    target_from: str | None = None
    """With targets pca and tokens: take what another run has fitted, of its folder or its target.safetensors."""
