"""Layouts of weights, a module for each library: pure functions between its names and plain ones.

- `google`: Google's ``.npz``
- `huggingface`: Hugging Face's ViT and ViTMAE, under the names of before and after the renaming of 2026
- `mae`: MAE's official ``.pth`` files
- `plain`: plain names, the one vocabulary every layout is translated into
- `rename`: rename tables
- `swin`: Swin under every name it goes by
- `timm`: timm and DeiT
- `torchvision`: torchvision's ViT
- `vit_positions`: fit the less common positions of a ViT to another grid of patches
"""
