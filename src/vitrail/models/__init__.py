"""Backbones and what pretrains them, each file beside its paper.

- `backbone`: what every backbone answers, and the one loop over blocks that all of them run
- `cost`: what a model costs
- `growth`: how the cost of attention grows with the image
- `hybrid`: the hybrids of the ViT paper (section 3.1)
- `mae`: the masked autoencoder (He et al
- `modern_sizes`: the shape of a ViT of after 2021, and the published ones by name
- `modern_vit`: ViTs of after 2021
- `mpp`: masked patch prediction, the ViT paper's own way to learn without labels (section 4.6, appendix B.1.2)
- `published`: what the authors of a model report for it
- `registry`: every backbone by its name, and the one function that builds it
- `resnet`: the ResNets of BiT (Kolesnikov et al
- `simmim`: SimMIM (Xie et al
- `swin`: the Swin Transformer (Liu et al
- `swin_v2`: Swin Transformer V2 (Liu et al
- `targets`: what a masked autoencoder predicts of each hidden patch (MAE, table 1d)
- `tokenizers`: images as words
- `vit`: the Vision Transformer (Dosovitskiy et al
- `vit_positions`: the position embeddings a ViT can have, and where they come in
- `vit_windows`: a plain ViT whose blocks look at windows only, for images of detection's size
"""
