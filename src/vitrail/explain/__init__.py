"""What a model's answer rests on, and what is inside it: as numbers, without drawing.

- `attention_distance`: how far attention reaches, in pixels
- `record`: record attention weights while a model runs, without changing what it computes
- `rollout`: what the answer of a transformer attends to, in one layer and through all
- `stitched`: attention inside windows, stitched over the whole image
"""
