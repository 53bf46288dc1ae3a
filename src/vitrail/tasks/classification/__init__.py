"""Telling the classes of whole images apart.

- `figures`: what a classifier looks at and answers, as figures
- `loss`: learning to tell classes apart
- `match_classes`: which class of a model each class of a data set is
- `metrics`: what a classifier gets right
- `predictions`: what a classifier says of images, and the table or JSON of it that ``vitrail predict`` writes
- `predictor`: images to the probabilities of classes
- `recipes`: recipes for training with labels
- `settings`: what training a classifier can be told
- `spec`: classification, as it is known before any of its work is imported
- `swin_recipes`: recipes for Swin
- `task`: telling classes apart, as a task
- `tuning`: learning to tell classes apart with the last blocks alone
"""
