"""What detectors find."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

PASTED_AT = 0.5
"""A pixel whose mask has at least this value is inside."""


@dataclass(frozen=True)
class Detections:
    """What a detector finds in one image, best first.

    Attributes:
        boxes: ``(n, 4)``: left, top, right, bottom, in pixels.
        scores: ``(n,)`` in [0, 1].
        classes: ``(n,)``, from 0.
        masks: ``(n, 28, 28)`` in [0, 1], of what is inside each box; None of a detector without masks.
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor
    masks: Tensor | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    def scaled(self, tall: float, wide: float) -> Detections:
        """Return the same in pixels of which an image is ``tall`` and ``wide`` times as many."""
        return replace(self, boxes=self.boxes * self.boxes.new_tensor([wide, tall, wide, tall]))

    def keep(self, which: Tensor) -> Detections:
        """Return some of the objects, by a mask of bools or by numbers."""
        masks = None if self.masks is None else self.masks[which]
        return Detections(self.boxes[which], self.scores[which], self.classes[which], masks)

    def cpu(self) -> Detections:
        """Return a copy on the CPU, in float32."""
        masks = None if self.masks is None else self.masks.float().cpu()
        return Detections(self.boxes.float().cpu(), self.scores.float().cpu(), self.classes.cpu(), masks)

    def pasted(self, number: int, height: int, width: int) -> Tensor:
        """Return the mask of an object in an image of ``height`` x ``width`` pixels, bool ``(H, W)``.

        The mask's values stand in the middles of 28 x 28 cells of the box; between them, and up to the box's border,
        they are interpolated.

        Raises:
            ValueError: the detector finds no masks.
        """
        if self.masks is None:
            raise ValueError("this detector finds no masks")
        left, top, right, bottom = self.boxes[number].tolist()
        x0, y0 = max(0, int(left)), max(0, int(top))
        x1, y1 = min(width, int(right) + 1), min(height, int(bottom) + 1)
        pasted = torch.zeros(height, width, dtype=torch.bool, device=self.boxes.device)
        if x1 <= x0 or y1 <= y0:
            return pasted
        # Middles of pixels, from -1 to 1 within the box.
        columns = (torch.arange(x0, x1, device=pasted.device) + 0.5 - left) / max(right - left, 1e-6) * 2 - 1
        rows = (torch.arange(y0, y1, device=pasted.device) + 0.5 - top) / max(bottom - top, 1e-6) * 2 - 1
        grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)[None]
        values = F.grid_sample(self.masks[number][None, None].float(), grid, align_corners=False)
        pasted[y0:y1, x0:x1] = values[0, 0] >= PASTED_AT
        return pasted
