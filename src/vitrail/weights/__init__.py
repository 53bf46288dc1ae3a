"""Weights files, whoever wrote them.

`weights_file` is one of them, opened once: `reader` opens it safely, `detect` tells whose names it has, `formats`
translate those into plain names, `infer_spec` tells the model from them, `preprocessing` what its images need. `load`
fits the tensors to a model and reports; `create` builds and loads; `inspect`, `convert` and `compare` are for people;
`hub` saves and opens whole models; `checkpoint` opens vitrail's own, by the `description` beside them.
"""
