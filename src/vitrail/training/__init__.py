"""Learning: turns any task and any batches into weights, and knows neither models nor data sets.

`loop.fit` is the whole story on one page; `session` holds its pieces, `learner` one optimizer step, and the other
modules have a job each. What a task and its batches must look like stands in `protocols`.
"""
