"""What is known of a classifier's answers, in plain numbers: from logits and labels to figures with their intervals.

- `comparison`: two classifiers on the same images: McNemar's exact test, and the difference of their accuracies
- `intervals`: 95 % intervals: Wilson's and Clopper and Pearson's of a share, by bootstrap of anything else
- `per_class`: precision, recall, F1 and the area under the ROC curve of each class, their means, and the largest
  confusions
"""
