"""What a model can be trained for, one folder each, and what they share.

- `asked`: what a caller in Python asks a run for
- `attention`: what a backbone attends to, as figures
- `backbone_weights`: the weights that a model with a head for every place starts from
- `baseline`: what a guess from the visible neighbours scores
- `classification`: classifying whole images
- `detection`: finding objects
- `dense`: what tasks that look for things inside an image share
- `drawn_names`: the names of what is drawn of images
- `find_preprocessing`: how images are prepared for an opened model
- `inputs`: images as a model takes them
- `left_out`: images that could not be read
- `look_options`: which options of ``vitrail look`` have a meaning for a model
- `loss`: what the losses of all tasks share: a model, its normalisation, and what is asked of its parameters
- `mae`: masked autoencoding
- `masks`: which patches of an image are hidden
- `mpp`: masked patch prediction
- `objective`: what tasks that learn without labels share
- `open_model`: a trained model in Python
- `origin`: what weights are, as far as that decides on a recipe
- `predictor`: a trained model as a function of images
- `recipes`: settings that are known to work, under a name
- `registry`: every task by its name
- `segmentation`: naming the class of every pixel
- `simmim`: SimMIM
- `spec`: what is known of a task before any of its work is imported
- `supervised`: what tasks that learn from labels share
- `task`: what a task is
"""
