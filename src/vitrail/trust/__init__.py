"""What is known of a classifier's answers, in plain numbers: from logits and labels to figures with their intervals.

- `intervals`: 95 % intervals: Wilson's and Clopper and Pearson's of a share, by bootstrap of anything else
"""
