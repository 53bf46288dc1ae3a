"""The training loop and its parts; it knows no model and no data set.

- `checkpoint`: checkpoints that are whole or absent
- `digests`: digests of a checkpoint's files
- `distributed`: several processes that train one model, as ``torchrun`` starts them
- `ema`: the exponential moving average of the weights
- `interfaces`: what `fit` asks of a task and of its batches
- `lars`: LARS
- `learner`: one optimizer step, and everything that changes while a task learns
- `linear_probe`: the linear probe of features that are at hand, for several learning rates at once
- `lock`: one run folder, one run
- `log`: what a run tells
- `loop`: `fit`
- `measure`: evaluation
- `neighbours`: classes by the nearest images
- `opening`: PyTorch files of others opened without running code from them, and without unfolding more than they hold
- `optim`: parameter groups (weight decay, layer decay) and the optimizer over them
- `precision`: which device computes, and in how many bits
- `runtime`: where a model computes and in how many bits
- `schedule`: the learning rate over the steps of a run
- `session`: a run between its start (or resume) and its end
- `signals`: ctrl-C, SIGTERM and SIGHUP ask a run to stop after the present step rather than in the middle of it
- `state`: where a run is
- `watch`: signs of life of processes that train together
"""
