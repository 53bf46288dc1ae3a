"""Masked autoencoding: learning to see by filling in hidden patches.

- `figures`: what `look` and a run's report draw of a masked autoencoder
- `loss`: learning to see by filling in hidden patches
- `mask_file`: a mask as the user gives it: an image of what to hide, or the numbers of patches
- `recipes`: recipes for masked autoencoding, and the augmentations that the paper compares
- `settings`: settings for pretraining a masked autoencoder
- `spec`: masked autoencoding, as it is known before any of its work is imported
- `targets`: targets that have to be found before they can be predicted: principal components, and tokenizers
- `task`: masked autoencoding, as a task
"""
