"""Layouts of weights, a module for each library: pure functions between its names and plain ones.

- `clip`: CLIP's image tower under OpenAI's names, which are open_clip's as well; open_clip keeps SigLIP's under
  timm's
- `google`: Google's ``.npz``: the original ViT and its hybrids, AugReg, big_vision, and BiT
- `huggingface`: Hugging Face's ViT and ViTMAE, under the names of before and after the renaming of 2026
- `mae`: MAE's official ``.pth`` files: the encoder has plain names, the decoder's parts stand beside it
- `modern_huggingface`: ViTs of after 2021 under Hugging Face's names: DeiT, BEiT, DINOv2, DINOv3, and the image
  towers of CLIP and SigLIP
- `plain`: plain names, the one vocabulary every layout is translated into
- `modern`: ViTs of after 2021 under the names of timm, DeiT, BEiT, DINOv2 and DINOv3
- `rename`: rename tables: one list of rows per foreign layout, read in both directions
- `swin`: Swin under every name it goes by: Microsoft's, timm's, torchvision's, Hugging Face's before and since 2026
- `swin_v2`: Swin V2, Microsoft's, timm's and Hugging Face's
- `timm`: timm and DeiT: the plain names themselves, but for what timm renamed over the years
- `torchvision`: torchvision's ViT
- `vit_positions`: fit the less common positions of a ViT to another grid of patches: those of rows and columns, and
  relative ones
"""
