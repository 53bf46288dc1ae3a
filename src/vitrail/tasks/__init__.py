"""What a model can be trained for, one folder each, and what they share.

- `asked`: what a caller in Python asks a run for
- `attention`: what a backbone attends to, as figures: of a ViT attention, of a Swin its windows and biases too
- `backbone_weights`: the weights that a model with a head for every place starts from
- `baseline`: what a guess from the visible neighbours scores: the baseline a model that fills in hidden patches has
  to beat
- `class_tables`: tables of classes that stay readable: of many classes the worst and the best, unless all are asked for
- `classification`: classifying whole images
- `detection`: finding objects: their classes, boxes and masks
- `dense`: what tasks that look for things inside an image share
- `drawn_names`: the names of what is drawn of images: no image is drawn over, and no two drawings have one name
- `drawn_mask`: a mask that the user drew, of the shape of the model's input
- `fill`: what stands in the place of hidden patches, by name or by a masked autoencoder
- `find_preprocessing`: how images are prepared for an opened model: as the user says, as is written, or as the model
  itself is surest
- `illustrated`: what is shown and kept of an evaluation, beside its figures
- `inputs`: images as a model takes them: with a task's samples around them, or as one batch to look at
- `inside`: what is inside a backbone, as figures: all that has a meaning for it, and nothing else
- `left_out`: images that could not be read: gathered from all processes, and said the same way by every command
- `look_options`: which options of ``vitrail look`` have a meaning for a model; the others are refused, not passed
  over
- `loss`: what the losses of all tasks share: a model, its normalisation, and what is asked of its parameters
- `mae`: masked autoencoding: learning to see by filling in hidden patches
- `masks`: which patches of an image are hidden: drawn in the loader, so that a mask belongs to its image
- `mpp`: masked patch prediction: learning to see by telling what stood in the place of corrupted patches
- `objective`: what tasks that learn without labels share: a model around an encoder, of which some part is hidden
- `open_model`: a trained model in Python: predict, embed, preprocess, attention
- `origin`: what weights are, as far as that decides on a recipe; nothing here imports torch
- `predictor`: a trained model as a function of images: no files, no printing, and for each image a small object that
  says all
- `recipes`: settings that are known to work, under a name: those measured here, and those the papers published
- `registry`: every task by its name
- `segmentation`: naming the class of every pixel
- `simmim`: SimMIM: learning to see by predicting the pixels of hidden squares
- `spec`: what is known of a task before any of its work is imported; nothing here imports torch
- `supervised`: what tasks that learn from labels share: weights to start from, and a trained model that is measured
  and asked
- `task`: what a task is: the questions that commands ask, each answered in the task's own folder
"""
