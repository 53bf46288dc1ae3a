"""One image as one model sees it, with every answer about it computed once.

Of a ViT the patches that are painted away are taken out of the sequence; another model is shown the image's mean colour
in their place. Predictions are computed as `vitrail predict` does, in its precision; maps in fp32, as `vitrail look`
draws them.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vitrail.data.normalise import Normalise
from vitrail.errors import ConfigError
from vitrail.explain.attention_gradients import class_relevance
from vitrail.explain.cells import Cells, cells_of
from vitrail.explain.fill import mean_fill
from vitrail.explain.grad_cam import grad_cam
from vitrail.explain.patch_tokens import patch_tokens
from vitrail.explain.record import evaluating, record_attention
from vitrail.explain.removal import Removal
from vitrail.explain.rollout import class_attention, rollout
from vitrail.explain.stitched import attention_from, attention_received, record_windows, rolled_out, seen_from
from vitrail.explain.target import Target
from vitrail.explain.visible import VisibleClassifier, VisiblePatches, spread_out
from vitrail.live.caches import Newest
from vitrail.models.backbone import Backbone, backbone_of
from vitrail.tasks.predictor import Predictor
from vitrail.training.measure import device_of
from vitrail.visualize.reconstruction import Reconstruction, reconstruct
from vitrail.weights.description import Description

NOTHING_LEFT = "every patch is painted away; restore some"


@dataclass(frozen=True)
class LiveModel:
    """A model of the window.

    Attributes:
        name: what it is called on the page.
        model: the module.
        description: what is known of it.
        predictor: gives a classifier's answers; None of a model that knows no classes.
        notes: what had to be assumed, each a sentence.
        prepared: how images are prepared and how that is known, a sentence.
        side: of squares in pixels, where they are filled; by default as `vitrail look --cell` has it.
    """

    name: str
    model: Any
    description: Description
    predictor: Predictor[Any] | None
    notes: tuple[str, ...] = ()
    prepared: str = ""
    side: int | None = None
    recorded: Newest[Tensor] = field(default_factory=lambda: Newest(1), compare=False)
    """The weights of one layer: large, and of use only while one points from patch to patch."""

    @property
    def backbone(self) -> Backbone:
        """The model's backbone."""
        return backbone_of(self.model)

    @functools.cached_property
    def cells(self) -> Cells:
        """What is painted away: patches, or squares of pixels."""
        return cells_of(self.backbone, *self.description.preprocessing.image_size, self.side)

    @property
    def takes_out(self) -> bool:
        """Whether patches are taken out of the sequence, so that nothing stands in their place."""
        return self.backbone.can_leave_patches_out


@dataclass(frozen=True)
class Attention:
    """What a model attended to in an image.

    Attributes:
        layers: of each layer ``(K, h, w)``, shares of the attention.
        even: of each layer, what a place would get of an even share.
        rollout: ``(h, w)``, through all layers.
        even_rollout: what a place would get of an even share of that.
    """

    layers: tuple[Tensor, ...]
    even: tuple[float, ...]
    rollout: Tensor
    even_rollout: float


