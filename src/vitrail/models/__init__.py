"""Whole models: `vit` and `mae`, the `classifier` around a backbone, and the `zoo` that names them."""
