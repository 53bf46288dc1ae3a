"""Backbones and what pretrains them, each file beside its paper.

- `backbone`: what every backbone answers, and the one loop over blocks that all of them run
- `cost`: what a model costs: parameters, sequence length, and multiply-accumulates of one image
- `growth`: how the cost of attention grows with the image: Swin's formulas, and what is counted (Swin, section 3.2)
- `hybrid`: the hybrids of the ViT paper (section 3.1): a ResNet in front, and a ViT over its feature map
- `mae`: the masked autoencoder (He et al. 2022, Masked Autoencoders Are Scalable Vision Learners) over any ViT
- `modern_sizes`: the shape of a ViT of after 2021, and the published ones by name
- `modern_vit`: ViTs of after 2021, without a head: DeiT's and DeiT III's, BEiT, DINOv2 and DINOv3, the image towers
  of CLIP, SigLIP
- `mpp`: masked patch prediction, the ViT paper's own way to learn without labels (section 4.6, appendix B.1.2)
- `pooled`: one vector of an image by any pooling, and its patch tokens, from one forward pass of any backbone
- `published`: what the authors of a model report for it; every figure with its source
- `registry`: every backbone by its name, and the one function that builds it
- `resnet`: the ResNets of BiT (Kolesnikov et al. 2020, Big Transfer) and of the ViT paper's hybrids, without a head
- `simmim`: SimMIM (Xie et al. 2022, SimMIM: A Simple Framework for Masked Image Modeling) over a Swin or a ViT
- `swin`: the Swin Transformer (Liu et al. 2021, Hierarchical Vision Transformer using Shifted Windows), without a
  head
- `swin_v2`: Swin Transformer V2 (Liu et al. 2022, Scaling Up Capacity and Resolution), without a head
- `targets`: what a masked autoencoder predicts of each hidden patch (MAE, table 1d): pixels, coefficients or tokens
- `tokenizers`: images as words: a token for each patch, for a masked autoencoder to predict (MAE, table 1d; BEiT)
- `vit`: the Vision Transformer (Dosovitskiy et al. 2021, An Image is Worth 16x16 Words), without a head
- `vit_positions`: the position embeddings a ViT can have, and where they come in: the ablations of the paper's
  appendix D.4
- `vit_windows`: a plain ViT whose blocks look at windows only, for images of detection's size
"""
