"""What commands share: a run from its data and model to its folder, figures and report.

- `choose_model`: where a run starts from
- `extract_features`: features of images by a model, computed once in any number of views and kept beside the run
- `finish_run`: what is done when a run ends
- `foreign_models`: what commands do otherwise with a model that no run of vitrail's wrote
- `growth`: ``vitrail models --flops``
- `held_out`: whether images are held out as they were asked to be
- `image_findings`: what `vitrail doctor` learns from pixels
- `measured`: what images were to a checkpoint's run, whatever became of them since, and which of them are measured
- `metrics_file`: the rows of a run's ``metrics.jsonl``
- `next_steps`: what to run next
- `place`: whether what a command writes has a place
- `prediction_folder`: where ``vitrail predict`` leaves what it draws
- `prepare`: what is trained, with the weights it starts from and its run folder
- `pretrained`: the published encoders, as a table for people
- `progress`: how far a long list of images has come, on the error stream, so that what is printed stays a table or a
  file
- `report`: the page about a run
- `run_folder`: the run folder
- `run_training`: what training verbs share
- `shown`: which images a figure shows, and what is known of them
- `split`: a run's images
- `summary`: what a training says of itself before it begins, in eight lines
- `throughput`: how fast a machine learns what is planned
- `tune`: partial fine-tuning
"""
