"""The papers' tables at any scale.

- `catalogue`: ``vitrail paper``
- `cells`: what the cells of a table run: training, or pretraining and what measures the encoder
- `grid`: a table of a paper
- `mae`: the tables of "Masked Autoencoders Are Scalable Vision Learners" (MAE)
- `swin`: the tables of "Swin Transformer"
- `vit`: the tables of "An Image is Worth 16x16 Words" (ViT)
"""
