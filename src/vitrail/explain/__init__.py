"""What a model's answer rests on, and what is inside it: as numbers, without drawing.

- `appearance`: what the cells of an image look like, and groups of cells that are alike
- `attention_distance`: how far attention reaches, in pixels, and how evenly it is spread: by head and by depth
- `attention_gradients`: gradient-weighted attention rollout, for one class
- `cells`: the cells in which an image is explained: patches, or squares of pixels
- `faithfulness`: whether a map is true of the model: deletion and insertion
- `fill`: what stands in the place of cells that are hidden from a model which cannot do without them
- `filters`: the filters over pixels and their principal components
- `grad_cam`: Grad-CAM, where the last map speaks for a class
- `integrated_gradients`: what each pixel adds to the score
- `layers`: how alike blocks are (CKA), and how well classes are told apart after each (k-NN)
- `methods`: the methods that explain a class, by name
- `outlier_tokens`: patch tokens of far larger norm than the others: artefacts that maps should not be judged by
- `patch_tokens`: tokens as colours, their nearest ones in other images, and in groups
- `position_similarity`: how alike the positions of two places are
- `record`: record attention weights while a model runs, without changing what it computes
- `refilled`: what a classifier answers when part of an image is filled in
- `regions`: parts of an image by name: its background, a quadrant, its border
- `removal`: what an answer loses without some of the patches: leave-one-out and Shapley values
- `rollout`: what the answer of a transformer attends to, in one layer and through all
- `sanity`: whether a map changes when the weights are randomised
- `shortcuts`: on which regions the answers of one class hang
- `side_by_side`: many small batches at once, one core each
- `stitched`: attention inside windows, stitched over the whole image: of one place, of all, and rolled out to the
  patches
- `target`: which answer is explained: one class, or what sets one above another
- `visible`: a ViT of which only some patches are there, as a model that everything here maps
"""
