"""Masked patch prediction: learning to see by telling what stood in the place of corrupted patches.

- `loss`: learning to see by telling what stood in the place of corrupted patches
- `recipes`: recipes for masked patch prediction
- `settings`: settings for masked patch prediction
- `spec`: masked patch prediction, as it is known before any of its work is imported
- `task`: masked patch prediction, as a task
"""
