"""What is known of a classifier's answers, in plain numbers: from logits and labels to figures with their intervals.

- `abstention`: from which confidence on to answer, so that few answers are wrong
- `calibration`: whether probabilities agree with how often answers are right, and the temperature that improves on it
- `comparison`: two classifiers on the same images: McNemar's exact test, and the difference of their accuracies
- `conformal`: sets of classes that hold the right one with a wanted probability
- `intervals`: 95 % intervals: Wilson's and Clopper and Pearson's of a share, by bootstrap of anything else
- `per_class`: precision, recall, F1 and the area under the ROC curve of each class, their means, and the largest
  confusions
- `quantiles`: how often a classifier is right by what else is known of images, in quantiles
- `reliability`: all that is learned from held-out images of when a classifier can be believed, in one place
- `unlike`: whether an image is unlike those a model was trained for, by the Mahalanobis distance of its vector
"""
