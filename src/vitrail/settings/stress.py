"""What ``vitrail stress`` can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import tyro

from vitrail.errors import ConfigError
from vitrail.meaning import Rule
from vitrail.ranges import COUNT, MOST, Range
from vitrail.settings.inputs import InputOptions

WORDS = "MODEL [MODEL2 ...] DATA"


@dataclass(frozen=True)
class StressSettings(InputOptions):
    """Measure classifiers on images that are occluded, shuffled, robbed of texture, shifted, corrupted or patched."""

    RANGES: ClassVar[dict[str, Range]] = {
        **InputOptions.RANGES,
        "images": Range(0, MOST),
        "seeds": Range(1, 100),
        "batch_size": COUNT,
        "patch_areas": Range(0, 0.5, above=True, rising=True),
        "patch_steps": Range(1, 1_000_000),
    }
    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            ("patch_areas", "patch_steps", "patch_target"),
            lambda s: "patch" not in s.curves,
            "is for adversarial patches; add patch to --curves",
        ),
        Rule(
            ("saliency", "saliency_encoder"),
            lambda s: "occlusion" not in s.curves,
            "says which patches are occluded first; add occlusion to --curves",
        ),
        Rule(
            ("saliency",),
            lambda s: s.saliency_encoder is not None,
            "and --saliency-encoder both say what matters; give one of them",
        ),
        Rule(("keep_conflicts",), lambda s: "texture" not in s.curves, "is for textures; add texture to --curves"),
    )

    models_and_data: tyro.conf.Positional[Annotated[tuple[str, ...], tyro.conf.arg(metavar=WORDS)]] = ()
    """Run folders, checkpoints or anybody's weights, of which several are compared on the same images; then the images,
    with labels: a folder, a CSV, or "digits"."""
    curves: tuple[Literal["occlusion", "shuffle", "texture", "shift", "corruptions", "patch"], ...] = (
        "occlusion",
        "shuffle",
        "texture",
        "shift",
        "corruptions",
    )
    """Which families of curves; patch, an adversarial patch trained on the images, only where it is named."""
    out: str | None = None
    """Where the page and all answers go; RUN/stress by default. What is measured there already is taken from it."""
    split: Literal["auto", "train", "validation", "test", "all"] = "auto"
    """auto: test where there is one, else all images that the runs did not learn from."""
    images: int = 250
    """How many images, of every class in proportion; 0: all."""
    seeds: int = 2
    """Random numbers that each image is changed by, where chance has a part."""
    quick: bool = False
    """60 images, one seed, and fewer points."""
    saliency: str = "auto"
    """What matters in an image, by a method of `vitrail look --explain`; auto: attention, or Grad-CAM without any."""
    saliency_encoder: str | None = None
    """Let the attention of this encoder say what matters for all models, best one trained as DINO."""
    patch_areas: tuple[float, ...] = (0.05, 0.1, 0.2)
    """Shares of the image that patches cover."""
    patch_steps: int = 250
    """Steps of a patch's training, of 20 images each."""
    patch_target: str | None = None
    """A class that patches are to bring up besides; by default the first of the data."""
    keep_conflicts: bool = False
    """Write the images whose shape and texture disagree into OUT/conflicts, with a table of both classes."""
    batch_size: int = 50
    """Images in a forward pass."""
    accept_license: bool = False
    """Accept the licence of a model that is fetched by name, where it asks for that; remembered."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """auto: bf16 where the hardware computes in it, else fp32; the same for all models."""
    json: bool = False
    """Print one JSON object instead of a table."""

    @property
    def models(self) -> tuple[str, ...]:
        """The models.

        Raises:
            ConfigError: there is none, or there are no images.
        """
        if len(self.models_and_data) < 2:
            raise ConfigError("vitrail stress needs a model and images: vitrail stress MODEL DATA")
        return self.models_and_data[:-1]

    @property
    def data(self) -> str:
        """The images."""
        return self.models_and_data[-1] if self.models else ""


__all__ = ["StressSettings"]
