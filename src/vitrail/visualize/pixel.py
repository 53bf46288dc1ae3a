"""Where one pixel of an image looks in a Swin, stage by stage, and what reaches the answer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

from vitrail.explain.record import Recording, windowed_encoder_of
from vitrail.explain.stitched import attention_from, place_of, record_windows, rolled_out, seen_from
from vitrail.layers.window_layout import Partition
from vitrail.models.backbone import Backbone
from vitrail.visualize.attention import peak_of
from vitrail.visualize.draw import Tile, enlarge, sheet, to_image
from vitrail.visualize.scales import attention_legend, attention_map

MARK = (0, 230, 118)

NOTE = (
    "Below each image: what reaches the answer, rolled out from the mean over the last map through all windows and "
    "mergings. To the right, where the marked pixel's token looks in the last blocks of each stage, above with regular "
    "and below with shifted windows, mean over the heads: nothing outside its window, nor across the seam. All maps "
    "have the one scale above. An even share is one of all tokens of the first map for the rollout, for the others "
    "one of the tokens in its window that the marked one can see."
)


def panel(
    model: nn.Module,
    images: Tensor,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    captions: Sequence[str] = (),
    pixel: tuple[int, int] | None = None,
    title: str = "What the model attends to",
) -> Image.Image:
    """Draw each image with its rollout and, stage by stage, the attention of one pixel.

    Args:
        model: an `ImageClassifier` with a `Swin`, a bare one, or what pretrains it.
        images: ``(B, C, H, W)``, normalised.
        mean, std: per channel, with which the images were normalised.
        captions: a line for each image, such as its class and the model's answer.
        pixel: row and column in the input; where the rollout peaks when absent.
        title: a line on top, or none.

    Raises:
        ConfigError: the model has no windows, or the pixel lies outside.
    """
    swin = windowed_encoder_of(model)
    rows: list[list[Tile | None]] = []
    for index, image in enumerate(images):
        recording, partitions = record_windows(model, images[index : index + 1])
        last = partitions[-1][-1]
        flow = rolled_out(recording, partitions, torch.full((1, last.h, last.w), 1 / (last.h * last.w)))[0]
        chosen = _peak_of(flow, swin.strides[0], image) if pixel is None else pixel
        original = to_image(image, mean, std)
        caption = captions[index] if captions else ""
        flow = flow * flow.numel()
        rollout = attention_map(enlarge(original), _spread(flow, swin.strides[0], image))
        pairs = _stages(swin, recording, partitions, image, chosen)
        regular = [_tile(original, image, chosen, *pair[0]) for pair in pairs]
        shifted = [_tile(original, image, chosen, *pair[1]) for pair in pairs]
        rows.append([Tile(_marked(enlarge(original), image, chosen), caption), *regular])
        rows.append([Tile(rollout, f"rollout\n{peak_of(flow)}"), *shifted])
    columns = ["", *(f"stage {number + 1}" for number in range(len(swin.strides)))]
    return sheet(rows, title=title, columns=columns, note=NOTE, legend=attention_legend())


def _stages(
    swin: Backbone, recording: Recording, partitions: list[list[Partition]], image: Tensor, pixel: tuple[int, int]
) -> list[list[tuple[Tensor, str]]]:
    """Return a map ``(H, W)``, in multiples of an even share, and a caption for the last two blocks of each stage.

    Of a stage with a single block they are twice the same.
    """
    found, first = [], 0
    for number, stage in enumerate(partitions):
        place = place_of(swin, pixel, image, number)
        maps = []
        for block in range(max(0, len(stage) - 2), len(stage)):
            looked = attention_from(recording[first + block], stage[block], place)[0].mean(dim=0)
            looked = looked * seen_from(stage[block], place)
            kind = "shifted" if stage[block].shift_h or stage[block].shift_w else "regular"
            shown = _spread(looked, swin.strides[number], image)
            maps.append((shown, f"block {first + block}, {kind}\n{peak_of(looked)}"))
        found.append([maps[0], maps[-1]])
        first += len(stage)
    return found


def _tile(original: Image.Image, image: Tensor, pixel: tuple[int, int], values: Tensor, caption: str) -> Tile:
    return Tile(_marked(attention_map(enlarge(original), values), image, pixel), caption)


def _spread(values: Tensor, stride: int, image: Tensor) -> Tensor:
    """Give every pixel its token's value: ``(h, w)`` to ``(H, W)``."""
    fine = values.repeat_interleave(stride, dim=0).repeat_interleave(stride, dim=1)
    return fine[: image.shape[-2], : image.shape[-1]]


def _peak_of(flow: Tensor, stride: int, image: Tensor) -> tuple[int, int]:
    """Return the pixel in the middle of the token that most reaches the answer."""
    y, x = divmod(int(flow.argmax()), flow.shape[1])
    height, width = image.shape[-2:]
    return min(y * stride + stride // 2, height - 1), min(x * stride + stride // 2, width - 1)


def _marked(image: Image.Image, pixels: Tensor, pixel: tuple[int, int]) -> Image.Image:
    """Ring the chosen pixel."""
    marked = image.convert("RGB")
    y = (pixel[0] + 0.5) * marked.height / pixels.shape[-2]
    x = (pixel[1] + 0.5) * marked.width / pixels.shape[-1]
    pen = ImageDraw.Draw(marked)
    pen.ellipse((x - 7, y - 7, x + 7, y + 7), outline=(0, 0, 0), width=4)
    pen.ellipse((x - 6, y - 6, x + 6, y + 6), outline=MARK, width=2)
    return marked
