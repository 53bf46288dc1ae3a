"""Files of weights: opened safely, recognised, translated, loaded, written.

- `card`: the card of a model
- `checkpoint`: vitrail's own checkpoints
- `checks`: why a file's tensors cannot be a model's, and what parts of other models they are
- `compare`: whether two weights files are one model
- `contradictions`: what files beside weights say of the function they belong to and no tensor shows
- `convert`: from any layout to any other, by way of plain names
- `create`: build a model and, if asked, give it weights
- `description`: what a checkpoint of vitrail's says about itself, in the ``config.json`` beside its weights
- `detect`: whose names a state has, and how they are translated into plain ones and back
- `fetch`: models from the Hugging Face hub, through huggingface_hub
- `finite`: weights must be numbers
- `foreign`: files that are no weights, or not in a form that is read here
- `formats`: layouts of weights, a module for each library
- `hub`: models as folders that a model hub can hold
- `infer_spec`: which model tensors under plain names belong to, read off their names and shapes alone
- `inspect`: what is in a weights file, and whether a model really takes it
- `load`: fit the tensors of a file to a model, and say what became of each
- `named`: one way to name a model, the same for every command and in Python
- `open_any`: open a model with its weights from any file
- `paths`: paths of weights as callers give them
- `plausible`: whether a checkpoint's description can be that of the tensors beside it
- `preprocessing`: how images must be prepared for a weights file
- `reader`: open weights files without ever running code from them, and without unfolding more than they can hold
- `shape`: what the tensors of a model say about it, in words for people
- `sidecars`: what lies beside weights: reading what it says, and writing what a library needs to open the folder
- `weights_file`: a weights file
- `wrappers`: the weights inside what a training script saved around them
"""
