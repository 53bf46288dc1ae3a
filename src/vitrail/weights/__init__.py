"""Files of weights: opened safely, recognised, translated, loaded, written.

- `build`: a model that has all its weights from a file, in memory once
- `calibration_file`: what is known of when a classifier can be believed, in files beside its weights
- `card`: the card of a model: what it is, what it was trained on, how good it is, what it needs, how to use it
- `checkpoint`: vitrail's own checkpoints: a folder with the weights and all that is needed to use them
- `checks`: why a file's tensors cannot be a model's, and what parts of other models they are
- `compare`: whether two weights files are one model: tensor by tensor, and by what both compute
- `contradictions`: what files beside weights say of the function they belong to and no tensor shows: refused where it
  is another one
- `convert`: from any layout to any other, by way of plain names
- `create`: build a model and, if asked, give it weights
- `description`: what a checkpoint of vitrail's says about itself, in the ``config.json`` beside its weights
- `detect`: whose names a state has, and how they are translated into plain ones and back
- `fetch`: models from the Hugging Face hub, through huggingface_hub: its cache, its resuming, its tokens, its offline
  mode
- `finite`: weights must be numbers: a file with nan or infinity in it trains and predicts nan, without a word
- `foreign`: files that are no weights, or not in a form that is read here: said by name, with the way out
- `formats`: layouts of weights, a module for each library: pure functions between its names and plain ones
- `hashes`: SHA-256 of weights: of the file, and of the tensors, whatever file they lie in
- `hub`: models as folders that a model hub can hold: saved with a card, opened from a folder or a repository, pushed
- `infer_modern`: which ViT of after 2021 tensors under plain names belong to, read off their names and shapes
- `infer_spec`: which model tensors under plain names belong to, read off their names and shapes alone: all it takes
  to build it
- `infer_swin_v2`: which Swin V2 tensors under plain names belong to
- `inspect`: what is in a weights file, and whether a model really takes it
- `licences`: licences of fetched weights, said, and accepted where one asks for that
- `load`: fit the tensors of a file to a model, and say what became of each
- `modern_sidecars`: transformers' ``config.json`` for ViTs of after 2021 and for Swin V2
- `named`: one way to name a model, the same for every command and in Python: what a name stands for on the disk
- `nearest_layout`: for files of no layout that is known, which one they are nearest to
- `open_any`: open a model with its weights from any file: vitrail's own checkpoints, and those of others
- `origin`: where weights come from: their licence, and what they were trained from, through the runs before them
- `paths`: paths of weights as callers give them
- `plausible`: whether a checkpoint's description can be that of the tensors beside it: asked before anything is built
  or allocated
- `pretrained`: encoders that others have published, a table
- `preprocessing`: how images must be prepared for a weights file of which nobody wrote it: what its origin is known
  for
- `reader`: open weights files without ever running code from them, and without unfolding more than they can hold
- `remembered`: what is remembered of fetched models from one command to the next: licences, and which files were
  compared already
- `shape`: what the tensors of a model say about it, in words for people
- `sidecars`: what lies beside weights: reading what it says, and writing what a library needs to open the folder
- `stated`: what a ``config.json`` beside weights says of a model that its tensors do not show: transformers' or
  timm's
- `stated_preprocessing`: how images must be prepared for weights, where it is written in their file or beside it:
  read exactly, or refused
- `trusted`: what a model's own card takes over from its trust card: figures and commands, without where anything lies
- `weights_file`: a weights file: opened, recognised and translated once, with all that it and the files beside it say
- `wrappers`: the weights inside what a training script saved around them: a dict in a dict, beside optimizer, EMA and
  counters
"""
