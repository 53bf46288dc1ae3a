"""What `look` and a run's report draw of a masked autoencoder."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from vitrail.errors import ConfigError
from vitrail.layers.masking import GRID_RATIO, MASKINGS
from vitrail.models.mae import MAE
from vitrail.settings import LookSettings
from vitrail.tasks.look_options import is_given
from vitrail.tasks.mae.mask_file import read_mask
from vitrail.visualize.figure import Figure
from vitrail.visualize.mask_variants import MaskVariant, given_mask, mask_variants
from vitrail.visualize.reconstruction import Statistics, draw_made, filled_data, reconstruct
from vitrail.weights.description import Description

RATIOS = (0.75, 0.85, 0.95)
"""Of MAE, figure 4: a model trained at 75 % also fills in what is left of images when more is hidden."""

COMPARED = 2
"""Images in a panel that compares ratios or kinds of masks."""


def draw_reconstructions(
    mae: MAE,
    description: Description,
    images: Tensor,
    captions: Sequence[str],
    settings: LookSettings | None = None,
) -> dict[str, Figure]:
    """Draw panels by name, without titles: with the masks that are asked for, else with several kinds and ratios.

    Args:
        mae: the model.
        description: of its checkpoint.
        images: ``(B, C, H, W)``, normalised.
        captions: a line for each image.
        settings: what was asked for; nothing when absent.

    Raises:
        ConfigError: a mask does not fit, or the tokens of the model's tokenizer cannot be drawn.
    """
    settings = settings or LookSettings(checkpoint="")
    mean, std = description.preprocessing.mean, description.preprocessing.std

    def draw(hidden: Sequence[MaskVariant], count: int, statistics: Statistics = "estimated") -> Figure:
        made = [reconstruct(mae, images[:count], way.mask, statistics) for way in hidden]
        predicted, gone = [one.predicted for one in made], [one.hidden for one in made]
        data = filled_data(made[0].original, predicted, gone, hidden, mean, std)
        return Figure(draw_made(made, hidden, mean, std, captions=captions[:count]), data=data)

    count, compared = len(images), min(COMPARED, len(images))
    asked = _asked(mae, settings, description, count)
    drawn = {"reconstruction": draw(asked, count)}
    if mae.config.target == "normalized":
        drawn["reconstruction_true_statistics"] = draw(asked, count, "true")
    if not (settings.mask or settings.mask_ratio or settings.masking or len(settings.seeds) > 1):
        grid = mae.grid(images)
        ratios = [ratio for ratio in RATIOS if grid[0] * grid[1] * (1 - ratio) >= 1]
        drawn["mask_ratios"] = draw(mask_variants(grid, compared, ratios=ratios), compared)
        kinds = mask_variants(grid, compared, maskings=MASKINGS, ratios=(GRID_RATIO,))
        drawn["maskings"] = draw(kinds, compared)
    return drawn


def _asked(mae: MAE, settings: LookSettings, description: Description, count: int) -> list[MaskVariant]:
    """Return the masks that are asked for; where nothing is, those the model was trained with."""
    mask, config = settings.mask, mae.config
    if not (mask or settings.mask_ratio or settings.masking):
        mask = description.settings.get("mask")
    if mask:
        return [given_mask(read_mask(mask, mae.encoder), count)]
    return mask_variants(
        mae.encoder.patch_embed.grid(*mae.encoder.config.image_size),
        count,
        maskings=settings.masking or (config.masking,),
        ratios=settings.mask_ratio or (config.mask_ratio,),
        seeds=settings.seeds,
    )


def check_masks(model: MAE, description: Description, settings: LookSettings) -> None:
    """Refuse options of masks that another one leaves without effect."""
    drawn = settings.mask_ratio or settings.masking
    fixed = settings.mask or (description.settings.get("mask") if not drawn else None)
    if settings.mask and drawn:
        raise ConfigError("--mask says which patches are hidden; --mask-ratio and --masking have no effect beside it")
    if fixed and is_given(settings, "seeds"):
        whose = "--mask hides" if settings.mask else "the model was trained with a mask that hides"
        raise ConfigError(f"{whose} the same patches whatever the seed; leave out --seeds, or give --mask-ratio")
    kinds = settings.masking or (model.config.masking,)
    if set(kinds) == {"grid"} and not fixed:
        if is_given(settings, "seeds"):
            raise ConfigError("a grid hides the same patches whatever the seed; leave out --seeds")
        if any(ratio != GRID_RATIO for ratio in settings.mask_ratio):
            raise ConfigError(
                f"a grid hides {GRID_RATIO} of the patches; leave out --mask-ratio, or add --masking random"
            )
