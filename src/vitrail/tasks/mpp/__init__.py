"""Masked patch prediction: learning to see by telling what stood in the place of corrupted patches.

- `loss`: learning to see by telling what stood in the place of corrupted patches
- `recipes`: recipes for masked patch prediction
- `settings`: what pretraining by masked patch prediction can be told
- `spec`: masked patch prediction, as it is known before any of its work is imported
- `task`: masked patch prediction, as a task
"""
