"""What it changes to shrink a Swin's window to a map that is smaller, as Microsoft's code does, instead of padding.

For each image size: the map of the last stage, the relative difference of the vector that describes the image, and
the multiply-accumulates of both ways. Weights are random, with large biases; the images are noise.

    python benchmarks/small_maps.py
"""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from vitrail.models.cost import cost
from vitrail.models.swin import SIZES, Swin

IMAGES = ((224, 224), (160, 160), (128, 96), (160, 256), (256, 160), (96, 480), (800, 1216))


def main() -> None:
    torch.manual_seed(0)
    config = SIZES["swin_t"]
    masked, shrinking = Swin(config).eval(), Swin(dataclasses.replace(config, small_maps="shrink")).eval()
    for name, parameter in masked.named_parameters():
        if name.endswith("relative_position_bias_table"):
            nn.init.normal_(parameter, std=1.0)
    shrinking.load_state_dict(masked.state_dict())
    print("pixels      last map   difference   GMAC padded, shrunk")
    for size in IMAGES:
        images = torch.randn(2, 3, *size)
        with torch.inference_mode():
            ours, theirs = masked(images), shrinking(images)
        difference = float((ours - theirs).norm() / ours.norm())
        last = masked.windows(*size)[-1][0]
        counts = [cost(model, size).multiply_accumulates / 1e9 for model in (masked, shrinking)]
        shown = f"{size[0]}x{size[1]}"
        print(f"{shown:12}{last.h:2}x{last.w:<8}{difference:10.1e}   {counts[0]:6.2f} {counts[1]:6.2f}")


if __name__ == "__main__":
    main()