class Seen:
    """One image as one model sees it.

    Args:
        model: the model.
        pixels: ``(1, C, H, W)`` uint8.
        hidden: numbers of the cells that are painted away.

    Raises:
        ConfigError: there is no such cell.
    """

    def __init__(self, model: LiveModel, pixels: Tensor, hidden: Sequence[int]) -> None:
        self.model, self.pixels = model, pixels
        self.hidden = hidden_cells(model.cells, hidden)
        preprocessing = model.description.preprocessing
        self.whole = Normalise(preprocessing.mean, preprocessing.std)(pixels).to(device_of(model.model))
        self._explained: dict[tuple[str, int], Tensor] = {}
        self.visible: Tensor | None = None
        self.inputs = self.whole
        if self.hidden.any() and model.takes_out:
            self.visible = (~self.hidden).nonzero().flatten()
        elif self.hidden.any():
            self.inputs = mean_fill(self.whole, self.hidden.to(self.whole.device).view(1, 1, -1), model.cells)[:, 0]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is painted away."""
        return not bool(self.hidden.any())

    @functools.cached_property
    def probabilities(self) -> Tensor:
        """Return the probability of each class, ``(K,)`` float32 on the CPU.

        Raises:
            ConfigError: a model that pools its patches has none left.
        """
        predictor = self.model.predictor
        assert isinstance(predictor, Predictor)
        if self.is_whole:
            return predictor.answers(self.pixels)[0].probabilities  # type: ignore[attr-defined]
        with predictor.computing():
            if self.visible is None:
                logits = self.model.model(self.inputs)
            else:
                variants = self.visible.to(self.inputs.device).view(1, 1, -1)
                features = self.model.backbone.head_input_visible(self.inputs, variants)[0]
                logits = self.model.model.score(features)
        return logits.float().softmax(dim=1)[0].cpu()

    @functools.cached_property
    def attention(self) -> Attention:
        """Return what the model attends to.

        Raises:
            ConfigError: it has no attention, or nothing is left to attend to.
        """
        self._check_something_left()
        if self.model.backbone.has_windows:
            return self._attention_of_windows()
        encoder, size = self._encoder, (self.inputs.shape[-2], self.inputs.shape[-1])
        with evaluating(encoder), record_attention(encoder) as recorded:
            encoder(self.inputs)
        grid = encoder.token_grid(*size)
        assert grid is not None
        by = "class" if encoder.pools_class_token else "mean"
        every = (*recorded.values(), rollout(list(recorded.values())))
        maps = [self._in_place(class_attention(one, grid, encoder.prefix_tokens, by)[0]) for one in every]
        even = 1 / (encoder.prefix_tokens + grid[0] * grid[1])
        return Attention(tuple(maps[:-1]), (even,) * (len(maps) - 1), maps[-1], even)

    def _attention_of_windows(self) -> Attention:
        recording, stages = record_windows(self.model.model, self.inputs)
        partitions = [partition for stage in stages for partition in stage]
        pairs = zip(recording.values(), partitions, strict=True)
        layers = tuple(attention_received(weights, partition)[0] for weights, partition in pairs)
        last = partitions[-1]
        start = torch.full((1, last.h, last.w), 1 / (last.h * last.w))
        flow = rolled_out(recording, stages, start)[0]
        return Attention(layers, tuple(1 / layer[0].numel() for layer in layers), flow, 1 / flow.numel())

    def attention_of_cell(self, layer: int, cell: int) -> tuple[Tensor, float]:
        """Return where one patch looks in a layer: ``(K, h, w)``, and what each place would get of an even share.

        Args:
            layer: from 0.
            cell: in whose centre the patch lies.

        Raises:
            ConfigError: the model has no attention, or there is no such cell, or it is painted away.
        """
        self._check_cell(cell)
        backbone, size = self.model.backbone, (self.inputs.shape[-2], self.inputs.shape[-1])
        weights = self.model.recorded.made((self, layer), lambda: self._weights(layer))
        if backbone.has_windows:
            partition = [one for stage in backbone.windows(*size) for one in stage][layer]
            place = self._place(cell, (partition.h, partition.w))
            return attention_from(weights, partition, place)[0], 1 / seen_from(partition, place)
        grid = self._encoder.token_grid(*size)
        assert grid is not None
        number = cell if self.visible is None else int((self.visible == cell).nonzero())
        rows = weights[0, :, backbone.prefix_tokens + number, backbone.prefix_tokens :]
        return self._in_place(rows.unflatten(-1, grid)), 1 / weights.shape[-1]

    def _weights(self, layer: int) -> Tensor:
        encoder = self._encoder
        with evaluating(encoder), record_attention(encoder, [layer]) as recorded:
            encoder(self.inputs)
        return recorded[layer]

    @functools.cached_property
    def tokens(self) -> Tensor:
        """Return what the model makes of each place: directions ``(D, h, w)`` of length 1, nan where it is not there.

        Raises:
            ConfigError: nothing is left.
        """
        self._check_something_left()
        return F.normalize(self._in_place(patch_tokens(self._encoder, self.inputs)[0]), dim=0)

    def similarity(self, cell: int) -> Tensor:
        """Return the cosine similarity of all places to the one in which a cell's centre lies: ``(h, w)``.

        Raises:
            ConfigError: there is no such cell, or it is painted away.
        """
        self._check_cell(cell)
        row, column = self._place(cell, (self.tokens.shape[-2], self.tokens.shape[-1]))
        return torch.einsum("dhw,d->hw", self.tokens, self.tokens[:, row, column])

    def explanation(self, method: str, label: int) -> Tensor:
        """Return what speaks for a class: ``(h, w)``, 0 or above.

        Args:
            method: chefer or grad-cam.
            label: the class.

        Raises:
            ConfigError: the method has no meaning for the model, or nothing is left.
        """
        self._check_something_left()
        if (method, label) not in self._explained:
            model = self.model.model if self.visible is None else VisibleClassifier(self.model.model, self.visible)
            run = class_relevance if method == "chefer" else grad_cam
            # A copy: gradients of the inputs are asked for.
            values = run(model, self.inputs.clone(), Target(torch.tensor([label])))[0]
            self._explained[method, label] = self._in_place(values)
        return self._explained[method, label]

    @functools.cached_property
    def reconstruction(self) -> Reconstruction:
        """Return what a masked autoencoder fills in where cells are hidden.

        Raises:
            ConfigError: nothing is hidden, or everything, or its tokens cannot be drawn.
        """
        if not 0 < int(self.hidden.sum()) < len(self.hidden):
            raise ConfigError("paint some patches away and leave some: what is hidden is filled in from the rest")
        return reconstruct(self.model.model, self.whole, self.hidden.unsqueeze(0))

    def removal(self, label: int, cells: Sequence[int]) -> Tensor:
        """Return what the log probability of a class falls by without each of some cells alone, ``(S,)``.

        Raises:
            ConfigError: a cell is not there, or nothing would be left.
        """
        chosen = hidden_cells(self.model.cells, cells)
        if bool((chosen & self.hidden).any()):
            raise ConfigError("a cell that is painted away cannot be removed once more")
        fill = None if self.model.takes_out else mean_fill
        removal = Removal(self.model.model, self.whole, Target(torch.tensor([label])), fill, self.model.cells.side)
        if removal.needs_a_patch and int((~self.hidden).sum()) < 2:
            raise ConfigError("the last patch cannot be removed from a model that pools its patches")
        present = (~self.hidden).repeat(len(cells) + 1, 1)
        present[torch.arange(1, len(present)), torch.tensor(list(cells), dtype=torch.int64)] = False
        scores = removal.scores(present.unsqueeze(0))[0]
        return scores[0] - scores[1:]

    @property
    def _encoder(self) -> Backbone:
        backbone = self.model.backbone
        return backbone if self.visible is None else VisiblePatches(backbone, self.visible)

    def _in_place(self, values: Tensor) -> Tensor:
        return values if self.visible is None else spread_out(values, self.visible, self.model.cells.grid)

    def _place(self, cell: int, grid: tuple[int, int]) -> tuple[int, int]:
        """Return the row and column of another grid in which a cell's centre lies."""
        (rows, columns), (row, column) = self.model.cells.grid, divmod(cell, self.model.cells.grid[1])
        return int((row + 0.5) * grid[0] / rows), int((column + 0.5) * grid[1] / columns)

    def _check_cell(self, cell: int) -> None:
        hidden_cells(self.model.cells, [cell])
        if self.visible is not None and self.hidden[cell]:
            raise ConfigError("this patch is painted away; point at one that is there")

    def _check_something_left(self) -> None:
        if bool(self.hidden.all()):
            raise ConfigError(NOTHING_LEFT)


def hidden_cells(cells: Cells, numbers: Sequence[int]) -> Tensor:
    """Return which cells are named, ``(N,)`` bool.

    Raises:
        ConfigError: there is no such cell.
    """
    hidden = torch.zeros(cells.count, dtype=torch.bool)
    for number in numbers:
        if not 0 <= number < cells.count:
            raise ConfigError(f"there is no patch {number}; they go from 0 to {cells.count - 1}")
    hidden[torch.tensor(list(numbers), dtype=torch.int64)] = True
    return hidden


__all__ = ["Attention", "LiveModel", "Seen", "hidden_cells"]
