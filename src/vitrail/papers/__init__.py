"""The papers' tables at any scale.

- `catalogue`: ``vitrail paper``: the tables by their names, and running one of them
- `cells`: what the cells of a table run: training, or pretraining and what measures the encoder, and with which
  settings
- `grid`: a table of a paper: a grid of settings and seeds, run cell by cell, with the paper's own figures beside
- `mae`: the tables of "Masked Autoencoders Are Scalable Vision Learners" (MAE)
- `swin`: the tables of "Swin Transformer": what shifting the windows and telling positions are worth
- `vit`: the tables of "An Image is Worth 16x16 Words" (ViT): positions, pooling, ResNets and hybrids, patch
  prediction
"""
