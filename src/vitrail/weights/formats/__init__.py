"""Layouts of weights, a module for each library: pure functions between its names and plain ones.

- `clip`: CLIP's image tower under OpenAI's names, which are open_clip's as well
- `google`: Google's ``.npz``
- `huggingface`: Hugging Face's ViT and ViTMAE, under the names of before and after the renaming of 2026
- `mae`: MAE's official ``.pth`` files
- `modern_huggingface`: ViTs of after 2021 under Hugging Face's names
- `plain`: plain names, the one vocabulary every layout is translated into
- `modern`: ViTs of after 2021 under the names of timm, DeiT, BEiT, DINOv2 and DINOv3
- `rename`: rename tables
- `swin`: Swin under every name it goes by
- `swin_v2`: Swin V2, Microsoft's, timm's and Hugging Face's
- `timm`: timm and DeiT
- `torchvision`: torchvision's ViT
- `vit_positions`: fit the less common positions of a ViT to another grid of patches
"""
