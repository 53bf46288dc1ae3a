"""The papers' tables at any scale.

- `catalogue`: ``vitrail paper``
- `grid`: a table of a paper
- `mae`: what the tables of MAE share
- `mae_augment`: how much augmentation pretraining needs (MAE, table 1e)
- `mae_decoder`: how deep and how wide the decoder has to be (MAE, tables 1a and 1b)
- `mae_labels`: does pretraining help when the time is the same? The same labels, and all the time for training from
  scratch
- `mae_masking`: what to hide
- `mae_partial`: how many of the last blocks have to be tuned (MAE, figure 9)
- `mae_ratio`: how much to hide (MAE, figure 5)
- `mae_target`: what to predict
- `mae_tokens`: whether the encoder should see mask tokens, and what that costs (MAE, tables 1c and 2)
- `small`: the settings that all tables begin with
- `swin_ablation`: what shifting the windows and telling positions are worth (Swin, section 4.4, table 4)
- `vit_mpp`: masked patch prediction
- `vit_pool`: class token or mean of the patches, and the learning rate each of them wants (ViT, appendix D.3, figure
  9)
- `vit_positions`: does a ViT need to be told where its patches are, and does it matter how? (ViT, appendix D.4, table
  8)
- `vit_resnets`: BiT, hybrid and ViT of equal compute on little data (ViT, sections 4.3 and 4.4, figures 3 to 5)
"""
