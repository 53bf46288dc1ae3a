"""The training loop and its parts; it knows no model and no data set.

- `checkpoint`: checkpoints that are whole or absent: written aside, made durable, then renamed into their place
- `digests`: digests of a checkpoint's files: a bit that flipped on the disk is found before anything is computed from
  it
- `distributed`: several processes that train one model, as ``torchrun`` starts them; without it every call is trivial
- `ema`: the exponential moving average of the weights
- `fit_head`: a linear head for features that are at hand: logistic regression, its strength chosen by cross-validation
- `interfaces`: what `fit` asks of a task and of its batches; anything that looks like this can be trained
- `lars`: LARS: SGD whose rate is scaled, layer by layer, to the size of the weights (You et al. 2017)
- `learner`: one optimizer step, and everything that changes while a task learns
- `linear_probe`: the linear probe of features that are at hand, for several learning rates at once
- `lock`: one run folder, one run: a second one in the same folder is refused before it can spoil anything
- `log`: what a run tells: ``metrics.jsonl`` for machines, progress for people, TensorBoard for those who ask
- `loop`: `fit`: learn a task from batches, so that killing it at any moment costs only time
- `measure`: evaluation: what a task measures, added up over batches and processes
- `neighbours`: classes by the nearest images: the k-NN measure of features that were learned without labels
- `opening`: PyTorch files of others opened without running code from them, and without unfolding more than they hold
- `optim`: parameter groups (weight decay, layer decay) and the optimizer over them
- `precision`: which device computes, and in how many bits
- `runtime`: where a model computes and in how many bits
- `schedule`: the learning rate over the steps of a run
- `session`: a run between its start (or resume) and its end: every piece of `fit`, one short method each
- `signals`: Ctrl-C, SIGTERM and SIGHUP ask a run to stop after the present step rather than in the middle of it
- `state`: where a run is: the few numbers that a checkpoint holds beside tensors
- `watch`: signs of life of processes that train together: one that is stopped or killed is named, and the others end
"""
