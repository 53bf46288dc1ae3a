"""Masked patch prediction: learning to see by telling what stood in the place of corrupted patches."""
