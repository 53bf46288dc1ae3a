"""Weights files, whoever wrote them.

`files` opens them safely; `detect` tells whose names they have and `google`, `huggingface`, `mae`, `timm` and
`torchvision` translate those into `plain` ones, by the tables that `rename` reads; `load` fits them to a model and
reports; `create` builds and loads; `preprocessing` says what pictures need; `inspect` and `convert` are for people;
`checkpoint` opens vitrail's own, by the `description` beside them.
"""
