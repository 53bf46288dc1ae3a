"""What is learned: each task holds a model, computes its loss on a batch and measures it exactly."""
