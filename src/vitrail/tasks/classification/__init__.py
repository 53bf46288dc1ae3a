"""Classifying whole images.

- `abstaining`: a classifier that says when it is not sure: calibrated probabilities, a set of classes, and what is
  unlike its images
- `counterfactuals`: what changes a classifier's mind: regions hidden and filled in, as a figure
- `evaluation`: what is known of a classifier on labelled images, beyond how many it gets right
- `explained`: why a classifier gives a class, and whether that is true, as figures
- `faithful`: whether a classifier's explanations are true of it: tested on a few images, as plain numbers
- `figures`: what a classifier looks at and answers, as figures
- `fitted`: a classifier whose head is fitted and not learned
- `loss`: learning to classify whole images
- `match_classes`: which class of a model each class of a data set is: by its name, its WordNet id, or its number
- `metrics`: what a classifier gets right, as the commands show it
- `predictions`: what a classifier says of images, and the table or JSON of it that ``vitrail predict`` writes
- `predictor`: images to the probabilities of classes
- `recipes`: recipes for training with labels
- `reliability`: when a classifier can be believed: learned from labelled images that it did not learn from
- `settings`: settings for training a classifier
- `shortcuts`: on which regions the answers of each class hang, over many images, as figures and tables
- `spec`: classification, as it is known before any of its work is imported
- `swin_recipes`: recipes for Swin: those the paper's authors published, and one for a few thousand images
- `task`: classification, as a task
- `tuning`: learning to classify with the last blocks alone
"""
