"""Weights files: `files` opens them safely, `load` fits them to a model and reports, `create` builds and loads."""
