"""What commands share: a run from its data and model to its folder, figures and report.

- `calibrate`: when a run's classifier can be believed: learned from its validation images, and stored beside its
  weights
- `choose_model`: where a run starts from: which model, which input size, which normalisation
- `compared`: another model for the images of an evaluation: those that neither of the two learned from
- `data_check`: whether a data set is fit to train on: every image opened, and what would spoil a run or its figures
- `described`: rows of numbers for a list of images, by a model or by pixels alone, kept in a folder as they come
- `embedding`: vectors of images by a model, computed in batches of a fixed composition, so that a run cut short goes
  on bit by bit
- `evaluation_folder`: what ``vitrail evaluate`` leaves behind: a page, its images with their numbers, and all figures
  as JSON
- `extract_features`: features of images by a model, computed once in any number of views and kept beside the run
- `finish_run`: what is done when a run ends: figures, report, and the line that says what to run next
- `foreign_models`: what commands do otherwise with a model that no run of vitrail's wrote
- `fit_head`: a run whose head is fitted to frozen features, computed once; all else of it is a run like any other
- `growth`: ``vitrail models --flops``: how attention and whole models grow with the image
- `held_out`: whether images are held out as they were asked to be
- `image_findings`: what `vitrail doctor` learns from pixels: copies of one image, and values that use few of their
  bits
- `installed`: what is installed and used here: versions, hardware, and the precision that ``auto`` means
- `measured`: what images were to a checkpoint's run, whatever became of them since, and which of them are measured
- `metrics_file`: the rows of a run's ``metrics.jsonl``
- `nearest`: the images of a features file that are most like one: by cosine similarity, as figures and as a contact
  sheet
- `next_steps`: what to run next: command lines that can be pasted as they are, the most likely first
- `place`: whether what a command writes has a place: asked before any work is done, and answered in one sentence
- `prediction_folder`: where ``vitrail predict`` leaves what it draws
- `prepare`: what is trained, with the weights it starts from and its run folder: the same for every task
- `pretrained`: the published encoders, as a table for people
- `progress`: how far a long list of images has come, on the error stream, so that what is printed stays a table or a
  file
- `report`: the page about a run: what it reached, what it sees, and how it was made
- `run_folder`: the run folder: what a run leaves behind, and whether a command may go on with it
- `run_training`: what training verbs share: samples, batches, evaluation, the run itself and what is left behind
- `shown`: which images a figure shows, and what is known of them: whether they were held out, and from what
- `split`: a run's images: which it learns from, which it holds out, and the same again for every later command
- `summary`: what a training says of itself before it begins, in eight lines: the last one, its time, once steps were
  timed
- `throughput`: how fast a machine learns what is planned: steps of the model, and images from the loader, both
  measured
- `tune`: partial fine-tuning: only the last blocks learn, from features of the others that are computed once
"""
