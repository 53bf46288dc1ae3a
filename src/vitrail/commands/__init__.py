"""The commands, one module each: called by the command line and from Python.

- `dense_tour`: ``vitrail tour --task``: outline things in drawn scenes with a small Swin and a small ViT, and look at
  the result
- `doctor`: ``vitrail doctor``: what is installed and used here, and whether a data set is fit to train on
- `embed`: ``vitrail embed``: images as vectors in a file, and the images of such a file that are most like one
- `evaluate`: ``vitrail evaluate``: how good a trained model is on labelled images
- `look`: ``vitrail look``: what a model sees, as images and one page of its own
- `models`: ``vitrail models``: what can be built, what it costs, and how good it is known to be
- `plan`: ``vitrail plan``: how to train on this machine in the hours there are, from steps that were measured on it
- `predict`: ``vitrail predict``: what is in images
- `pretrain`: ``vitrail pretrain``: an encoder from images without labels
- `probe`: ``vitrail probe``: what an encoder is worth, by its nearest neighbours, linear classifiers and its last
  blocks
- `stress`: ``vitrail stress``: how much of its accuracy a classifier keeps when images are changed
- `tour`: ``vitrail tour``: the whole line on one set of images, and an honest comparison at its end
- `train`: ``vitrail train``: a classifier, detector or segmenter from labelled images
- `trust`: ``vitrail trust``: on one page what a person who signs for a classifier should know of it
- `trust_parts`: the parts of a trust card that are measured, each by the command that it belongs to
- `trust_subject`: what a trust card is about, opened once: the model, the images, and what exactly they are
- `weights`: ``vitrail weights``: what a weights file holds, in another library's layout, whole and right, on a model
  hub
"""
