"""Seeing what a model learned.

`record` and `attention` show what it attends to, `reconstruction` and `statistics` what a masked autoencoder fills
in, `curves` how a run went. `draw` makes pictures of it, and `report` gathers them on one page.
"""
